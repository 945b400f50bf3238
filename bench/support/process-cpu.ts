import { readFileSync } from 'node:fs';

/** Of the fields of proc_pid_stat(5) behind the name of the program: user and system time. */
const userField = 11;
const systemField = 12;
/** `getconf CLK_TCK`, on every machine that Node runs on. */
const ticksPerSecond = 100;

/** Seconds of processor that other processes have taken so far, all together, to within 10 ms each; NaN where there is no /proc. */
export function cpuSecondsOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + ticksOf(pid) / ticksPerSecond, 0);
}

function ticksOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name may hold spaces and brackets.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return Number(fields[userField]) + Number(fields[systemField]);
  } catch {
    return Number.NaN;
  }
}
