// The message transport: what it promises when processes, wires and limits fail, on every path.

import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { whyNoUring } from '../support/uring.mjs';
import { mustRun, root, run, sanitizers, testCount, withFolder } from './support.mjs';

const slopeMiBPerMinuteMax = 1;
const lockedBytesMax = 64 * 1024;
/** The user and group `nobody` of Linux. */
const ordinaryId = '65534';
const idleConnections = 10_000;

/** Over io_uring on two slow CPUs the suite takes 9 minutes. */
const suiteTimeoutMs = 1_800_000;

const workerCount = (full) => (full ? 1_000 : 20);
const soakSeconds = (full) => (full ? 600 : 15);
const slowSeconds = (full) => (full ? 60 : 2);
const idleCount = (full, engine) => (full || engine === 'native' ? idleConnections : 1_000);

/** Runs a program of ours and parses the JSON that it prints, whatever its exit code. */
async function report(args, options) {
  const { code, stdout, stderr } = await run(process.execPath, args, options);
  try {
    return { code, ...JSON.parse(stdout) };
  } catch {
    throw new Error(`ended with ${code}: ${stdout}${stderr}`.slice(-2_000));
  }
}

/** A clone of its own, since nobody else's may be written to; with the modules and the addon that stand here. */
async function suiteAsOrdinaryUser() {
  return withFolder(async (folder) => {
    const clone = join(folder, 'clone');
    await mustRun('git', ['clone', '--quiet', root, clone]);
    for (const name of ['node_modules', 'build', 'dist'])
      cpSync(join(root, name), join(clone, name), { recursive: true, verbatimSymlinks: true });
    const isRoot = process.getuid() === 0;
    if (isRoot) await mustRun('chown', ['-R', `${ordinaryId}:${ordinaryId}`, folder]);
    const identity = [`--reuid=${ordinaryId}`, `--regid=${ordinaryId}`, '--clear-groups'];
    const output = await mustRun(
      'prlimit',
      [
        `--memlock=${lockedBytesMax}:${lockedBytesMax}`,
        ...(isRoot ? ['setpriv', ...identity] : []),
        ...['bash', '-c', 'id -u; ulimit -l; npx vitest run'],
      ],
      {
        cwd: clone,
        env: { PATH: process.env.PATH, HOME: folder, LANG: 'C.UTF-8', CI: 'true' },
        timeoutMs: suiteTimeoutMs,
      },
    );
    const [user, lockedKib] = output.split('\n');
    return {
      pass: user !== '0' && Number(lockedKib) * 1024 === lockedBytesMax,
      figure: `user ${user}, ${lockedKib} KiB; ${testCount(output)}`,
    };
  });
}

async function workers(full) {
  const args = ['test/lifetime/transport-workers.mjs', String(workerCount(full))];
  const { code, workers: count, before, after } = await report(args);
  const leaked = (what) => after[what] - before[what];
  return {
    pass: code === 0,
    figure: `${count} terminated, the process ended with ${code}; ${leaked('descriptors')} descriptors and ${leaked('mappings')} mappings leaked`,
  };
}

async function soak(full, seed) {
  const args = ['test/accept/soak/run.mjs', String(soakSeconds(full)), ...(seed ? [seed] : [])];
  const result = await report(args, { timeoutMs: 900_000 });
  const { faults, operations, worst, memorySlopeMiBPerMinute, wrongs } = result;
  const listed = (counts) =>
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  const slopes = Object.entries(memorySlopeMiBPerMinute);
  const isFlat = slopes.every(([, slope]) => slope < slopeMiBPerMinuteMax);
  const late = Math.max(0, ...Object.values(worst).map(({ latePercent }) => latePercent));
  const lines = [
    `seed ${result.seed}, ${result.seconds} s; faults: ${listed(faults)}`,
    ...Object.entries(operations).map(([engine, counts]) => `${engine} client: ${listed(counts)}`),
    `latest: ${late.toFixed(1)} % of its deadline behind it (limit 10)`,
    `MiB a minute: ${slopes.map(([name, slope]) => `${name} ${slope.toFixed(2)}`).join(', ')} (limit ${slopeMiBPerMinuteMax}${full ? '' : ', not judged in the short form'})`,
    ...wrongs,
  ];
  const isWhole = Object.keys(faults).length === 8 || !full;
  return {
    pass: result.code === 0 && isWhole && (isFlat || !full),
    figure: lines.join('\n      '),
  };
}

const slowSettings = [
  ['native', 'tcp'],
  ['native', 'auto'],
  ['js', 'tcp'],
];

async function slowReaders(full) {
  const figures = [];
  let pass = true;
  for (const [engine, path] of slowSettings) {
    const args = ['--expose-gc', 'test/fault/slow-reader.mjs', String(slowSeconds(full)), engine];
    const result = await report([...args, path, '64']);
    const { baseMiB, limitMiB, peakMiB, queued, count, misplacedCount } = result;
    pass &&= peakMiB <= (baseMiB + limitMiB) * 1.2 && count === queued && misplacedCount === 0;
    figures.push(
      `${engine} over ${result.path}: ${peakMiB} MiB at most (base ${baseMiB}, queue ${limitMiB}), ${count} of ${queued} messages came, ${result.shed} were refused`,
    );
  }
  return { pass, figure: figures.join('; ') };
}

async function idle(full) {
  const figures = [];
  let pass = true;
  for (const engine of ['native', 'js']) {
    const args = ['test/fault/idle-connections.mjs', String(idleCount(full, engine)), engine];
    const result = await report(args);
    pass &&= result.code === 0;
    figures.push(
      `${engine}: ${result.connections} connections, ${result.kibPerConnection.toFixed(1)} KiB each on the listening side, ${result.cpuPercent.toFixed(1)} % of a CPU at rest, a request among them ${result.requestMs.toFixed(1)} ms, all closed in ${result.closeMs.toFixed(0)} ms`,
    );
  }
  return { pass, figure: figures.join('; ') };
}

/** One or more test files, which hold what is promised; in full also in time. */
function tests(promise, ...files) {
  const args = ['vitest', 'run', ...files];
  return {
    promise,
    command: (full) => `${full ? 'PAIPAINET_QUIET=yes ' : ''}npx ${args.join(' ')}`,
    run: async (full) => {
      const env = full ? { ...process.env, PAIPAINET_QUIET: 'yes' } : process.env;
      return { pass: true, figure: testCount(await mustRun('npx', args, { env })) };
    },
  };
}

/** All tests, or some that wait for sockets. */
function suiteArguments(full) {
  return ['vitest', 'run', ...(full ? [] : ['test/contract/transport-tcp', 'test/lifetime'])];
}

async function suiteWithoutUring(full) {
  const doctor = [
    'test/support/without-uring.py',
    process.execPath,
    'dist/cli/main.js',
    'doctor',
    '--json',
  ];
  const { uring } = JSON.parse(await mustRun('python3', doctor));
  if (uring.works) return { pass: false, figure: 'io_uring works although it should be refused' };
  const args = ['test/support/without-uring.py', 'npx', ...suiteArguments(full)];
  const output = await mustRun('python3', args, { timeoutMs: suiteTimeoutMs });
  return { pass: true, figure: `${testCount(output)}; ${uring.reason}` };
}

async function suiteOnEachDriver(full) {
  const refusal = whyNoUring();
  const figures = refusal === '' ? [] : [`io_uring cannot be forced here: ${refusal}`];
  for (const io of refusal === '' ? ['epoll', 'uring'] : ['epoll']) {
    const env = { ...process.env, PAIPAINET_IO: io };
    const options = { env, timeoutMs: suiteTimeoutMs };
    figures.push(`${io}: ${testCount(await mustRun('npx', suiteArguments(full), options))}`);
  }
  return { pass: true, figure: figures.join('; ') };
}

export const checks = [
  tests(
    'descriptors used up: live connections work, and accepting goes on within a second',
    'test/fault/descriptors.test.ts',
  ),
  tests('bad input of every kind is refused with a code', 'test/fault/bad-input.test.ts'),
  tests(
    'a peer that is killed or stopped: all that is under way settles when it should',
    'test/fault/silent-peer.test.ts',
  ),
  {
    promise: `${idleConnections.toLocaleString('en')} idle connections cost little and harm nobody`,
    command: `node test/fault/idle-connections.mjs ${idleConnections} ENGINE`,
    run: idle,
  },
  {
    promise: 'a slow reader costs the sender its limit and nothing more, and loses nothing',
    command: (full) =>
      `node --expose-gc test/fault/slow-reader.mjs ${slowSeconds(full)} ENGINE PATH 64`,
    run: slowReaders,
  },
  {
    promise:
      'worker threads terminated with I/O in flight neither abort the process nor leak descriptors or mappings',
    command: (full) => `node test/lifetime/transport-workers.mjs ${workerCount(full)}`,
    run: workers,
  },
  {
    promise:
      'a soak with random kills, stops and cuts: every operation settles by its deadline and a tenth, and memory stays flat',
    command: (full) => `node test/accept/soak/run.mjs ${soakSeconds(full)} [SEED]`,
    run: soak,
  },
  {
    promise: `the suite passes as an ordinary user with ${lockedBytesMax / 1024} KiB of locked memory`,
    command: `prlimit --memlock=${lockedBytesMax} setpriv --reuid=${ordinaryId} … npx vitest run`,
    fullOnly: true,
    run: suiteAsOrdinaryUser,
  },
  {
    promise: 'AddressSanitizer and UndefinedBehaviorSanitizer report nothing',
    command: 'npm run test:native -- --sanitize address,undefined; npm run test:sanitized',
    fullOnly: true,
    run: sanitizers,
  },
  {
    promise: 'ThreadSanitizer finds no race in the ring, both ends as threads over one mapping',
    command: 'npm run test:native -- --sanitize thread shm',
    fullOnly: true,
    run: async () => {
      const args = ['run', '--silent', 'test:native', '--', '--sanitize', 'thread', 'shm'];
      const output = await mustRun('npm', args);
      return { pass: true, figure: /^\d+% tests passed.*$/m.exec(output)?.[0] ?? output };
    },
  },
  {
    promise: 'the ring’s sleep-and-wake flag holds in every interleaving of its model',
    command: 'node test/model/run.mjs ring',
    fullOnly: true,
    run: async () => ({
      pass: true,
      figure: (await mustRun(process.execPath, ['test/model/run.mjs', 'ring'])).trim(),
    }),
  },
  {
    promise: 'the suite passes with io_uring refused by the system',
    command: 'python3 test/support/without-uring.py npx vitest run',
    run: suiteWithoutUring,
  },
  {
    promise: 'the suite passes with each driver forced',
    command: 'PAIPAINET_IO=epoll npx vitest run; PAIPAINET_IO=uring npx vitest run',
    run: suiteOnEachDriver,
  },
];
