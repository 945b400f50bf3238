import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

const everyCall = 'raw_syscalls:sys_enter';

/** What counts here: perf hardly slows the counted, who has else time for calls that it would not make. */
const tools = {
  perf: {
    trial: ['stat', '-o', '/dev/null', '-e', everyCall, 'true'],
    // Off until told through descriptor 3, confirmed through 4: it says nothing of its own when it is attached.
    attach: ['stat', '-x,', '-e', everyCall, '-D', '-1', '--control', 'fd:3,4'],
    total: (summary: string) => new RegExp(`^(\\d+),,${everyCall}`, 'm').exec(summary)?.[1],
  },
  strace: {
    trial: ['-c', '-o', '/dev/null', 'true'],
    attach: ['-c', '-f'],
    // Time in per cent, seconds, µs a call, calls, and errors where there are some.
    total: (summary: string) =>
      /^\s*100\.00\s+\S+\s+(?:\d+\s+)?(\d+)(?:\s+\d+)?\s+total\s*$/m.exec(summary)?.[1],
  },
} as const;

export type CallTool = keyof typeof tools;

/** The tool that can count system calls here; null when there is none. */
export function callTool(): CallTool | null {
  const works = (name: CallTool) => spawnSync(name, tools[name].trial).status === 0;
  return (['perf', 'strace'] as const).find(works) ?? null;
}

/** The calls of all kinds, from what the tool writes; undefined when it wrote no total. */
export function totalCalls(tool: CallTool, summary: string): number | undefined {
  const total = tools[tool].total(summary);
  return total === undefined ? undefined : Number(total);
}

/** A tool on all threads of a process that runs already. */
export class CallCounter {
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'paipainet-calls-'));
  readonly #tool: CallTool;
  readonly #child: ChildProcess;

  constructor(tool: CallTool, pid: number) {
    this.#tool = tool;
    const args = [...tools[tool].attach, '-o', join(this.#folder, 'summary'), '-p', String(pid)];
    this.#child = spawn(tool, args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'] });
  }

  /** Resolves when it counts. */
  static async attach(tool: CallTool, pid: number): Promise<CallCounter> {
    const counter = new CallCounter(tool, pid);
    const [, , errors, control, confirmed] = counter.#child.stdio;
    // A tool that ends at once is known by its exit.
    for (const pipe of [control, confirmed]) pipe?.on('error', () => {});
    if (tool === 'perf') (control as Writable).write('enable\n');
    // strace says that it is attached, or why it cannot be.
    const sign = (tool === 'perf' ? confirmed : errors) as Readable;
    await Promise.race([once(sign, 'data'), once(counter.#child, 'exit')]);
    return counter;
  }

  /** The calls since then; undefined when it could not attach. */
  async end(): Promise<number | undefined> {
    try {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) return undefined;
      this.#child.kill('SIGINT');
      await once(this.#child, 'exit');
      return totalCalls(this.#tool, readFileSync(join(this.#folder, 'summary'), 'utf8'));
    } finally {
      rmSync(this.#folder, { recursive: true, force: true });
    }
  }
}
