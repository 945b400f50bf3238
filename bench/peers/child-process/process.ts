/** The case `process` with a forked process for each processor, and a message for each piece; the next one is sent before a process asks for it. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { processing } from '../../support/processing.js';
import { play } from '../../support/program.js';
import { cutAtRows, pieceBytesOf, processPieces, workerCount } from '../../support/table.js';
import type { Groups } from '../../support/table-job.js';

const perChild = 2;

/** One process; its answers come in the order of its pieces. */
class Child {
  readonly process: ChildProcess = fork(fileURLToPath(new URL('./worker.js', import.meta.url)), {
    serialization: 'advanced',
  });
  readonly #waiting: ((groups: Groups) => void)[] = [];

  constructor() {
    this.process.on('message', (groups: Groups) => this.#waiting.shift()?.(groups));
    this.process.on('exit', (code) => {
      if (this.#waiting.length > 0) throw new Error(`a child process ended with ${code}`);
    });
  }

  get underWay(): number {
    return this.#waiting.length;
  }

  ask(bytes: Buffer, hasHeader: boolean): Promise<Groups> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.process.send({ bytes, hasHeader });
    });
  }
}

await play(
  processing(async (tableBytes) => {
    const pieceBytes = pieceBytesOf(tableBytes);
    const children = Array.from({ length: workerCount }, () => new Child());
    await Promise.all(children.map((child) => child.ask(Buffer.alloc(0), false)));
    const idlest = (): Child =>
      children.reduce((best, child) => (child.underWay < best.underWay ? child : best));
    return {
      pids: children.map((child) => child.process.pid ?? 0),
      process: (table) =>
        processPieces(cutAtRows(table, pieceBytes), perChild * workerCount, ({ start, end }) =>
          idlest().ask(table.subarray(start, end), start === 0),
        ),
      async close() {
        const exits = children.map((child) => once(child.process, 'exit'));
        for (const child of children) child.process.disconnect();
        await Promise.all(exits);
      },
    };
  }),
);
