/** What the programs of the exchange cases have in common, whatever library carries their messages. */
import { Beside } from './beside.js';
import { messageBytesOf, Tally } from './content.js';
import { Latencies } from './latencies.js';
import { type ClientRole, type ServerRole, setting, warmUpSeconds } from './program.js';
import type { Settings } from './types.js';

/** Each connection carries one message. */
const touchSeconds = 0;

/** What is exchanged: so many requests under way on each of so many connections. */
export interface ExchangePlan {
  readonly payloadBytes: number;
  readonly inFlight: number;
  readonly connectionCount: number;
  readonly seconds: number;
  /** Connections that are open before the clock starts; the others are opened while it runs. */
  readonly openFirst: number;
  /** Whether what else the process does is measured too. */
  readonly isBeside: boolean;
}

/** Of the settings. */
export function exchangePlanOf(settings: Settings): ExchangePlan {
  const connectionCount = setting(settings, 'connections', 1);
  const isIdle = settings.idle === '1';
  return {
    payloadBytes: messageBytesOf(settings['message-bytes']),
    inFlight: setting(settings, 'in-flight', 1),
    connectionCount,
    seconds: isIdle ? touchSeconds : setting(settings, 'seconds', 2),
    openFirst: isIdle ? Math.ceil(connectionCount / 10) : connectionCount,
    isBeside: settings.beside === '1',
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

/** How a library does the work of a client. */
export interface ExchangeConnections {
  /** One more connection, for the messages of `course`. */
  open(course: Course): Promise<void>;
  /** Requests over all open connections for so long, until the last answer has come. */
  exchangeFor(seconds: number): Promise<void>;
  close(): void | Promise<void>;
  /** What the library does until something comes, when it does not sleep. */
  readonly waiting?: string | undefined;
}

/** The client's side of an exchange: counts what comes back, and knows when it is over. */
export class ExchangeClient {
  readonly plan: ExchangePlan;
  readonly answered: Tally = new Tally();
  readonly courses: readonly Course[];
  /** Nothing new is to be sent. */
  isOver = false;
  readonly #latencies: Latencies | null;
  #openCount = 0;
  #underWay = 0;
  #onIdle: () => void = () => {};

  constructor(plan: ExchangePlan) {
    const { inFlight, connectionCount } = plan;
    this.plan = plan;
    this.courses = Array.from(
      { length: connectionCount },
      (_, index) => new Course(index, connectionCount),
    );
    // Only one by one do durations follow each other.
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

  /**
   * Until `isOver`, `seconds` from now, with 0 after the first requests; those that are under way then have to be waited for.
   */
  startFor(seconds: number): void {
    this.isOver = seconds === 0;
    if (seconds > 0) {
      setTimeout(() => {
        this.isOver = true;
      }, seconds * 1e3);
    }
    this.#latencies?.start();
  }

  /** Calls `ask` for each request that is under way from the start; resolves when the last answer has come. */
  exchangeFor(seconds: number, ask: (connectionIndex: number) => void): Promise<void> {
    return new Promise((resolve) => {
      const { inFlight } = this.plan;
      this.#onIdle = resolve;
      this.#underWay = inFlight * this.#openCount;
      this.startFor(seconds);
      for (let index = 0; index < this.#openCount; index++) {
        for (let i = 0; i < inFlight; i++) ask(index);
      }
    });
  }

  /** The role, once it has run warm. */
  async role(connections: ExchangeConnections): Promise<ClientRole> {
    const { answered, plan } = this;
    const openUpTo = async (count: number): Promise<void> => {
      while (this.#openCount < count) {
        await connections.open(this.courses[this.#openCount] as Course); // `count` is at most how many there are.
        this.#openCount++;
      }
    };
    await openUpTo(plan.openFirst);
    await connections.exchangeFor(Math.min(warmUpSeconds, plan.seconds));
    return {
      run: async () => {
        const before = answered.count;
        const openBefore = this.#openCount;
        await openUpTo(plan.connectionCount);
        const beside = plan.isBeside ? new Beside() : null;
        await connections.exchangeFor(plan.seconds);
        return {
          count: answered.count - before,
          openedCount: this.#openCount - openBefore,
          waiting: connections.waiting ?? 'sleep',
          ...this.#latencies?.facts(),
          ...beside?.end(),
        };
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
      close: () => connections.close(),
    };
  }
}
