// Checks the models of this folder in every interleaving with Spin (Debian's package `spin`), and that each would notice what it is for.
//
//   node test/model/run.mjs

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

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

const model = 'test/model/ring.pml';
const whole = check(model, []);
const broken = check(model, ['FORGET_SECOND_LOOK']);
console.log(`${model}: ${whole.states} states, ${whole.errors} errors`);
console.log(
  `${model} without the second look: ${broken.errors > 0 ? 'found out' : 'NOT found out'}`,
);
process.exitCode = whole.errors === 0 && broken.errors > 0 ? 0 : 1;
