import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { toError } from '../base/errors.js';
import { addonPath } from './addon-stamp.js';
import { findToolchain, missingTools, type Toolchain } from './toolchain.js';

export interface AddonBuildOptions {
  readonly signal: AbortSignal;
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** Let node-gyp write to our standard error instead of keeping its output for a failure. */
  readonly verbose: boolean;
}

export type AddonBuildOutcome =
  | { readonly ok: true }
  /** `reason` says what is missing and what to do; `output` is the end of what the tools wrote. */
  | { readonly ok: false; readonly reason: string; readonly output: string };

/** What is kept of the tools' output: the error stands at its end. */
const outputBytesMax = 64 * 1024;

/** `node-gyp configure`, because the list of sources may have changed, then `node-gyp build`, which compiles what did. */
export async function buildAddon(
  root: string,
  options: AddonBuildOptions,
): Promise<AddonBuildOutcome> {
  if (!existsSync(join(root, 'binding.gyp'))) {
    return failed(`there is no binding.gyp in ${root}; install the package again`);
  }
  const toolchain = findToolchain(options.variables);
  const missing = missingTools(toolchain);
  if (missing.length > 0) return failed(`not found: ${missing.join(', ')}; ${installAdvice()}`);
  const nodeGyp = findNodeGyp();
  if (nodeGyp === undefined)
    return failed('node-gyp is not installed; run "npm ci" or "npm install"');

  const nodedir = toolchain.headers === undefined ? [] : [`--nodedir=${toolchain.headers}`];
  for (const step of [
    ['configure', '--release', ...nodedir],
    ['build', '--release', '--jobs=max'],
  ]) {
    const { error, output } = await runNodeGyp(root, [nodeGyp, ...step], options);
    if (error !== undefined) return failed(explain(output, toolchain, error), output);
  }
  if (!existsSync(addonPath(root))) {
    return failed(`node-gyp ended well but left no ${addonPath(root)}`);
  }
  return { ok: true };
}

function failed(why: string, output = ''): AddonBuildOutcome {
  const reason = `the addon could not be built: ${why}. Without it, PAIPAINET_ENGINE=js uses the portable engine`;
  return { ok: false, reason, output };
}

function installAdvice(): string {
  return process.platform === 'darwin'
    ? 'run "xcode-select --install"'
    : 'install them (Debian, Ubuntu: apt-get install python3 make g++) and run it again';
}

function findNodeGyp(): string | undefined {
  try {
    const manifest = createRequire(import.meta.url).resolve('node-gyp/package.json');
    return join(dirname(manifest), 'bin', 'node-gyp.js');
  } catch {
    return undefined;
  }
}

interface StepResult {
  /** Why the step failed; undefined when it did not. */
  readonly error: string | undefined;
  readonly output: string;
}

function runNodeGyp(
  root: string,
  args: readonly string[],
  { signal, variables, verbose }: AddonBuildOptions,
): Promise<StepResult> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd: root,
      // binding.gyp calls `node`, which must be this one.
      env: { ...variables, PATH: [dirname(process.execPath), variables['PATH']].join(delimiter) },
      stdio: ['ignore', verbose ? 2 : 'pipe', verbose ? 2 : 'pipe'],
      // A process group of its own: make and the compilers end with it, whichever process the signal was sent to.
      detached: true,
    });
    let output = '';
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-outputBytesMax);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    const onAbort = (): void => {
      if (child.pid !== undefined) endGroup(child.pid);
    };
    signal.addEventListener('abort', onAbort);
    child.once('error', (error) => {
      signal.removeEventListener('abort', onAbort);
      resolve({ error: `node-gyp could not be started (${error.message})`, output });
    });
    child.once('close', (code, killedBy) => {
      signal.removeEventListener('abort', onAbort);
      if (signal.aborted) reject(toError(signal.reason));
      else resolve({ error: code === 0 ? undefined : endOf(code, killedBy), output });
    });
  });
}

function endOf(code: number | null, killedBy: NodeJS.Signals | null): string {
  return killedBy === null ? `node-gyp ended with ${code}` : `node-gyp was ended by ${killedBy}`;
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGTERM');
  } catch {
    // It ended by itself in the meantime.
  }
}

/** The likely reason, from what the tools wrote. */
function explain(output: string, toolchain: Toolchain, ending: string): string {
  if (/find Python|Could not find any Python/.test(output)) {
    return `node-gyp finds no python3 that works; ${installAdvice()}`;
  }
  if (
    toolchain.headers === undefined &&
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EACCES|response downloading|gyp http/.test(
      output,
    )
  ) {
    return `the headers of Node ${process.version} are not beside Node itself and could not be downloaded; install them and set npm_config_nodedir to the folder that holds include/node`;
  }
  if (/unrecognized command.line option.*std=|invalid value '(c|gnu)\+\+20'/.test(output)) {
    return 'the compiler does not know C++20; g++ 10 or clang 12 does';
  }
  return `${ending}, see its output above`;
}
