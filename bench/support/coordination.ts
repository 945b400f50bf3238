/** What the programs of the case `coordination` have in common: what is asked of a backend, when the clock runs, and what must lie there then. */
import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { isPaipaiError, Net, type NetCoordinator, type NetOptions } from 'paipainet';
import { checksum } from './checksum.js';
import { type OperationName, operationNames } from './coordination-operations.js';
import { percentiles } from './latencies.js';
import { cpuSecondsOf } from './process-cpu.js';
import { type ClientRole, cpuSeconds, type Program, setting } from './program.js';
import type { Facts, Settings } from './types.js';

/** Members of a backend that listen. They go with this process. */
export interface Backend {
  /** Of a client. */
  readonly netOptions: NetOptions;
  readonly members: readonly ChildProcess[];
}

/** Does one operation for the worker of that number, each of whom has keys and names of its own. @throws when the answer is wrong. */
type Operation = (worker: number) => Promise<void>;

const samplesMax = 1_000_000;
/** Of each operation, before the clock starts: a few hundred of them a second leave code cold for long. */
const warmSeconds = 3;
/** For members to find each other. */
const startMsMax = 30_000;
const retryMs = 50;

/** What one client does, and what it must find afterwards. */
class Client {
  readonly #table: NetCoordinator;
  readonly #value: (count: number) => Uint8Array;
  /** By key: what it holds, as far as was confirmed. */
  readonly #confirmed = new Map<string, { version: number; value: Uint8Array }>();
  /** By name: of the last who had it. */
  readonly #tokens = new Map<string, number>();
  #count = 0;

  constructor(table: NetCoordinator, valueBytes: number) {
    this.#table = table;
    this.#value = (count) => {
      const value = Buffer.alloc(valueBytes, count % 251);
      value.writeDoubleLE(count);
      return value;
    };
  }

  readonly operations: Readonly<Record<OperationName, Operation>> = {
    compareAndSet: async (worker) => {
      const key = `bench/compare/${worker}`;
      const value = this.#value(++this.#count);
      const before = this.#confirmed.get(key)?.version ?? 0;
      const { isSet, version } = await this.#table.compareAndSet(key, before, value);
      if (!isSet) throw new Error(`${key} holds version ${version} instead of ${before}`);
      this.#confirmed.set(key, { version, value });
    },
    put: async (worker) => {
      const key = `bench/put/${worker}`;
      const value = this.#value(++this.#count);
      const { version } = await this.#table.put(key, value);
      this.#confirmed.set(key, { version, value });
    },
    lock: async (worker) => {
      const name = `bench/${worker}`;
      const lock = await this.#table.lock(name);
      this.#follow(`lock ${name}`, lock.token);
      await lock.release();
    },
    election: async (worker) => {
      const name = `bench/${worker}`;
      const value = this.#value(++this.#count);
      const leadership = await this.#table.elect(name, { value });
      this.#follow(`election ${name}`, leadership.term);
      await leadership.resign();
    },
  };

  /** Each is higher than the one before. */
  #follow(name: string, token: number): void {
    const before = this.#tokens.get(name) ?? 0;
    if (token <= before) throw new Error(`${name} gave ${token} after ${before}`);
    this.#tokens.set(name, token);
  }

  /** Of what is there now, and of what should be; nobody holds or leads anything any more. */
  async verify(): Promise<Facts> {
    let [expected, found] = [0, 0];
    for (const [key, confirmed] of this.#confirmed) {
      expected = checksumOf(expected, key, confirmed);
      const { version, value = new Uint8Array(0) } = await this.#table.get(key);
      found = checksumOf(found, key, { version, value });
    }
    const { keys } = await this.#table.list('');
    const others = keys.filter(({ key }) => !this.#confirmed.has(key) && key !== readyKey);
    return { expected: `${expected}`, found: [found, ...others.map(({ key }) => key)].join(' ') };
  }
}

const readyKey = 'bench/ready';

function checksumOf(
  before: number,
  key: string,
  { version, value }: { version: number; value: Uint8Array },
): number {
  return checksum(value, checksum(Buffer.from(`${key} ${version}`), before));
}

/** So many workers at once, each one operation after the other. */
async function repeat(operation: Operation, workers: number, seconds: number) {
  const samples = new Float64Array(samplesMax);
  let count = 0;
  const startMs = performance.now();
  const untilMs = startMs + seconds * 1e3;
  const work = async (worker: number): Promise<void> => {
    for (let beginMs = startMs; beginMs < untilMs; ) {
      await operation(worker);
      const endMs = performance.now();
      if (count < samplesMax) samples[count] = endMs - beginMs;
      count++;
      beginMs = endMs;
    }
  };
  await Promise.all(Array.from({ length: workers }, (_, worker) => work(worker)));
  const taken = (performance.now() - startMs) / 1e3;
  return { count, seconds: taken, samples: samples.subarray(0, Math.min(count, samplesMax)) };
}

/** Settles when a change is confirmed. */
async function untilServing(table: NetCoordinator): Promise<void> {
  const endMs = performance.now() + startMsMax;
  for (;;) {
    try {
      await table.put(readyKey, new Uint8Array(0), { deadlineMs: 5_000 });
      return;
    } catch (thrown) {
      if (!isPaipaiError(thrown) || performance.now() > endMs) throw thrown;
      await sleep(retryMs);
    }
  }
}

async function client(
  start: (settings: Settings) => Promise<Backend>,
  settings: Settings,
): Promise<ClientRole> {
  const workers = setting(settings, 'in-flight', 1);
  const seconds = setting(settings, 'seconds', 2);
  const backend = await start(settings);
  const pids = backend.members.map(({ pid }) => pid ?? 0);
  const net = new Net(backend.netOptions);
  await net.start();
  await untilServing(net.coordinator);
  const bench = new Client(net.coordinator, setting(settings, 'value-bytes', 64));
  for (const name of operationNames) await repeat(bench.operations[name], workers, warmSeconds);
  return {
    async run() {
      const facts: Record<string, number> = {};
      for (const name of operationNames) {
        const cpuBefore = cpuSeconds() + cpuSecondsOf(pids);
        const {
          count,
          seconds: taken,
          samples,
        } = await repeat(bench.operations[name], workers, seconds);
        facts[`${name}CpuSeconds`] = cpuSeconds() + cpuSecondsOf(pids) - cpuBefore;
        facts[`${name}Count`] = count;
        facts[`${name}Seconds`] = taken;
        const sum = samples.reduce((all, one) => all + one, 0);
        facts[`${name}MeanMicroseconds`] = (sum / samples.length) * 1e3;
        const { p50Microseconds, p99Microseconds } = percentiles(samples);
        facts[`${name}P50Microseconds`] = p50Microseconds;
        facts[`${name}P99Microseconds`] = p99Microseconds;
      }
      return facts;
    },
    verify: () => bench.verify(),
    async close() {
      await net.close();
      for (const member of backend.members) member.kill('SIGKILL');
    },
  };
}

/** The program of a peer. */
export function coordinating(start: (settings: Settings) => Promise<Backend>): Program {
  return {
    server() {
      throw new Error('there is no server');
    },
    client: (settings) => client(start, settings),
  };
}
