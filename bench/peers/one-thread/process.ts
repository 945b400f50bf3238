/** The case `process` in the thread that has the table, piece by piece, since that is faster than all at once. */
import { processing } from '../../support/processing.js';
import { play } from '../../support/program.js';
import { cutAtRows, pieceBytesOf, processPieces } from '../../support/table.js';
import { countAndSum } from '../../support/table-job.js';

await play(
  processing(async (tableBytes) => ({
    pids: [],
    process: (table) =>
      processPieces(cutAtRows(table, pieceBytesOf(tableBytes)), 1, async ({ start, end }) =>
        countAndSum(table.subarray(start, end), start === 0),
      ),
    close: async () => {},
  })),
);
