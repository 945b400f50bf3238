import { invalidArgument } from '../../base/check.js';
import type { PaipaiCode } from '../../base/codes.js';
import { deferred } from '../../base/deferred.js';
import type { Env, Timer } from '../../base/env.js';
import { isPaipaiError, PaipaiError, toError } from '../../base/errors.js';
import { formatAddress, parseAddress } from '../../transport/address.js';

/** What the rounds need of the node that joins. */
export interface JoinHost {
  /** One exchange with the node at `address`; rejects when there is none, or when it refuses. */
  ask(address: string): Promise<void>;
  /** A living member is reached there, so it need not be asked. */
  isKnown(address: string): boolean;
  /** A seed refuses this node, and is not asked again; unless that is what `begin` fails with. */
  onRefused(error: PaipaiError): void;
}

/** Longest list of seeds; each is asked in each round. */
const seedCountMax = 64;

/** The wait before round n (1, 2 …) is a random half to whole of min(`waitMsMost`, `waitMsFirst` · 2^(n − 1)). */
const waitMsFirst = 500;
const waitMsMost = 30_000;

/** Asking again would get the same answer. */
const refusalCodes: ReadonlySet<PaipaiCode> = new Set<PaipaiCode>([
  'PAIPAI_ERR_FRAME_MAGIC',
  'PAIPAI_ERR_FRAME_VERSION',
  'PAIPAI_ERR_VERSION_MISMATCH',
  'PAIPAI_ERR_NET_NAME',
  'PAIPAI_ERR_SECRET',
  'PAIPAI_ERR_METHOD_UNKNOWN',
  'PAIPAI_ERR_INVALID_STATE',
  'PAIPAI_ERR_PROTOCOL',
  'PAIPAI_ERR_DUPLICATE_ID',
]);

/**
 * Addresses of seeds in the form that members announce, each once.
 * @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT for no list of 1 to 64 of them, PAIPAI_ERR_INVALID_ADDRESS for one that is not `tcp://…`
 */
export function checkSeeds(seeds: unknown, name = 'join'): string[] {
  if (!Array.isArray(seeds) || seeds.length === 0 || seeds.length > seedCountMax) {
    throw invalidArgument(name, `a list of 1 to ${seedCountMax} addresses`, seeds);
  }
  const addresses = seeds.map((seed: unknown) => {
    const address = parseAddress(seed);
    if (address.scheme === 'tcp' && address.port > 0) return formatAddress(address);
    throw new PaipaiError(
      'PAIPAI_ERR_INVALID_ADDRESS',
      `a net is joined at tcp://host:port with a port from 1, and not at ${seed}`,
    );
  });
  return [...new Set(addresses)];
}

/**
 * Asks seeds, all at once, until each has answered, has refused or has turned out to be a member. One answer is enough to be in the net;
 * the others are asked on, at growing distances, because nodes that start together and find each other in pairs would otherwise be so many
 * nets.
 */
export class JoinRounds {
  readonly #env: Env;
  readonly #host: JoinHost;
  readonly #pending: Set<string>;
  readonly #first = deferred<boolean>();
  #hasAnswer = false;
  #problem: PaipaiError | null = null;
  #roundCount = 0;
  #timer: Timer | null = null;
  #isStopped = false;

  /** @param seeds as `checkSeeds` gives them */
  constructor(env: Env, seeds: readonly string[], host: JoinHost) {
    this.#env = env;
    this.#host = host;
    this.#pending = new Set(seeds);
  }

  /** Why no seed has answered so far; null before the first round is over, and once one has. */
  get problem(): PaipaiError | null {
    return this.#problem;
  }

  /**
   * Begins. True with the first answer; false when no seed could be reached, and then it goes on by itself.
   * Fails with the code of a seed that refuses when no other has answered, and then it is over.
   */
  begin(): Promise<boolean> {
    void this.#runRound();
    return this.#first.promise;
  }

  /** What is under way is not waited for. Idempotent. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#first.resolve(false);
  }

  async #runRound(): Promise<void> {
    this.#roundCount++;
    for (const address of this.#pending) {
      if (this.#host.isKnown(address)) this.#onAnswer(address);
    }
    const failures: PaipaiError[] = [];
    await Promise.all(
      Array.from(this.#pending, async (address) => {
        try {
          await this.#host.ask(address);
          this.#onAnswer(address);
        } catch (thrown) {
          failures.push(seedFailure(address, thrown));
        }
      }),
    );
    if (!this.#isStopped) this.#conclude(failures);
  }

  #onAnswer(address: string): void {
    this.#pending.delete(address);
    this.#hasAnswer = true;
    this.#problem = null;
    this.#first.resolve(true);
  }

  #conclude(failures: readonly PaipaiError[]): void {
    const refusals = failures.filter(isRefusal);
    for (const { address = '' } of refusals) this.#pending.delete(address);
    if (!this.#hasAnswer) this.#problem = jointFailure(failures);
    if (!this.#hasAnswer && this.#roundCount === 1 && refusals.length > 0) {
      this.#first.reject(jointFailure(failures));
      this.stop();
      return;
    }
    this.#first.resolve(this.#hasAnswer);
    for (const refusal of refusals) this.#host.onRefused(refusal);
    if (this.#isStopped || this.#pending.size === 0) return;
    const wholeMs = Math.min(waitMsMost, waitMsFirst * 2 ** (this.#roundCount - 1));
    const waitMs = wholeMs * (0.5 + 0.5 * this.#env.random.next());
    this.#timer = this.#env.timers.after(waitMs, () => void this.#runRound());
  }
}

/** Why a seed could not be joined, with its address. */
export function seedFailure(address: string, thrown: unknown): PaipaiError {
  const error = toError(thrown);
  const code = isPaipaiError(error) ? error.code : 'PAIPAI_ERR_NODE_START';
  return new PaipaiError(code, `the net cannot be joined at ${address}: ${error.message}`, {
    address,
    cause: error,
  });
}

/** Whether trying again is of no use. */
export function isRefusal({ code }: PaipaiError): boolean {
  return refusalCodes.has(code);
}

/** One failure as it is; of several the first that is a refusal, or the first, with all of them as its cause. */
export function jointFailure(failures: readonly PaipaiError[]): PaipaiError | null {
  const first = failures.find(isRefusal) ?? failures[0];
  if (first === undefined || failures.length === 1) return first ?? null;
  const { code, message, address } = first;
  return new PaipaiError(code, `${message} (and ${failures.length - 1} more)`, {
    cause: new AggregateError(failures),
    ...(address === undefined ? {} : { address }),
  });
}
