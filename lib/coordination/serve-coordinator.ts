import { PaipaiError } from '../base/errors.js';
import type { IncomingRequest, Peer, PeerStream } from '../session/types.js';
import { asQuorum } from './as-quorum.js';
import type { CallOptions, Change, Coordinator } from './coordinator.js';
import {
  decodeGet,
  decodeLease,
  decodeList,
  decodeMembersRequest,
  decodeSet,
  decodeTxn,
  decodeWatch,
  encodeChangeHeader,
  encodeGrantedLease,
  encodeKeyList,
  encodeMemberList,
  encodeState,
  encodeTxnResult,
  getKeyMethod,
  leaseMethod,
  listKeysMethod,
  membersMethod,
  setKeyMethod,
  txnMethod,
  watchKeyMethod,
} from './messages.js';

const methods: ReadonlySet<string> = new Set([
  getKeyMethod,
  listKeysMethod,
  setKeyMethod,
  txnMethod,
  leaseMethod,
  membersMethod,
]);

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
    return methods.has(method);
  }

  servesStream(method: string): boolean {
    return method === watchKeyMethod;
  }

  /** The caller's deadline is in the signal of its request. */
  async onRequest({ method, payload, signal }: IncomingRequest): Promise<Uint8Array> {
    const coordinator = this.#coordinator;
    const options = { deadlineMs: Infinity, signal };
    switch (method) {
      case getKeyMethod:
        return encodeState(await coordinator.get(decodeGet(payload), options));
      case listKeysMethod: {
        const { prefix, limit, after } = decodeList(payload);
        return encodeKeyList(await coordinator.list(prefix, { ...options, limit, after }));
      }
      case txnMethod:
        return encodeTxnResult(await coordinator.txn(decodeTxn(payload), options));
      case leaseMethod:
        return this.#onLease(payload, options);
      case membersMethod:
        return this.#onMembers(payload, options);
      default: {
        const { key, expectedVersion, value, leaseId } = decodeSet(payload);
        const settings = { ...options, leaseId };
        return encodeState(await coordinator.compareAndSet(key, expectedVersion, value, settings));
      }
    }
  }

  async #onLease(payload: Uint8Array, options: CallOptions): Promise<Uint8Array> {
    const request = decodeLease(payload);
    if (request.kind === 'grant') {
      return encodeGrantedLease(await this.#coordinator.grantLease(request.ttlMs, options));
    }
    const { kind, leaseId } = request;
    if (kind === 'keep') await this.#coordinator.keepLease(leaseId, options);
    else await this.#coordinator.revokeLease(leaseId, options);
    return new Uint8Array(0);
  }

  async #onMembers(payload: Uint8Array, options: CallOptions): Promise<Uint8Array> {
    const request = decodeMembersRequest(payload);
    const quorum = asQuorum(this.#coordinator);
    if (request.kind === 'list') return encodeMemberList(await quorum.members(options));
    await quorum.replaceMember(request.oldNodeId, request.newNodeId, options);
    return new Uint8Array(0);
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
