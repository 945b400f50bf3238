/**
 * The case `process` with piscina: a thread for each processor, and pieces in shared memory, which is used again for the next piece. One
 * copy is all that the bytes take; the next piece lies there before a thread has finished the one before.
 */
import { fileURLToPath } from 'node:url';
import { loadPackage } from '../../support/packages.js';
import { processing } from '../../support/processing.js';
import { play } from '../../support/program.js';
import { cutAtRows, pieceBytesOf, processPieces, workerCount } from '../../support/table.js';
import type { Groups } from '../../support/table-job.js';
import type { Task } from './worker.js';

/** What is used of it. */
interface Package {
  readonly Piscina: new (options: {
    readonly filename: string;
    readonly minThreads: number;
    readonly maxThreads: number;
  }) => {
    run(task: Task): Promise<Groups>;
    destroy(): Promise<void>;
  };
}

const inFlight = 2 * workerCount;

await play(
  processing(async (tableBytes) => {
    const { Piscina } = loadPackage<Package>('piscina');
    const pool = new Piscina({
      filename: fileURLToPath(new URL('./worker.js', import.meta.url)),
      minThreads: workerCount,
      maxThreads: workerCount,
    });
    const pieceBytes = pieceBytesOf(tableBytes);
    const blocks: Uint8Array[] = Array.from(
      { length: inFlight },
      () => new Uint8Array(new SharedArrayBuffer(pieceBytes)),
    );
    // A thread has its code when it has answered; while one loads it, the next task goes to another.
    const nothing = { bytes: new Uint8Array(0), hasHeader: false };
    await Promise.all(Array.from({ length: workerCount }, () => pool.run(nothing)));
    return {
      pids: [],
      process: (table) =>
        processPieces(cutAtRows(table, pieceBytes), inFlight, async ({ start, end }) => {
          const block = blocks.pop() as Uint8Array; // As many as pieces in flight.
          block.set(table.subarray(start, end));
          const bytes = block.subarray(0, end - start);
          const groups = await pool.run({ bytes, hasHeader: start === 0 });
          blocks.push(block);
          return groups;
        }),
      close: () => pool.destroy(),
    };
  }),
);
