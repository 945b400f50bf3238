import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What a traced process asked of the system, in the order of time. */

export interface SystemCall {
  readonly name: string;
  /** What stands behind the descriptor: a path, or `TCP:[…]`; empty for a call without one. */
  readonly target: string;
  readonly descriptor: number;
  readonly text: string;
  readonly result: number;
  /** Lines of the trace at which it began, at the earliest, and came back. */
  readonly beganAt: number;
  readonly cameBackAt: number;
}

/** What `strace` is started with, in front of the command and its arguments, so that `readTrace` understands its `file`. */
export function traceCommand(file: string, calls: readonly string[]): string[] {
  return ['strace', '-f', '-qq', '-yy', '-s', '0', '-e', `trace=${calls.join()}`, '-o', file];
}

/** Why programs cannot be traced here; undefined where they can. */
export function whyNoTrace(): string | undefined {
  const { status, error, stderr } = spawnSync('strace', ['-f', '-o', '/dev/null', 'true'], {
    encoding: 'utf8',
  });
  return status === 0 ? undefined : `strace does not work: ${error?.message ?? stderr.trim()}`;
}

/** The calls that came back, in the order in which they did. Threads cut each other short: such a call stands in two lines. */
export function readTrace(file: string): SystemCall[] {
  const calls: SystemCall[] = [];
  const unfinished = new Map<string, { readonly text: string; readonly beganAt: number }>();
  for (const [at, line] of readFileSync(file, 'utf8').split('\n').entries()) {
    const [, thread = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const cut = /^(.*) <unfinished \.\.\.>$/.exec(rest)?.[1];
    if (cut !== undefined) {
      unfinished.set(thread, { text: cut, beganAt: at });
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)?.[1];
    const begun = resumed === undefined ? undefined : unfinished.get(thread);
    const text = begun === undefined ? rest : begun.text + resumed;
    const [, name, args = '', result] = /^(\w+)\((.*)\) += (-?\d+)/.exec(text) ?? [];
    if (name === undefined) continue;
    const [, descriptor = '-1', target = ''] = /^(\d+)<(.*?)>(?:,|$)/.exec(args) ?? [];
    calls.push({
      name,
      target,
      descriptor: Number(descriptor),
      text,
      result: Number(result),
      beganAt: begun?.beganAt ?? at,
      cameBackAt: at,
    });
  }
  return calls;
}
