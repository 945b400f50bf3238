/** What the programs of the exchange cases have in common, whatever library carries their messages. */
import { messageBytesOf, Tally } from './content.js';
import { Latencies } from './latencies.js';
import { type ClientRole, type ServerRole, setting, warmUpSeconds } from './program.js';
import type { Settings } from './types.js';

/** What is exchanged: so many requests under way on each of so many connections. */
export interface ExchangePlan {
  readonly payloadBytes: number;
  readonly inFlight: number;
  readonly connectionCount: number;
  readonly seconds: number;
}

/** Of the settings. */
export function exchangePlanOf(settings: Settings): ExchangePlan {
  return {
    payloadBytes: messageBytesOf(settings['message-bytes']),
    inFlight: setting(settings, 'in-flight', 1),
    connectionCount: setting(settings, 'connections', 1),
    seconds: setting(settings, 'seconds', 2),
  };
}

/** The server of a message case: all that it says is what it has taken. */
export function takingServer(
  address: string,
  taken: Tally,
  close: () => void | Promise<void>,
): ServerRole {
  return {
    address,
    verify: () => ({ takenCount: taken.count, takenChecksum: taken.checksum }),
    close,
  };
}

/** The numbers of the messages of one connection: message k of connection i of n has number i + k n. */
export class Course {
  sentCount = 0;
  #answeredCount = 0;
  readonly #index: number;
  readonly #count: number;

  constructor(index: number, count: number) {
    this.#index = index;
    this.#count = count;
  }

  /** The number of the next request. */
  begin(): number {
    return (this.#index + this.sentCount++ * this.#count) >>> 0;
  }

  /** Answers come in the order of requests. */
  end(number: number): void {
    const expected = (this.#index + this.#answeredCount++ * this.#count) >>> 0;
    if (number !== expected) throw new Error(`answer ${number} came instead of ${expected}`);
  }
}

/** The client's side of an exchange: counts what comes back, and knows when it is over. */
export class ExchangeClient {
  readonly plan: ExchangePlan;
  readonly answered: Tally = new Tally();
  readonly courses: readonly Course[];
  /** Nothing new is to be sent. */
  isOver = false;
  readonly #latencies: Latencies | null;
  #underWay = 0;
  #onIdle: () => void = () => {};

  constructor(plan: ExchangePlan) {
    const { inFlight, connectionCount } = plan;
    this.plan = plan;
    this.courses = Array.from(
      { length: connectionCount },
      (_, index) => new Course(index, connectionCount),
    );
    this.#latencies = inFlight * connectionCount === 1 ? new Latencies() : null;
  }

  /** After `answered` has taken an answer to this course: true when the next request is to be sent. */
  answer(course: Course, number: number): boolean {
    course.end(number);
    this.lap();
    if (!this.isOver) return true;
    this.#underWay--;
    return false;
  }

  lap(): void {
    this.#latencies?.lap();
  }

  /** Called now and then, once the answers that have come are counted. */
  settle(): void {
    if (this.#underWay === 0) this.#onIdle();
  }

  /** Until `isOver`, `seconds` from now; those requests that are under way then have to be waited for. */
  startFor(seconds: number): void {
    this.isOver = false;
    setTimeout(() => {
      this.isOver = true;
    }, seconds * 1e3);
    this.#latencies?.start();
  }

  /** Calls `ask` for each request that is under way from the start; resolves when the last answer has come. */
  exchangeFor(seconds: number, ask: (connectionIndex: number) => void): Promise<void> {
    return new Promise((resolve) => {
      const { inFlight, connectionCount } = this.plan;
      this.#onIdle = resolve;
      this.#underWay = inFlight * connectionCount;
      this.startFor(seconds);
      for (let index = 0; index < connectionCount; index++) {
        for (let i = 0; i < inFlight; i++) ask(index);
      }
    });
  }

  /** The role, once `exchangeFor` has run warm. `waiting` is what the library does until something comes. */
  async role(
    exchangeFor: (seconds: number) => Promise<void>,
    close: () => void | Promise<void>,
    waiting: string = 'sleep',
  ): Promise<ClientRole> {
    const { answered, plan } = this;
    await exchangeFor(warmUpSeconds);
    return {
      run: async () => {
        const before = answered.count;
        await exchangeFor(plan.seconds);
        return { count: answered.count - before, waiting, ...this.#latencies?.facts() };
      },
      verify: () => {
        const sent = new Tally();
        for (const [index, { sentCount }] of this.courses.entries()) {
          sent.addKnown(index, plan.connectionCount, sentCount, plan.payloadBytes);
        }
        return {
          sentCount: sent.count,
          sentChecksum: sent.checksum,
          answeredCount: answered.count,
          answeredChecksum: answered.checksum,
        };
      },
      close,
    };
  }
}
