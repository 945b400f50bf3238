// Builds the native core and its tests with CMake, without Node's headers, and runs them.
//
//   node test/native/run.mjs [--sanitize address,undefined|thread] [NAME...]
//
// NAME selects tests by a part of their name. Sanitized builds are made with clang.

import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { buildCore, findClang } from './cmake.mjs';

const { values, positionals } = parseArgs({
  options: { sanitize: { type: 'string' } },
  allowPositionals: true,
});

const sanitize = values.sanitize;
const folder = buildCore({
  folder: sanitize ? `build-cmake-${sanitize.split(',')[0]}` : 'build-cmake',
  compiler: sanitize ? findClang() : undefined,
  settings: sanitize ? { PAIPAI_SANITIZE: sanitize } : {},
});
const filter = positionals.length > 0 ? ['-R', positionals.join('|')] : [];
const run = spawnSync('ctest', ['--test-dir', folder, '--output-on-failure', ...filter], {
  stdio: 'inherit',
});
process.exitCode = run.status ?? 1;
