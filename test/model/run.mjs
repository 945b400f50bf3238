// Checks the models of this folder in every interleaving with Spin (Debian's package `spin`), and that each would notice what it is for.
//
//   node test/model/run.mjs [NAME …]

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** By name: macros that each take something out which the model must find missing. */
const models = {
  ring: ['FORGET_SECOND_LOOK'],
  transaction: [
    'COMMIT_WITHOUT_LEASE',
    'ABORT_WHILE_OPEN',
    'ONE_PROMISE_MISSING',
    'COMMIT_SEEN_FIRST',
    'FORGET_AT_ONCE',
  ],
  fence: ['NO_FENCE', 'NODE_FORGETS', 'TOKEN_TWICE'],
};

/** What Spin found with these macros defined. */
function check(model, macros) {
  const folder = mkdtempSync(join(tmpdir(), 'paipainet-model-'));
  const runHere = (program, ...args) =>
    execFileSync(program, args, { cwd: folder, encoding: 'utf8' });
  try {
    runHere('spin', ...macros.map((macro) => `-D${macro}`), '-a', resolve(model));
    runHere('cc', '-O2', '-DSAFETY', '-o', 'pan', 'pan.c');
    const report = runHere('./pan', '-m100000');
    const states = Number(/(\d+) states, stored/.exec(report)?.[1]);
    const errors = Number(/errors: (\d+)/.exec(report)?.[1]);
    if (!(states > 0) || /max search depth too small/.test(report)) throw new Error(report);
    return { states, errors };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const names = process.argv.slice(2);
for (const [name, macros] of Object.entries(models)) {
  if (names.length > 0 && !names.includes(name)) continue;
  const model = `test/model/${name}.pml`;
  const { states, errors } = check(model, []);
  console.log(`${model}: ${states} states, ${errors} errors`);
  if (errors > 0) process.exitCode = 1;
  for (const macro of macros) {
    const isFound = check(model, [macro]).errors > 0;
    console.log(`${model} with ${macro}: ${isFound ? 'found out' : 'NOT found out'}`);
    if (!isFound) process.exitCode = 1;
  }
}
