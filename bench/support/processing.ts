/** What the programs of the case `process` have in common: the table, when the clock runs, and what must come out. */
import { cpuSecondsOf } from './process-cpu.js';
import { type ClientRole, cpuSeconds, type Program, setting } from './program.js';
import { spreadOf } from './summary.js';
import { checksumOf, makeTable } from './table.js';
import type { Groups } from './table-job.js';
import type { Settings } from './types.js';

/** Those who work on the table, started and ready. */
export interface Crew {
  /** The whole job, from bytes to the merged groups. */
  process(table: Buffer): Promise<Groups>;
  /** Processes beside this one that work on it. */
  readonly pids: readonly number[];
  close(): Promise<void>;
}

type Start = (tableBytes: number, settings: Settings) => Promise<Crew>;

/** Starts a crew, has it do the job once, and then again and again, all timed apart. */
async function client(start: Start, settings: Settings): Promise<ClientRole> {
  const jobs = setting(settings, 'jobs', 5);
  const { bytes: table, expected } = makeTable(setting(settings, 'bytes', 2 ** 26));
  const checksums = new Set<string>();
  let crew: Crew | undefined;
  return {
    async run() {
      const startMs = performance.now();
      const started = await start(table.length, settings);
      crew = started;
      const startedMs = performance.now();
      const process = async (): Promise<number> => {
        const beginMs = performance.now();
        const groups = await started.process(table);
        const seconds = (performance.now() - beginMs) / 1e3;
        checksums.add(checksumOf(groups));
        return seconds;
      };
      const firstSeconds = await process();
      const cpuBefore = cpuSeconds() + cpuSecondsOf(started.pids);
      const seconds: number[] = [];
      while (seconds.length < jobs) seconds.push(await process());
      const cpu = cpuSeconds() + cpuSecondsOf(started.pids) - cpuBefore;
      return {
        bytes: table.length,
        startSeconds: (startedMs - startMs) / 1e3,
        firstSeconds,
        jobSeconds: spreadOf(seconds).median,
        jobCpuSeconds: cpu / jobs,
      };
    },
    verify: () => ({ expected, found: [...checksums].join(' and ') }),
    close: () => crew?.close(),
  };
}

/** The program of a peer. */
export function processing(start: Start): Program {
  return {
    server() {
      throw new Error('there is no server');
    },
    client: (settings) => client(start, settings),
  };
}
