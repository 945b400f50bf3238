import type { Env } from '../base/env.js';
import { isPaipaiError, PaipaiError } from '../base/errors.js';
import { bounded } from './call.js';
import type { CallSettings } from './check.js';
import type { Coordinator, KeyVersion } from './coordinator.js';
import { Lease } from './lease.js';

/**
 * Who waits for something that one has at a time. Each has a key under one prefix, which goes with its lease; whose key has the lowest version has
 * it, the others wait for the one right before them. So they come in order, one that goes wakes one, and the version of the key is higher
 * than that of all who had it before: it is the token of a lock, and the term of a leader.
 */
export interface Turn {
  readonly lease: Lease;
  /** Of its place in the queue. */
  readonly key: string;
  readonly token: number;
}

export interface TurnSettings extends CallSettings {
  readonly ttlMs: number;
}

/** Between two tries while the coordinator cannot be asked, in parts of the time of the lease. */
const retriesPerTtl = 10;

/**
 * Settles when it is the caller's turn, which lasts as long as the lease.
 * @param what opens the messages: "lock 'a'"
 * @param prefix ends with a slash
 * Fails: PAIPAI_ERR_LEASE_LOST; as `Coordinator.grantLease` and `compareAndSet`.
 */
export async function takeTurn(
  env: Pick<Env, 'clock' | 'timers'>,
  coordinator: Coordinator,
  what: string,
  prefix: string,
  settings: TurnSettings,
): Promise<Turn> {
  const stop = new AbortController();
  let held: Lease | undefined;
  try {
    return await bounded(env.timers, what, settings, async () => {
      // One that was granted and not heard of ends by itself.
      const lease = await cutOnce(() =>
        Lease.grant(env, coordinator, settings.ttlMs, { signal: stop.signal }),
      );
      held = lease;
      lease.signal.addEventListener('abort', () => stop.abort());
      // Whoever waited has given up, and cannot have seen this lease.
      if (stop.signal.aborted) await lease.release();
      return new Waiter(env, coordinator, lease, prefix, stop.signal).wait();
    });
  } catch (thrown) {
    stop.abort();
    await held?.release();
    throw thrown;
  }
}

/** One who stands in the queue. Every call ends with `#signal`, which fires when the lease is over. */
class Waiter {
  readonly #env: Pick<Env, 'timers'>;
  readonly #coordinator: Coordinator;
  readonly #lease: Lease;
  readonly #prefix: string;
  readonly #signal: AbortSignal;

  constructor(
    env: Pick<Env, 'timers'>,
    coordinator: Coordinator,
    lease: Lease,
    prefix: string,
    signal: AbortSignal,
  ) {
    this.#env = env;
    this.#coordinator = coordinator;
    this.#lease = lease;
    this.#prefix = prefix;
    this.#signal = signal;
  }

  async wait(): Promise<Turn> {
    const lease = this.#lease;
    const { leaseId } = lease;
    const key = this.#prefix + leaseId;
    const none = new Uint8Array(0);
    const options = { signal: this.#signal, leaseId };
    // Nobody else has this key: whoever finds it there has set it before.
    const { version } = await cutOnce(() =>
      this.#coordinator.compareAndSet(key, 0, none, options),
    ).catch((thrown: unknown) => {
      lease.throwIfOver();
      throw thrown;
    });
    for (;;) {
      try {
        const before = await this.#before({ key, version });
        lease.throwIfOver();
        if (before === undefined) return { lease, key, token: version };
        await this.#isGone(before);
      } catch (thrown) {
        lease.throwIfOver();
        // Until then the place is there, whoever cannot be asked at the moment.
        if (!isPassing(thrown)) throw thrown;
        await this.#pause(lease.ttlMs / retriesPerTtl);
      }
    }
  }

  /** Who stands right before that place; undefined when nobody does. */
  async #before(place: KeyVersion): Promise<KeyVersion | undefined> {
    let before: KeyVersion | undefined;
    let isThere = false;
    let after: string | undefined;
    for (let isComplete = false; !isComplete; ) {
      const page = await this.#coordinator.list(this.#prefix, { signal: this.#signal, after });
      for (const one of page.keys) {
        isThere ||= one.key === place.key && one.version === place.version;
        if (one.version < place.version && one.version > (before?.version ?? 0)) before = one;
      }
      isComplete = page.isComplete;
      after = page.keys.at(-1)?.key;
    }
    if (isThere) return before;
    throw new PaipaiError('PAIPAI_ERR_LEASE_LOST', `the key ${place.key} is not there any more`);
  }

  /** Settles when the key holds that version no more. */
  async #isGone({ key, version }: KeyVersion): Promise<void> {
    const watch = this.#coordinator.watch(key, { after: version, signal: this.#signal });
    await watch.next();
    await watch.return();
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel();
        this.#signal.removeEventListener('abort', end);
        resolve();
      };
      const timer = this.#env.timers.after(delayMs, end);
      this.#signal.addEventListener('abort', end);
    });
  }
}

/** `call`, and once more when whoever coordinates went away in the middle: it may be back, or another one in its place. */
async function cutOnce<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (thrown) {
    if (!isPaipaiError(thrown, 'PAIPAI_ERR_PEER_CLOSED')) throw thrown;
    return call();
  }
}

const passing: ReadonlySet<unknown> = new Set([
  'PAIPAI_ERR_COORDINATOR_DOWN',
  'PAIPAI_ERR_DEADLINE',
  'PAIPAI_ERR_HISTORY_GONE',
  'PAIPAI_ERR_OVERLOADED',
  'PAIPAI_ERR_PEER_CLOSED',
]);

function isPassing(thrown: unknown): boolean {
  return thrown instanceof PaipaiError && passing.has(thrown.code);
}
