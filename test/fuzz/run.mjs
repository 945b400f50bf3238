// Fuzzes the native parsers with libFuzzer, under ASan and UBSan.
//
//   node test/fuzz/run.mjs [--seconds 60] [TARGET...]        TARGET: frame, framed_stream, shard_header,
//                                                            shared_stream
//
// Inputs start from corpus/TARGET and regressions/TARGET; new ones are kept below build-fuzz. What
// crashes is written to regressions/TARGET, to be committed with its fix.

import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildCore, fail, findClang, root } from '../native/cmake.mjs';

const targets = readdirSync(join(root, 'test/fuzz/corpus')).sort();
const { values, positionals } = parseArgs({
  options: { seconds: { type: 'string', default: '60' } },
  allowPositionals: true,
});
for (const name of positionals) {
  if (!targets.includes(name)) fail(`no fuzz target ${name}; there are ${targets.join(', ')}`);
}

const out = buildCore({
  folder: 'build-fuzz',
  compiler: findClang(),
  settings: { PAIPAI_FUZZ: 'ON', PAIPAI_SANITIZE: 'address,undefined' },
});
for (const name of positionals.length > 0 ? positionals : targets) {
  const found = join(out, 'corpus', name);
  mkdirSync(found, { recursive: true });
  const args = [
    `-max_total_time=${values.seconds}`,
    '-max_len=16384',
    '-timeout=10',
    '-print_final_stats=1',
    `-artifact_prefix=test/fuzz/regressions/${name}/`,
    found,
    `test/fuzz/corpus/${name}`,
    `test/fuzz/regressions/${name}`,
  ];
  console.log(`${name}: ${values.seconds} s`);
  const run = spawnSync(join(out, `${name}_fuzz`), args, { cwd: root, stdio: 'inherit' });
  if (run.status !== 0) fail(`${name}: a finding, see test/fuzz/regressions/${name}`);
}
