import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the repository. */
export const root = fileURLToPath(new URL('../../', import.meta.url));

const outputBytesMax = 4 * 1024 * 1024;

/** Leaders of the process groups under way: whoever interrupts us means them too. */
const groups = new Set();
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    for (const group of groups) process.kill(-group, 'SIGKILL');
    process.kill(process.pid, signal);
  });
}

/**
 * Runs a program to its end, without input. Resolves with `{ code, stdout, stderr }`; a program ended by a signal has the signal's
 * name as its code, one that took longer than `timeoutMs` is killed with all that it started.
 */
export function run(
  file,
  args,
  { cwd = root, env = process.env, timeoutMs = 600_000, onStart } = {},
) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      cwd,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr']) {
      child[name].setEncoding('utf8').on('data', (text) => {
        output[name] = (output[name] + text).slice(-outputBytesMax);
      });
    }
    const timer = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), timeoutMs);
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    if (child.pid === undefined) return;
    groups.add(child.pid);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      groups.delete(child.pid);
      resolve({ code: code ?? signal, ...output });
    });
    onStart?.(child.pid);
  });
}

/** Runs a program that must end well; throws with the end of what it said otherwise. Returns its standard output. */
export async function mustRun(file, args, options) {
  const { code, stdout, stderr } = await run(file, args, options);
  if (code === 0) return stdout;
  const output = `${stdout}\n${stderr}`;
  const said = [...failedTests(output), ...output.trim().split('\n').slice(-15)].join('\n      ');
  throw new Error(`${[file, ...args].join(' ')} ended with ${code}:\n      ${said}`);
}

/**
 * Starts a program that stays, and resolves once it says `ready` on either output, with a function that ends it and waits for its end.
 * Throws with what it said when it ends before.
 */
export function startProgram(file, args, { ready, cwd = root, signal = 'SIGTERM' }) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    let said = '';
    for (const name of ['stdout', 'stderr']) {
      child[name].setEncoding('utf8').on('data', (text) => {
        said = (said + text).slice(-outputBytesMax);
        if (ready.test(said)) resolve(end);
      });
    }
    const ended = once(child, 'close').catch(reject);
    if (child.pid === undefined) return;
    groups.add(child.pid);
    ended.then(() => {
      groups.delete(child.pid);
      reject(new Error(`${file} ended before it was ready:\n${said.trim()}`));
    });
    const end = () => {
      child.kill(signal);
      return ended;
    };
  });
}

/** Calls `use` with a new folder and removes it afterwards. */
export async function withFolder(use) {
  const folder = mkdtempSync(join(tmpdir(), 'paipainet-accept-'));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * A clone of what is committed, with an empty home folder beside it and nothing of our environment: what a newcomer has. `bin` is a
 * folder that comes first on the path. Calls `use` with a function that runs a line of shell in the clone.
 */
export function inFreshClone(use, bin) {
  return withFolder(async (folder) => {
    const clone = join(folder, 'clone');
    const home = join(folder, 'home');
    mkdirSync(home);
    await mustRun('git', ['clone', '--quiet', root, clone]);
    const path = bin === undefined ? process.env.PATH : `${bin}:${process.env.PATH}`;
    const env = { PATH: path, HOME: home, LANG: 'C.UTF-8', TERM: 'dumb' };
    if (bin !== undefined) {
      // npm looks for the machine's settings (certificates of the registry, say) beside the Node it runs on; another
      // Node would not find them.
      env.npm_config_globalconfig = (
        await mustRun('npm', ['config', 'get', 'globalconfig'])
      ).trim();
    }
    const shell = (line) =>
      mustRun('bash', ['-c', line], { cwd: clone, env, timeoutMs: 1_200_000 });
    const result = await use(shell);
    const left = (await mustRun('git', ['status', '--short'], { cwd: clone })).trim();
    if (left !== '') throw new Error(`the commands left files behind that git would see:\n${left}`);
    return result;
  });
}

/** Installs Node of a major version from the registry into `folder`; resolves with the folder of its `node`. */
export async function installNode(major, folder) {
  await mustRun('npm', [
    ...['install', '--no-save', '--no-fund', '--no-audit', '--prefix', folder],
    `node-${process.platform}-${process.arch}@${major}`,
  ]);
  return join(folder, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin');
}

/** Highest resident set of a process so far in MiB, and its command; undefined when it is gone. */
function residentOf(pid) {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const kib = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
    return kib === undefined ? undefined : Number(kib) / 1024;
  } catch {
    return undefined;
  }
}

/** `pid` and every process below it. */
export function processTree(pid) {
  const children = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      // The name of the program, in brackets, may hold anything; the parent is the second field behind it.
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
    } catch {
      // It ended while we looked.
    }
  }
  const below = (parent) => [parent, ...(children.get(parent) ?? []).flatMap(below)];
  return below(pid);
}

/** Runs a program and follows the memory of every process in it. Adds `peaksMiB`, the highest of each. */
export async function runWatchingMemory(file, args, options) {
  const peaks = new Map();
  let timer;
  const onStart = (pid) => {
    timer = setInterval(() => {
      for (const member of processTree(pid)) {
        const peak = residentOf(member);
        if (peak !== undefined) peaks.set(member, peak);
      }
    }, 50);
  };
  try {
    const result = await run(file, args, { ...options, onStart });
    return { ...result, peaksMiB: [...peaks.values()].sort((a, b) => b - a) };
  } finally {
    clearInterval(timer);
  }
}

/** The last line of a vitest run that counts tests, without colours. */
export function testCount(output) {
  const lines = withoutColours(output).split('\n');
  return lines.findLast((line) => /^\s*Tests\s/.test(line))?.trim() ?? 'no tests were counted';
}

/** The names of the tests that failed, 10 at most. */
function failedTests(output) {
  const failed = withoutColours(output).matchAll(/^\s*FAIL\s+(.+)$/gm);
  return [...new Set(Array.from(failed, ([, name]) => name))].slice(0, 10);
}

function withoutColours(output) {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: terminals' colours begin with one.
  return output.replace(/\u001b\[[\d;]*m/g, '');
}

/** The C++ tests and the suite, both under AddressSanitizer and UndefinedBehaviorSanitizer. */
export async function sanitizers() {
  const native = await mustRun('npm', [
    'run',
    '--silent',
    'test:native',
    '--',
    '--sanitize',
    'address,undefined',
  ]);
  const suite = await run('npm', ['run', '--silent', 'test:sanitized'], { timeoutMs: 1_800_000 });
  const summary = /^sanitizers: .*$/m.exec(suite.stdout)?.[0] ?? suite.stderr.slice(-2000);
  const core = /^\d+% tests passed.*$/m.exec(native)?.[0] ?? '';
  return {
    pass: suite.code === 0,
    figure: [
      `C++: ${core}; suite: ${summary}, ${testCount(suite.stdout)}`,
      ...failedTests(suite.stdout + suite.stderr),
    ].join('; '),
  };
}

/**
 * A promise that files of tests keep.
 * @param more `fullOnly: true` where the short form follows `npm test`, which has run them; `isWhole: true` where nothing may be skipped
 */
export function suite(promise, files, { isWhole = false, ...more } = {}) {
  return {
    promise,
    command: `npx vitest run ${files.join(' ')}`,
    async run() {
      const stdout = await mustRun('npx', ['vitest', 'run', ...files]);
      const figure = testCount(stdout);
      return { pass: !(isWhole && figure.includes('skipped')), figure };
    },
    ...more,
  };
}
