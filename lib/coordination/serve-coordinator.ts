import { PaipaiError } from '../base/errors.js';
import type { IncomingRequest, Peer, PeerStream } from '../session/types.js';
import type { Change, Coordinator } from './coordinator.js';
import {
  decodeGet,
  decodeSet,
  decodeWatch,
  encodeChangeHeader,
  encodeState,
  getKeyMethod,
  setKeyMethod,
  watchKeyMethod,
} from './messages.js';

/** Each holds one change that its peer has not taken, so these bound the memory: 32 MiB for a peer. */
export const watchesPerPeerMax = 32;
const watchesMax = 1_024;

/** A coordinator for the peers of its node. It bounds what they may hold here; the session bounds requests. */
export class CoordinatorService {
  readonly #coordinator: Coordinator;
  readonly #watches = new Map<Peer, number>();
  #watchCount = 0;

  /** Takes the coordinator over. */
  constructor(coordinator: Coordinator) {
    this.#coordinator = coordinator;
  }

  serves(method: string): boolean {
    return method === getKeyMethod || method === setKeyMethod;
  }

  servesStream(method: string): boolean {
    return method === watchKeyMethod;
  }

  /** The caller's deadline is in the signal of its request. */
  async onRequest({ method, payload, signal }: IncomingRequest): Promise<Uint8Array> {
    const options = { deadlineMs: Infinity, signal };
    if (method === getKeyMethod) {
      return encodeState(await this.#coordinator.get(decodeGet(payload), options));
    }
    const { key, expectedVersion, value } = decodeSet(payload);
    return encodeState(await this.#coordinator.compareAndSet(key, expectedVersion, value, options));
  }

  /** Sends changes until the peer gives the stream up; fails as the watch does, with PAIPAI_ERR_OVERLOADED above the limits. */
  async onStream(stream: PeerStream): Promise<void> {
    const { peer, signal } = stream;
    const { key, after } = decodeWatch(stream.metadata);
    const held = this.#watches.get(peer) ?? 0;
    if (held >= watchesPerPeerMax || this.#watchCount >= watchesMax) {
      throw new PaipaiError(
        'PAIPAI_ERR_OVERLOADED',
        `${held} watches of this connection, and ${this.#watchCount} of all, are open already`,
      );
    }
    const release = this.#hold(peer);
    signal.addEventListener('abort', release);
    try {
      // One is looked up when the one before it has left, so that a slow peer holds one and no more.
      for await (const change of this.#coordinator.watch(key, { after, signal })) {
        await sendChange(stream, change);
      }
    } finally {
      release();
    }
  }

  /** Counts a watch until the returned function is called, which is idempotent. */
  #hold(peer: Peer): () => void {
    this.#watches.set(peer, (this.#watches.get(peer) ?? 0) + 1);
    this.#watchCount++;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#watchCount--;
      const left = (this.#watches.get(peer) ?? 1) - 1;
      if (left === 0) this.#watches.delete(peer);
      else this.#watches.set(peer, left);
    };
  }

  close(): Promise<void> {
    return this.#coordinator.close();
  }
}

async function sendChange(stream: PeerStream, change: Change): Promise<void> {
  const { value } = change;
  // Of the two writes the first one is settled with the second at the latest.
  const heading = stream.write(encodeChangeHeader(change));
  const body = value === undefined || value.byteLength === 0 ? undefined : stream.write(value);
  await Promise.all([heading, body]);
}
