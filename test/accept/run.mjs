// Runs what a capability promises, and prints a line for each promise: pass or fail, the figure, the command.
//
//   node test/accept/run.mjs NAME [--full] [--only TEXT] [--seed N]        NAME: main-job, messages, drop-in, cluster, map-reduce,
//                                                                               coordination
//
// The short form leaves out what takes long and says what it left out. --only runs the promises whose text holds TEXT.
// --seed is for those that leave things to chance, and print what they used. Ends with 1 when one failed.

import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  options: {
    full: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    seed: { type: 'string' },
  },
  allowPositionals: true,
});
const [name = ''] = positionals;
const script = new URL(`./${name}.mjs`, import.meta.url);
if (!/^[a-z-]+$/.test(name) || name === 'run' || !existsSync(script)) {
  console.error(
    'usage: npm run accept -- main-job|messages|drop-in|cluster|map-reduce|coordination [--full] [--only TEXT] [--seed N]',
  );
  process.exit(2);
}

const { checks } = await import(script.href);
const counts = { passed: 0, failed: 0, skipped: 0 };
for (const check of checks) {
  if (!check.promise.includes(values.only)) continue;
  if (check.fullOnly === true && !values.full) {
    counts.skipped++;
    console.log(`full  ${check.promise}: only with --full`);
    continue;
  }
  const startMs = performance.now();
  const { pass, figure, command } = await outcomeOf(check);
  counts[pass ? 'passed' : 'failed']++;
  const seconds = ((performance.now() - startMs) / 1e3).toFixed(1);
  console.log(
    `${pass ? 'pass' : 'FAIL'}  ${check.promise}: ${figure}  (${seconds} s)\n      $ ${command}`,
  );
}
const left = counts.skipped > 0 ? `, ${counts.skipped} only with --full` : '';
console.log(`\n${counts.passed} passed, ${counts.failed} failed${left}`);
process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;

/** A check that throws has failed; what it threw is its figure. */
async function outcomeOf(check) {
  const command = typeof check.command === 'function' ? check.command(values.full) : check.command;
  try {
    return { command, ...(await check.run(values.full, values.seed)) };
  } catch (error) {
    return { command, pass: false, figure: error instanceof Error ? error.message : String(error) };
  }
}
