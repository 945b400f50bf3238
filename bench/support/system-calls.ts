import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Null when strace can count here, else why not. */
export function straceObstacle(): string | null {
  const { error, status } = spawnSync('strace', ['-c', '-o', '/dev/null', 'true']);
  if (error !== undefined) return 'strace is not installed';
  return status === 0 ? null : 'strace may not trace here';
}

/** The calls of all kinds, from what `strace -c` writes; undefined when it wrote no total. */
export function totalCalls(summary: string): number | undefined {
  // Time in per cent, seconds, µs a call, calls, and errors where there are some.
  const total = /^\s*100\.00\s+\S+\s+(?:\d+\s+)?(\d+)(?:\s+\d+)?\s+total\s*$/m.exec(summary);
  return total === null ? undefined : Number(total[1]);
}

/** `strace` on all threads of a process that runs already. */
export class CallCounter {
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'paipainet-strace-'));
  readonly #child: ChildProcess;

  constructor(pid: number) {
    const args = ['-c', '-f', '-o', join(this.#folder, 'summary'), '-p', String(pid)];
    this.#child = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  }

  /** Resolves when it counts. */
  static async attach(pid: number): Promise<CallCounter> {
    const counter = new CallCounter(pid);
    // It says that it is attached, or why it cannot be.
    await Promise.race([
      once(counter.#child.stderr as NodeJS.ReadableStream, 'data'), // A pipe.
      once(counter.#child, 'exit'),
    ]);
    return counter;
  }

  /** The calls since then; undefined when it could not attach. */
  async end(): Promise<number | undefined> {
    try {
      if (this.#child.exitCode !== null) return undefined;
      this.#child.kill('SIGINT');
      await once(this.#child, 'exit');
      return totalCalls(readFileSync(join(this.#folder, 'summary'), 'utf8'));
    } finally {
      rmSync(this.#folder, { recursive: true, force: true });
    }
  }
}
