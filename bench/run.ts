#!/usr/bin/env node
import { sweeps } from './cases/growth.js';
import { cases } from './cases/index.js';
import { peers } from './peers/index.js';
import { type GrowthPlan, type Plan, rangeOf, readArguments } from './support/arguments.js';
import { type Counts, countsOf } from './support/counts.js';
import {
  type GrowthResult,
  growthChart,
  growthMarkdown,
  growthText,
  runSweep,
} from './support/growth.js';
import { machineFacts } from './support/machine.js';
import { Refusal } from './support/refusal.js';
import { chartOf, compare, markdownOf, type Result, summarise, textOf } from './support/report.js';
import { type ResultTexts, resultStem, writeResult } from './support/result-files.js';
import { canPlay, checkedTrial, choosePeers, placement, runRounds } from './support/rounds.js';
import { callTool } from './support/system-calls.js';
import type { Pinning } from './support/trial.js';
import type { Peer } from './support/types.js';

const usage = `Usage: npm run bench -- CASE [options]            (in an installed package: npx paipainet bench CASE [options])
       npm run bench -- growth [--of NAMES] [options]
       npm run bench -- --list

Runs every peer of a case in turn, round by round, server and client in fresh processes each time, compares the contents
of both sides, and prints the median of each figure with its spread. growth puts cases again with rising values and shows curves.

  --vs NAMES     rivals, separated by commas (default: all that can run here); --list names them
  --rounds N     measured rounds (default 3); one more, not counted, comes first
  --path NAME    tcp (loopback, the default), unix, or shm: paipainet by shared memory, the others by tcp
  --counts       also counts system calls (with perf or strace) and heap bytes a message, in one more trial of each peer
  --json         also writes bench/results/DATE-CASE.json, and tables and a chart beside it
  --out FILE     also writes the same to FILE, and to .md and .svg beside it
  --list         names the cases with their settings, the curves, and the peers
`;

function list(): string {
  const lines = ['Cases:'];
  for (const { name, question, settings } of cases) {
    lines.push(`  ${name}: ${question}`);
    for (const [setting, each] of Object.entries(settings)) {
      lines.push(`    --${setting} (${each.fallback}): ${each.help}; ${rangeOf(each)}`);
    }
  }
  lines.push(
    'Curves, for growth --of:',
    ...sweeps.map(({ name, question }) => `  ${name}: ${question}`),
    'Peers:',
    ...peers.map((peer) => {
      const able = cases.filter((each) => canPlay(peer, each));
      return `  ${peer.name}: ${peer.about}; ${able.map(({ name }) => name).join(', ')}`;
    }),
  );
  return lines.join('\n');
}

function write({ isKept, file }: Plan | GrowthPlan, name: string, texts: ResultTexts): void {
  const stems = isKept ? [resultStem(name)] : [];
  if (file !== undefined) stems.push(file.replace(/\.json$/, ''));
  for (const stem of stems) console.log(`\nwritten: ${writeResult(stem, texts).join(', ')}`);
}

/** One more trial of each peer, which is not timed: what it counts slows it down. */
async function countAll(
  plan: Plan,
  able: readonly Peer[],
  pins: Pinning,
): Promise<Map<string, Counts>> {
  const counts = new Map<string, Counts>();
  const tool = callTool();
  console.log(
    tool === null
      ? 'without system calls: neither perf nor strace may count here'
      : `system calls counted by ${tool}`,
  );
  const { chosen, settings } = plan;
  for (const peer of able) {
    const options = { countsAllocations: peer.isNode, callTool: tool };
    const trial = await checkedTrial(chosen, settings, peer, pins, options);
    counts.set(peer.name, countsOf(chosen, settings, trial));
  }
  return counts;
}

async function runCase(plan: Plan): Promise<void> {
  const { chosen, rivals, rounds } = plan;
  const settings = chosen.fit?.(plan.settings) ?? plan.settings;
  const pinning = placement(chosen, settings);
  const machine = machineFacts();
  const able = await choosePeers(peers, chosen, rivals);
  const trials = await runRounds(chosen, settings, rounds, able, pinning);
  const counts = plan.counts ? await countAll({ ...plan, settings }, able, pinning) : new Map();
  const byName = new Map([...trials].map(([peer, own]) => [peer.name, own]));
  const summaries = summarise(chosen, byName, counts);
  const result: Result = {
    case: chosen.name,
    settings,
    rounds,
    pinning,
    machine,
    peers: summaries,
    ...(chosen.comparisons !== undefined && { comparisons: compare(chosen, byName) }),
  };
  console.log(textOf(chosen, result));
  write(plan, chosen.name, {
    result,
    markdown: (chart) => markdownOf(chosen, result, chart),
    chart: chartOf(chosen, result),
  });
}

async function runGrowth(plan: GrowthPlan): Promise<void> {
  const { path, rivals, rounds } = plan;
  for (const sweep of plan.sweeps) {
    const machine = machineFacts();
    const curves = await runSweep(sweep, peers, rivals, path, rounds);
    const { name, unit } = sweep;
    const result: GrowthResult = {
      growth: name,
      settings: { path },
      rounds,
      unit,
      machine,
      curves,
    };
    console.log(growthText(sweep, result));
    const texts = {
      result,
      markdown: (chart: string) => growthMarkdown(sweep, result, chart),
      chart: growthChart(sweep, result),
    };
    const { file } = plan;
    const own =
      file === undefined ? plan : { ...plan, file: `${file.replace(/\.json$/, '')}-${name}` };
    write(own, `growth-${name}`, texts);
  }
}

async function main(): Promise<void> {
  const wish = readArguments(process.argv.slice(2), cases, sweeps);
  if (wish.kind === 'list') console.log(list());
  else if (wish.kind === 'help') console.log(usage);
  else if (wish.kind === 'growth') await runGrowth(wish);
  else await runCase(wish);
}

main().catch((error: unknown) => {
  const isRefusal = error instanceof Refusal;
  console.error(isRefusal ? error.message : error);
  process.exitCode = isRefusal ? 2 : 1;
});
