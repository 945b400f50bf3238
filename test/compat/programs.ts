import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';

/** Programs that are run three ways: with `node:net`, with `paipainet/net`, and with `node:net` and `--import paipainet/register`. */

const dropIn = (name: string): string =>
  new URL(`../../dist/drop-in/${name}.js`, import.meta.url).href;

interface Way {
  readonly nodeArgs: readonly string[];
  /** What the program imports in the place of `node:net`: its first argument. */
  readonly module: string;
}

const standard: Way = { nodeArgs: [], module: 'node:net' };

const ways: Readonly<Record<string, Way>> =
  process.env['PAIPAINET_COMPAT_SELF'] === '1'
    ? { 'node:net itself': standard }
    : {
        'paipainet/net': { nodeArgs: [], module: dropIn('net') },
        'paipainet/register': { nodeArgs: ['--import', dropIn('register')], module: 'node:net' },
      };

export interface RunOptions {
  readonly nodeArgs?: readonly string[];
  readonly args?: readonly string[];
  /** A shell's words before the program: limits, for example. */
  readonly before?: string;
}

export interface Outcome {
  /** What was printed: JSON, as far as it is. */
  readonly output: unknown;
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** Of what was uncaught, its first line. */
  readonly uncaught: string | undefined;
}

async function outcomeOf(
  way: Way,
  name: string,
  { nodeArgs = [], args = [], before = '' }: RunOptions,
): Promise<Outcome> {
  const app = fileURLToPath(new URL(`apps/${name}`, import.meta.url));
  const words = [process.execPath, ...way.nodeArgs, ...nodeArgs, app, way.module, ...args];
  const child = spawn('/bin/sh', ['-c', `${before} exec "$@"`, 'sh', ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // One that hangs does not outlive its test; its workers go with it.
    timeout: 20_000,
    killSignal: 'SIGKILL',
  });
  const texts = ['', ''];
  for (const [i, stream] of [child.stdout, child.stderr].entries()) {
    stream.setEncoding('utf8').on('data', (text) => {
      texts[i] += text;
    });
  }
  const [exitCode, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
    child.on('close', (...how) => resolve(how)),
  );
  const [stdout, stderr] = texts as [string, string];
  const lines = stdout.trim().split('\n');
  return {
    output: lines.map((line) => (/^[[{]/.test(line) ? JSON.parse(line) : line)),
    exitCode,
    signal,
    uncaught: /^\w*Error: .*$/m.exec(stderr)?.[0] ?? (stderr === '' ? undefined : stderr),
  };
}

/** Fails with the difference where a way is not as plain `node:net`, whose outcome it returns. */
export async function expectSameProgram(name: string, options: RunOptions = {}): Promise<Outcome> {
  const expected = await outcomeOf(standard, name, options);
  for (const [wayName, way] of Object.entries(ways)) {
    expect(await outcomeOf(way, name, options), wayName).toEqual(expected);
  }
  return expected;
}
