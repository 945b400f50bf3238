import type { Env } from '../base/env.js';
import { PaipaiError } from '../base/errors.js';
import { closedError } from '../coordination/call.js';
import { type CallOptions, type Coordinator, txnKeysMax } from '../coordination/coordinator.js';
import { Lease } from '../coordination/lease.js';
import { ByteReader, ByteWriter } from '../wire/byte-cursor.js';
import type { Outcome } from './messages.js';

/** Keys of the package itself: who decides transactions, under a lease, and which ones are committed. */
const driversPrefix = 'paipainet/transaction-driver/';
const committedPrefix = 'paipainet/transaction/';

/** Who dies leaves what it has not decided in doubt for so long. */
export const driverTtlMs = 3_000;
/** For what is told to a coordinator while nobody waits for it. */
const partingMs = 1_000;
/** What is older nobody asks for any more. */
const askedForMs = 24 * 3_600_000;
const driverIdBytes = 8;

/** Who decides transactions, as long as its key is there: then what it has not committed may still be. */
interface Driver {
  readonly id: string;
  readonly lease: Lease;
  /** Of its key. */
  readonly version: number;
  count: number;
}

interface ParsedId {
  readonly driverId: string;
  readonly version: number;
}

export class UnknownOutcome extends Error {}

/**
 * Which transactions are committed, in the table of a coordinator. A transaction is committed by the one change that writes its key, and only while the
 * key of its driver is there as it was. So when that key is gone, whatever is not committed never will be: nobody writes down what is aborted.
 */
export class Decisions {
  readonly #env: Pick<Env, 'clock' | 'timers' | 'random'>;
  readonly #coordinator: Coordinator;
  #driver: Driver | undefined;
  #registering: Promise<Driver> | undefined;
  #forgetting: Promise<void> | undefined;
  #isClosed = false;
  readonly #forgettable: string[] = [];
  /** Ids of the drivers that there were here. */
  readonly #own = new Set<string>();

  constructor(env: Pick<Env, 'clock' | 'timers' | 'random'>, coordinator: Coordinator) {
    this.#env = env;
    this.#coordinator = coordinator;
  }

  /** An id under which a transaction may be prepared. Fails as `Coordinator.grantLease` and `compareAndSet`; PAIPAI_ERR_CLOSED. */
  async begin(options: CallOptions): Promise<string> {
    if (this.#isClosed) throw closedError();
    const driver =
      this.#driver?.lease.isHeld === true ? this.#driver : await this.#register(options);
    return `${driver.id}-${driver.version}-${driver.count++}`;
  }

  /**
   * Commits what every node has promised, unless its driver has lost its lease since `begin`. Fails: UnknownOutcome; ask for the `outcomeOf` it, until that
   * is not unknown any more.
   */
  async commit(id: string, options: CallOptions): Promise<Outcome> {
    const { driverId, version } = parse(id);
    try {
      const { isSet } = await this.#coordinator.txn(
        {
          expect: [
            { key: driversPrefix + driverId, version },
            { key: committedPrefix + id, version: 0 },
          ],
          set: [{ key: committedPrefix + id, value: this.#now() }],
        },
        options,
      );
      if (!isSet) this.#part(driverId);
      return isSet ? 'committed' : 'aborted';
    } catch (thrown) {
      // It may be on its way yet. With another driver it will not be late.
      this.#part(driverId);
      throw new UnknownOutcome('a commit was not answered', { cause: thrown });
    }
  }

  /** Whether the transaction was begun here. */
  isOwn(id: string): boolean {
    return this.#own.has(parse(id).driverId);
  }

  /** Fails as `Coordinator.get`; PAIPAI_ERR_INVALID_ARGUMENT for an id that is none. */
  async outcomeOf(id: string, options: CallOptions): Promise<Outcome | 'unknown'> {
    const { driverId, version } = parse(id);
    // In this order: what is not committed when the driver is gone never will be.
    const driver = await this.#coordinator.get(driversPrefix + driverId, options);
    const committed = await this.#coordinator.get(committedPrefix + id, options);
    if (committed.version > 0) return 'committed';
    return driver.version === version ? 'unknown' : 'aborted';
  }

  /** All nodes have followed these commits, so nobody will ask for them. Soon: with others in one change. */
  forget(ids: readonly string[]): void {
    this.#forgettable.push(...ids);
    this.#forgetting ??= this.#forgetAll();
  }

  /**
   * Commits that those who made them cannot forget, because they died, or have failed to: a day old. At most a thousand.
   * Fails as `Coordinator.list` and `get`.
   */
  async left(): Promise<string[]> {
    const limits = { deadlineMs: partingMs };
    const { keys } = await this.#coordinator.list(committedPrefix, limits);
    const left: string[] = [];
    for (const { key } of keys) {
      const { value } = await this.#coordinator.get(key, limits);
      const isOld = value !== undefined && this.#env.clock.wallMs() - wallMsOf(value) > askedForMs;
      if (isOld) left.push(key.slice(committedPrefix.length));
    }
    return left;
  }

  /** What is not committed is aborted from now on. It never fails. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#forgetting;
    await this.#registering?.catch(() => {}); // Whoever began hears of it.
    await this.#driver?.lease.release();
  }

  #register(options: CallOptions): Promise<Driver> {
    this.#registering ??= (async () => {
      try {
        this.#driver = await this.#makeDriver(options);
        return this.#driver;
      } finally {
        this.#registering = undefined;
      }
    })();
    return this.#registering;
  }

  async #makeDriver(options: CallOptions): Promise<Driver> {
    const lease = await Lease.grant(this.#env, this.#coordinator, driverTtlMs, options);
    try {
      const id = Buffer.from(this.#env.random.bytes(driverIdBytes)).toString('hex');
      const key = driversPrefix + id;
      const { leaseId } = lease;
      const { isSet, version } = await this.#coordinator.compareAndSet(key, 0, new Uint8Array(0), {
        ...options,
        leaseId,
      });
      if (!isSet) throw new PaipaiError('PAIPAI_ERR_DUPLICATE_ID', `the key ${key} is taken`);
      this.#own.add(id);
      return { id, lease, version, count: 0 };
    } catch (thrown) {
      await lease.release();
      throw thrown;
    }
  }

  /** Has the next transaction begin under another driver; this one's key goes, now or with its lease. */
  #part(driverId: string): void {
    if (this.#driver?.id !== driverId) return;
    void this.#driver.lease.release();
    this.#driver = undefined;
  }

  /** It never rejects: what is not forgotten now stands in the way of nobody, and is found after a day. */
  async #forgetAll(): Promise<void> {
    while (this.#forgettable.length > 0) {
      const ids = this.#forgettable.splice(0, txnKeysMax);
      const set = ids.map((id) => ({ key: committedPrefix + id, value: undefined }));
      await this.#coordinator.txn({ set }, { deadlineMs: partingMs }).catch(() => {});
    }
    this.#forgetting = undefined;
  }

  /** Of people, for who looks how old something is. */
  #now(): Uint8Array {
    return new ByteWriter().integer(Math.max(0, Math.floor(this.#env.clock.wallMs()))).finish();
  }
}

/** What is no time was long ago. */
function wallMsOf(value: Uint8Array): number {
  return value.byteLength === 8 ? new ByteReader(value).integer() : 0;
}

/** @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT. */
function parse(id: string): ParsedId {
  const [, driverId, version] = /^([0-9a-f]{16})-(\d{1,16})-\d{1,16}$/.exec(id) ?? [];
  if (driverId !== undefined) return { driverId, version: Number(version) };
  throw new PaipaiError(
    'PAIPAI_ERR_INVALID_ARGUMENT',
    `a transaction has an id like 0123456789abcdef-7-0, not ${JSON.stringify(id.slice(0, 100))}`,
  );
}
