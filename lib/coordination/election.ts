import { ByteReader, ByteWriter, MalformedMessage } from '../wire/byte-cursor.js';
import { malformed } from './messages.js';
import type { Turn } from './queue.js';

/** Who leads, as everybody sees it. */
export interface Leader {
  /** Higher than that of every leader before. */
  readonly term: number;
  /** What the leader says of itself. The bytes belong to whoever got them. */
  readonly value: Uint8Array;
}

/** What one has who was elected, and nobody else at the same time. */
export class Leadership {
  readonly name: string;
  /** Higher than that of every leader before; what a leader writes should carry it, as with the token of a lock. */
  readonly term: number;
  readonly #turn: Turn;

  constructor(name: string, turn: Turn) {
    this.name = name;
    this.term = turn.token;
    this.#turn = turn;
  }

  /** How long others wait when nothing is heard of the leader. */
  get ttlMs(): number {
    return this.#turn.lease.ttlMs;
  }

  /** Fires when it is over: with PAIPAI_ERR_LEASE_LOST as its reason, or _CLOSED when the leader resigned. */
  get signal(): AbortSignal {
    return this.#turn.lease.signal;
  }

  /** False before anybody else can lead. */
  get isLeader(): boolean {
    return this.#turn.lease.isHeld;
  }

  /** The next candidate leads. Where the coordinator cannot be told, when `ttlMs` are over. Idempotent; it never fails. */
  resign(): Promise<void> {
    return this.#turn.lease.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.resign();
  }
}

const termBytes = 8;

/** `| term u64 | value |`, under the key that all look at. */
export function encodeLeader({ term, value }: Leader): Uint8Array {
  return new ByteWriter().integer(term).bytes(value).finish();
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL when somebody else has written it. */
export function decodeLeader(key: string, bytes: Uint8Array | undefined): Leader | undefined {
  if (bytes === undefined) return undefined;
  try {
    const reader = new ByteReader(bytes);
    return { term: reader.integer(), value: reader.bytes(bytes.byteLength - termBytes) };
  } catch (thrown) {
    if (thrown instanceof MalformedMessage) throw malformed(key, thrown.message);
    throw thrown;
  }
}
