import { checkId, checkObject, checkString, invalidArgument } from '../base/check.js';
import type { Env } from '../base/env.js';
import { isPaipaiError, PaipaiError } from '../base/errors.js';
import { asQuorum } from './as-quorum.js';
import { closedError } from './call.js';
import { checkCallOptions, checkTtl, copyOfValue } from './check.js';
import type {
  CallOptions,
  CompareAndSetResult,
  Coordinator,
  KeyList,
  KeyState,
  ListOptions,
  QuorumMember,
  SetOptions,
  Txn,
  TxnResult,
  Watch,
  WatchOptions,
} from './coordinator.js';
import { decodeLeader, encodeLeader, type Leader, Leadership } from './election.js';
import { Lease } from './lease.js';
import { Lock } from './locks.js';
import { type Turn, takeTurn } from './queue.js';

export interface LeaseOptions extends CallOptions {
  /** 100 ms to one hour; default 10,000. Backends may round it up. */
  ttlMs?: number;
}

export interface LockOptions extends LeaseOptions {
  /** How long to wait for one's turn. Default: as long as it takes. */
  deadlineMs?: number | undefined;
}

export interface ElectOptions extends LockOptions {
  /** What others see of the leader, up to 1,000,000 bytes. Default: nothing. */
  value?: Uint8Array;
}

export interface PutResult {
  readonly version: number;
}

const ttlMsDefault = 10_000;
const nameBytesMax = 128;
const leaderValueBytesMax = 1_000_000;

/** Keys of the package itself: locks and candidates by name and lease, and of each election who leads. */
const locks = 'paipainet/lock/';
const candidates = 'paipainet/candidate/';
const leaders = 'paipainet/leader/';

/**
 * What a net offers of its coordinator: its table, and what is built on it. Every call fails as `Coordinator` says, and with PAIPAI_ERR_COORDINATOR_DOWN
 * and PAIPAI_ERR_PEER_CLOSED where that is another process.
 */
export class CoordinatorClient {
  readonly #env: Pick<Env, 'clock' | 'timers'>;
  readonly #coordinator: Coordinator;
  readonly #leases = new Set<Lease>();
  /** Of those who wait; none of them rejects. */
  readonly #waiting = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();

  constructor(env: Pick<Env, 'clock' | 'timers'>, coordinator: Coordinator) {
    this.#env = env;
    this.#coordinator = coordinator;
  }

  /** What the key holds now. */
  get(key: string, options?: CallOptions): Promise<KeyState> {
    return this.#coordinator.get(key, options);
  }

  /** As `Coordinator.list`. */
  list(prefix: string, options?: ListOptions): Promise<KeyList> {
    return this.#coordinator.list(prefix, options);
  }

  /** As `Coordinator.compareAndSet`. */
  compareAndSet(
    key: string,
    expectedVersion: number,
    value: Uint8Array | undefined,
    options?: SetOptions,
  ): Promise<CompareAndSetResult> {
    return this.#coordinator.compareAndSet(key, expectedVersion, value, options);
  }

  /** Sets the key, whatever it holds. */
  async put(key: string, value: Uint8Array, options: SetOptions = {}): Promise<PutResult> {
    copyOfValue(value, 0); // Without one it would be a deletion.
    const { leaseId, ...callOptions } = options ?? {};
    const { versions } = await this.#coordinator.txn(
      { set: [{ key, value, leaseId }] },
      callOptions,
    );
    return { version: versions.get(key) ?? 0 };
  }

  /** Deletes the key, if it is there. */
  async delete(key: string, options?: CallOptions): Promise<void> {
    await this.#coordinator.txn({ set: [{ key, value: undefined }] }, options);
  }

  /** As `Coordinator.txn`. */
  txn(txn: Txn, options?: CallOptions): Promise<TxnResult> {
    return this.#coordinator.txn(txn, options);
  }

  /** As `Coordinator.watch`. */
  watch(key: string, options: WatchOptions): Watch {
    return this.#coordinator.watch(key, options);
  }

  /** Of a quorum: as `Quorum.members`. Fails: PAIPAI_ERR_INVALID_STATE when the net does not agree by one. */
  async members(options?: CallOptions): Promise<readonly QuorumMember[]> {
    return asQuorum(this.#coordinator).members(options);
  }

  /**
   * Of a quorum: has another node vote in the place of one, or, where no other is named, the same node with the disk that it has now. As
   * `Quorum.replaceMember`; fails as `members`.
   */
  async replaceMember(
    oldNodeId: string | number,
    newNodeId: string | number = oldNodeId,
    options?: CallOptions,
  ): Promise<void> {
    const [oldId, newId] = [checkId('oldNodeId', oldNodeId), checkId('newNodeId', newNodeId)];
    await asQuorum(this.#coordinator).replaceMember(oldId, newId, options);
  }

  /** A lease that is kept alive until it is released, or the net is closed. Keys that are set with its `leaseId` go when it ends. */
  async lease(options: LeaseOptions = {}): Promise<Lease> {
    const settings = checkCallOptions(options);
    const ttlMs = checkTtl(options.ttlMs ?? ttlMsDefault);
    return this.#hold(await Lease.grant(this.#env, this.#coordinator, ttlMs, settings));
  }

  /**
   * Settles when the caller holds the lock; those who wait get it in the order in which they came. It is held, and its lease kept alive, until it is
   * released or lost, or the net is closed.
   * @param name 1 to 128 bytes
   * Fails: PAIPAI_ERR_LEASE_LOST when the coordinator could not be reached for `ttlMs`.
   */
  async lock(name: string, options: LockOptions = {}): Promise<Lock> {
    return new Lock(name, await this.#takeTurn(locks, 'lock', name, options));
  }

  /**
   * Settles when the caller leads: nobody else does, until its term is over. Candidates lead in the order in which they came. Fails as `lock`.
   * @param name 1 to 128 bytes
   */
  async elect(name: string, options: ElectOptions = {}): Promise<Leadership> {
    const value = copyOfValue(options?.value ?? new Uint8Array(0), 0) ?? new Uint8Array(0);
    if (value.byteLength > leaderValueBytesMax) {
      const expected = `of at most ${leaderValueBytesMax} bytes`;
      throw invalidArgument('value', expected, `${value.byteLength} bytes`);
    }
    const turn = await this.#takeTurn(candidates, 'election', name, options);
    try {
      await this.#announce(leaders + nameInKey(name), turn, value);
    } catch (thrown) {
      await turn.lease.release();
      throw thrown;
    }
    return new Leadership(name, turn);
  }

  /** Who leads now; undefined when nobody does. */
  async leader(name: string, options?: CallOptions): Promise<Leader | undefined> {
    const key = leaders + nameInKey(name);
    return decodeLeader(key, (await this.#coordinator.get(key, options)).value);
  }

  /**
   * Who leads now, and then each time another one does, or nobody. Of several changes between two looks the last one is told. It ends as a watch
   * does, but for PAIPAI_ERR_HISTORY_GONE.
   */
  async *leaders(
    name: string,
    { signal }: Pick<CallOptions, 'signal'> = {},
  ): AsyncGenerator<Leader | undefined, void, void> {
    const key = leaders + nameInKey(name);
    for (;;) {
      const { value, asOf } = await this.#coordinator.get(key, { signal });
      yield decodeLeader(key, value);
      try {
        for await (const change of this.#coordinator.watch(key, { after: asOf, signal })) {
          yield decodeLeader(key, change.value);
        }
        return;
      } catch (thrown) {
        if (!isPaipaiError(thrown, 'PAIPAI_ERR_HISTORY_GONE')) throw thrown;
      }
    }
  }

  /** Releases whatever is held, and closes the coordinator. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#waiting, ...Array.from(this.#leases, (lease) => lease.release())]);
    await this.#coordinator.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #takeTurn(prefix: string, kind: string, name: string, options: LockOptions): Promise<Turn> {
    checkObject('options', options);
    const { deadlineMs = Infinity, signal: signalOfCaller } = options;
    const settings = checkCallOptions({ deadlineMs, signal: signalOfCaller });
    const ttlMs = checkTtl(options.ttlMs ?? ttlMsDefault);
    const what = `${kind} ${JSON.stringify(name)}`;
    const queue = `${prefix}${nameInKey(name)}/`;
    const signals = settings.signal === undefined ? [] : [settings.signal];
    const signal = AbortSignal.any([...signals, this.#closing.signal]);
    const taking = takeTurn(this.#env, this.#coordinator, what, queue, {
      ...settings,
      signal,
      ttlMs,
    });
    const waiting = taking.catch(() => {}); // Whoever asked hears of it.
    this.#waiting.add(waiting);
    try {
      const turn = await taking;
      await this.#hold(turn.lease);
      return turn;
    } catch (thrown) {
      if (this.#closing.signal.aborted) throw closedError();
      throw thrown;
    } finally {
      this.#waiting.delete(waiting);
    }
  }

  /** Shows everybody who leads, if the turn is still there. */
  async #announce(key: string, { lease, key: place, token }: Turn, value: Uint8Array) {
    const leader = encodeLeader({ term: token, value });
    const { isSet } = await this.#coordinator.txn(
      {
        expect: [{ key: place, version: token }],
        set: [{ key, value: leader, leaseId: lease.leaseId }],
      },
      { signal: lease.signal },
    );
    lease.throwIfOver();
    if (isSet) return;
    throw new PaipaiError('PAIPAI_ERR_LEASE_LOST', `the key ${place} is not there any more`);
  }

  async #hold(lease: Lease): Promise<Lease> {
    if (this.#closing.signal.aborted) {
      await lease.release();
      lease.throwIfOver();
    }
    this.#leases.add(lease);
    lease.signal.addEventListener('abort', () => this.#leases.delete(lease));
    return lease;
  }
}

/** Without a slash, so that no name begins as another one's key does. @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT. */
function nameInKey(name: string): string {
  const text = checkString('name', name, nameBytesMax);
  if (/\p{Surrogate}/u.test(text)) throw invalidArgument('name', 'well-formed text', text);
  return encodeURIComponent(text);
}
