import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Pinning } from './trial.js';

/** The folder that holds package.json, seen from dist/bench/support. */
export const packageRoot: string = fileURLToPath(new URL('../../../', import.meta.url));

/** What a figure depends on beside the code. */
export interface MachineFacts {
  readonly date: string;
  readonly system: string;
  readonly cpu: string;
  readonly cpuCount: number;
  readonly memoryGiB: number;
  readonly node: string;
  readonly commit: string;
  readonly loadAverage: readonly number[];
  readonly hugePages: string;
}

/** Standard output of a command, or undefined when it is missing or fails. */
function outputOf(command: string, args: readonly string[]): string | undefined {
  try {
    return execFileSync(command, args, {
      cwd: packageRoot,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return undefined;
  }
}

function commitOf(): string {
  const commit = outputOf('git', ['rev-parse', '--short=12', 'HEAD']);
  if (commit === undefined) return 'unknown';
  const changed = outputOf('git', ['status', '--porcelain', '--untracked-files=no']) !== '';
  return changed ? `${commit} with changes` : commit;
}

export function machineFacts(): MachineFacts {
  const hugePagesFile = '/sys/kernel/mm/transparent_hugepage/enabled';
  return {
    date: new Date().toISOString(),
    system: `${type()} ${release()}`,
    cpu: cpus()[0]?.model ?? 'unknown',
    cpuCount: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    commit: commitOf(),
    loadAverage: loadavg().map((load) => Math.round(load * 100) / 100),
    hugePages: existsSync(hugePagesFile)
      ? (/\[(\w+)\]/.exec(readFileSync(hugePagesFile, 'utf8'))?.[1] ?? 'unknown')
      : 'unknown',
  };
}

/** Whether programs can be told which processor to run on. */
export const canPin: boolean = outputOf('taskset', ['-c', '0', 'true']) !== undefined;

/** Files and connections that one process may have open; programs of Node raise theirs to it. */
export function descriptorsMax(): number {
  const limit = outputOf('sh', ['-c', 'ulimit -n']);
  return limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit ?? 256);
}

/**
 * Client and server on CPU 0 when `cpuCount` is 1, else the server on CPU 1. Empty where `taskset` cannot do it, or there is
 * one processor and two were asked for.
 */
export function pinning(cpuCount: number): Pinning {
  const serverCpu = cpuCount === 1 ? '0' : '1';
  if (outputOf('taskset', ['-c', serverCpu, 'true']) === undefined)
    return { server: [], client: [] };
  return { server: ['taskset', '-c', serverCpu], client: ['taskset', '-c', '0'] };
}
