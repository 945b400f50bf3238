// Builds the addon with AddressSanitizer and UndefinedBehaviorSanitizer below build-asan and runs the suite with it.
//
//   node test/accept/sanitized.mjs [VITEST ARGUMENT...]
//
// Every process that the tests start reports into build-asan/reports, also those whose output nobody reads; one report fails the run.
// Leaks are not looked for: Node itself leaves memory to the system at its end.

import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from './support.mjs';

const folder = join(root, 'build-asan');
const reports = join(folder, 'reports');
const compiler = process.env.CXX ?? 'g++';

function fail(message) {
  console.error(message);
  process.exit(1);
}

function outputOf(file, args) {
  const { status, stdout, error } = spawnSync(file, args, { encoding: 'utf8' });
  if (error !== undefined || status !== 0)
    fail(`${file} ${args.join(' ')} failed: ${error?.message ?? status}`);
  return stdout.trim();
}

/** node-gyp builds beside binding.gyp; a folder that borrows the sources keeps the release build as it is. */
function buildAddon() {
  mkdirSync(folder, { recursive: true });
  for (const name of ['native', 'node_modules']) {
    if (!existsSync(join(folder, name))) symlinkSync(join(root, name), join(folder, name));
  }
  for (const name of ['binding.gyp', 'package.json']) cpSync(join(root, name), join(folder, name));
  const flags =
    '-fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1 -UNDEBUG';
  const prefix = dirname(dirname(process.execPath));
  const headers = existsSync(join(prefix, 'include', 'node', 'node_api.h'))
    ? [`--nodedir=${prefix}`]
    : [];
  const { status } = spawnSync(
    process.execPath,
    [
      join(root, 'node_modules/node-gyp/bin/node-gyp.js'),
      'rebuild',
      '--release',
      '--jobs=max',
      ...headers,
    ],
    {
      cwd: folder,
      env: { ...process.env, CXXFLAGS: flags, LDFLAGS: '-fsanitize=address,undefined' },
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  if (status !== 0) fail('the sanitized addon could not be built');
  return join(folder, 'build', 'Release', 'paipainet.node');
}

const addon = buildAddon();
rmSync(reports, { recursive: true, force: true });
mkdirSync(reports);
const runtimes = ['libasan.so', 'libubsan.so'].map((name) =>
  outputOf(compiler, [`-print-file-name=${name}`]),
);
const common = `log_path=${join(reports, 'report')}:print_stacktrace=1`;
// AddressSanitizer keeps what was freed for a while, and shadows what was not: how much memory a process takes is asked of the
// release build alone.
const left = ['memory', 'hub-memory', 'slow-reader', 'idle-connections'].map(
  (name) => `test/fault/${name}.test.ts`,
);
console.log(
  `without ${left.join(', ')}: with the sanitizers' own memory their bounds mean nothing`,
);
// They start a process for each command, or run without the addon, and take a third of the time.
const apart = ['test/sim/**', 'test/unit/cli/client-commands.test.ts', 'test/unit/cli/up.test.ts'];
console.log(`without ${apart.join(', ')}: what they do with the addon others do too`);
const { status } = spawnSync(
  process.execPath,
  [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    ...[...left, ...apart].map((file) => `--exclude=${file}`),
    ...process.argv.slice(2),
  ],
  {
    cwd: root,
    env: {
      ...process.env,
      PAIPAINET_ADDON: addon,
      LD_PRELOAD: runtimes.join(':'),
      ASAN_OPTIONS: `detect_leaks=0:${common}`,
      UBSAN_OPTIONS: common,
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  },
);
const found = readdirSync(reports);
for (const name of found) console.error(readFileSync(join(reports, name), 'utf8').slice(0, 4000));
console.log(`sanitizers: ${found.length} reports; the suite ended with ${status}`);
process.exitCode = status === 0 && found.length === 0 ? 0 : 1;
