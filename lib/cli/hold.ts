import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { toError } from '../base/errors.js';
import { usageError } from './command.js';

/** The arguments of the command itself, and the program behind `--` with its own; none when there is no `--`. */
export function splitProgram(args: readonly string[]): {
  readonly own: string[];
  readonly program: string[] | undefined;
} {
  const end = args.indexOf('--');
  if (end === -1) return { own: [...args], program: undefined };
  return { own: args.slice(0, end), program: args.slice(end + 1) };
}

/** How long a program may take to end when what it was run under is lost, before it is killed. */
const graceMs = 5_000;

/**
 * Runs a program for as long as something is held: with SIGTERM it hears that it is not any more, or that the command was interrupted. Its exit
 * code, or 128 and the number of the signal that ended it; 1 when what was held is lost.
 */
export async function runWhileHeld(
  command: string,
  program: readonly string[],
  variables: Readonly<Record<string, string>>,
  signals: readonly AbortSignal[],
): Promise<number> {
  const [file, ...args] = program;
  if (file === undefined) throw usageError(command, 'Give a program behind --');
  const child = spawn(file, args, { stdio: 'inherit', env: { ...process.env, ...variables } });
  let timer: NodeJS.Timeout | undefined;
  const end = (): void => {
    child.kill('SIGTERM');
    timer ??= setTimeout(() => child.kill('SIGKILL'), graceMs);
  };
  for (const signal of signals) {
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  }
  try {
    const [code, signalName] = await once(child, 'exit');
    if (typeof code === 'number') return code;
    return 128 + constants.signals[signalName as NodeJS.Signals];
  } catch (thrown) {
    throw usageError(command, `${file} cannot be run: ${toError(thrown).message}`);
  } finally {
    clearTimeout(timer);
    for (const signal of signals) signal.removeEventListener('abort', end);
  }
}
