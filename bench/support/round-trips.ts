/** What the programs have in common whose clients ask a database for the next number, over and over. */
import { percentiles } from './latencies.js';
import { type ClientRole, setting, warmUpSeconds } from './program.js';
import type { Settings } from './types.js';

const samplesMax = 4_000_000;

export interface Counter {
  /** Asks for the number that follows the last one. */
  next(): Promise<number>;
  /** The last number, by the server's own account. */
  last(): Promise<number>;
  close(): void | Promise<void>;
}

/** `in-flight` requests under way on one connection; each answer must be one above the answer before. */
export async function countingClient(settings: Settings, counter: Counter): Promise<ClientRole> {
  const inFlight = setting(settings, 'in-flight', 1);
  const samples = new Float64Array(samplesMax);
  let answered = 0;
  const ask = async (untilMs: number, first: number): Promise<void> => {
    for (;;) {
      const startMs = performance.now();
      if (startMs >= untilMs) return;
      const number = await counter.next();
      if (number !== ++answered) throw new Error(`${number} came instead of ${answered}`);
      const index = answered - first;
      if (index < samplesMax) samples[index] = performance.now() - startMs;
    }
  };
  const askFor = async (seconds: number): Promise<number> => {
    const before = answered;
    const untilMs = performance.now() + seconds * 1e3;
    await Promise.all(Array.from({ length: inFlight }, () => ask(untilMs, before + 1)));
    return answered - before;
  };
  await askFor(warmUpSeconds);
  return {
    async run() {
      const count = await askFor(setting(settings, 'seconds', 2));
      return { count, ...percentiles(samples.subarray(0, Math.min(count, samplesMax))) };
    },
    verify: async () => ({ answeredCount: answered, takenCount: await counter.last() }),
    close: () => counter.close(),
  };
}
