import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));

export interface CliResult {
  /** Exit code, or the name of the signal that ended it. */
  end: number | string;
  out: string;
  err: string;
}

export interface RunningCli {
  readonly child: ChildProcess;
  readonly ended: Promise<CliResult>;
  /** Settles when standard output matches; rejects when the command ends before that. */
  seen(pattern: RegExp): Promise<RegExpExecArray>;
}

/** What Node runs for `paipainet …`. */
export function cliArguments(args: readonly string[]): string[] {
  return [main, ...args];
}

/** Starts `paipainet …` as a person does, with `variables` on top of our own environment. */
export function startCli(args: readonly string[], variables?: NodeJS.ProcessEnv): RunningCli {
  return startProgram(process.execPath, cliArguments(args), variables);
}

/** The same for another program, a shell for instance. */
export function startProgram(
  program: string,
  args: readonly string[],
  variables: NodeJS.ProcessEnv = {},
): RunningCli {
  const child = spawn(program, args, {
    env: { ...process.env, PAIPAINET_DEBUG: '', ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  const ended = new Promise<CliResult>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ end: code ?? signal ?? 'unknown', out, err }));
  });
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
    child.emit('seen');
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  return {
    child,
    ended,
    seen: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const match = pattern.exec(out);
          if (match !== null) resolve(match);
        };
        child.on('seen', look);
        look();
        void ended.then(() => reject(new Error(`ended before ${pattern}: ${out}${err}`)));
      }),
  };
}

export function runCli(args: readonly string[], variables?: NodeJS.ProcessEnv): Promise<CliResult> {
  return startCli(args, variables).ended;
}

/** Whether a process of this id exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
