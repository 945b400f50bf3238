#!/usr/bin/env node
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { cases } from './cases/index.js';
import { peers } from './peers/index.js';
import { machineFacts, packageRoot, pinning } from './support/machine.js';
import { primeMemory } from './support/prime.js';
import { ratioOf, type Spread, spreadOf, table } from './support/summary.js';
import { type Pinning, runTrial } from './support/trial.js';
import type { Case, Peer, Settings, Trial } from './support/types.js';

const usage = `Usage: npm run bench -- CASE [options]
       npm run bench -- --list

Runs every peer of a case in turn, round by round, server and client in fresh processes each time, compares the contents
of both sides, and prints the median of each figure with its spread.

  --vs NAMES     rivals, separated by commas (default: all that can run here)
  --rounds N     measured rounds (default 3); one more, not counted, comes first
  --path NAME    tcp (loopback, the default), unix, or shm: paipainet by shared memory, the others by tcp
  --json         also writes bench/results/DATE-CASE.json
  --out FILE     also writes the same to FILE
  --list         names the cases with their settings, and the peers
`;

/** Ends the program with a message for people, without a stack. */
class Refusal extends Error {}

function canPlay(peer: Peer, { program, inNodeAlone }: Case): boolean {
  return peer.programs.includes(program) && (peer.isNode || inNodeAlone !== true);
}

function list(): string {
  const lines = ['Cases:'];
  for (const { name, question, settings } of cases) {
    lines.push(`  ${name}: ${question}`);
    for (const [setting, { fallback, help }] of Object.entries(settings)) {
      lines.push(`    --${setting} (${fallback}): ${help}`);
    }
  }
  lines.push(
    'Peers:',
    ...peers.map((peer) => {
      const able = cases.filter((each) => canPlay(peer, each));
      return `  ${peer.name}: ${peer.about}; ${able.map(({ name }) => name).join(', ')}`;
    }),
  );
  return lines.join('\n');
}

interface Plan {
  readonly chosen: Case;
  readonly rivals: readonly string[] | undefined;
  readonly rounds: number;
  readonly settings: Settings;
  readonly files: readonly string[];
}

/** Two invocations on one day do not overwrite each other. */
function resultFile(caseName: string): string {
  const folder = join(packageRoot, 'bench', 'results');
  const stem = `${new Date().toISOString().slice(0, 10)}-${caseName}`;
  let file = join(folder, `${stem}.json`);
  for (let n = 2; existsSync(file); n++) file = join(folder, `${stem}-${n}.json`);
  mkdirSync(folder, { recursive: true });
  return file;
}

function readArguments(args: readonly string[]): Plan | null {
  const name = args.find((arg) => !arg.startsWith('--'));
  const chosen = cases.find((candidate) => candidate.name === name);
  const own = Object.keys(chosen?.settings ?? {}).map((setting) => [setting, { type: 'string' }]);
  const options: ParseArgsConfig['options'] = {
    vs: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    path: { type: 'string', default: 'tcp' },
    json: { type: 'boolean', default: false },
    out: { type: 'string' },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    ...(Object.fromEntries(own) as ParseArgsConfig['options']),
  };
  const { values } = parseArgs({ args: [...args], options, allowPositionals: true });
  if (values.list === true) {
    console.log(list());
    return null;
  }
  if (values.help === true || args.length === 0) {
    console.log(usage);
    return null;
  }
  if (chosen === undefined) throw new Refusal(`there is no case "${name ?? ''}"\n\n${list()}`);
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Refusal('--rounds takes a whole number from 1');
  if (values.path !== 'tcp' && values.path !== 'unix' && values.path !== 'shm')
    throw new Refusal('--path takes tcp, unix or shm');
  const settings: Record<string, string> = { path: values.path };
  for (const [setting, { fallback }] of Object.entries(chosen.settings)) {
    settings[setting] = String(values[setting] ?? fallback);
  }
  const files: string[] = [];
  if (values.json === true) files.push(resultFile(chosen.name));
  if (typeof values.out === 'string') files.push(values.out);
  const rivals = typeof values.vs === 'string' ? values.vs.split(',').filter(Boolean) : undefined;
  return { chosen, rivals, rounds, settings: chosen.fit?.(settings) ?? settings, files };
}

/** Ourselves and the rivals that can run here; a line for each that cannot. */
async function choosePeers({ chosen, rivals }: Plan): Promise<Peer[]> {
  for (const name of rivals ?? []) {
    if (!peers.some((peer) => peer.name === name))
      throw new Refusal(`there is no peer "${name}"\n\n${list()}`);
  }
  const able: Peer[] = [];
  for (const peer of peers) {
    const wanted = peer === peers[0] || rivals === undefined || rivals.includes(peer.name);
    if (!wanted || !canPlay(peer, chosen)) continue;
    const obstacle = await peer.prepare(chosen.program);
    if (obstacle === null) able.push(peer);
    else if (peer === peers[0]) throw new Refusal(`${peer.name}: ${obstacle}`);
    else console.log(`without ${peer.name}: ${obstacle}`);
  }
  if (able.length === 1 && rivals !== undefined && rivals.length > 0)
    throw new Refusal(`none of ${rivals.join(', ')} can run ${chosen.name} here`);
  return able;
}

function placement({ chosen, settings }: Plan): Pinning {
  const cpuCount = chosen.cpus?.(settings) ?? 2;
  if (cpuCount !== 1 && cpuCount !== 2) throw new Refusal('--cpus takes 1 or 2');
  const pins = pinning(cpuCount);
  if (cpuCount === 1 && pins.client.length === 0) throw new Refusal('--cpus 1 needs taskset');
  return pins;
}

/** All rounds, interleaved; each begins with another peer. The trials of each peer, in the order of rounds. */
async function runRounds(
  { chosen, rounds, settings }: Plan,
  able: readonly Peer[],
  pins: Pinning,
): Promise<Map<Peer, Trial[]>> {
  const trials = new Map<Peer, Trial[]>(able.map((peer) => [peer, []]));
  for (let round = 0; round <= rounds; round++) {
    for (let turn = 0; turn < able.length; turn++) {
      const peer = able[(turn + round) % able.length];
      if (peer === undefined) continue;
      const folder = mkdtempSync(join(tmpdir(), 'paipainet-bench-'));
      try {
        const withSocket = { ...settings, socket: join(folder, 'socket') };
        const trial = await runTrial(peer, chosen.program, pins, withSocket, () =>
          primeMemory(chosen.memoryBytes(settings)),
        );
        const wrong = chosen.verify(trial, settings);
        if (wrong !== null) throw new Error(`${peer.name}: ${wrong}`);
        const [metric] = chosen.metrics;
        const counted = round === 0 ? 'not counted' : `round ${round}`;
        console.error(
          `${counted}  ${peer.name}  ${metric.of(trial).toFixed(metric.digits)} ${metric.unit}`,
        );
        if (round > 0) trials.get(peer)?.push(trial);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    }
  }
  return trials;
}

interface PeerSummary {
  readonly peer: string;
  readonly metrics: Record<string, Spread & { unit: string }>;
  /** The first metric of this peer divided by that of each other one, round by round. */
  readonly ratioTo: Record<string, Spread>;
  readonly trials: readonly Trial[];
}

function summarise(chosen: Case, trials: ReadonlyMap<Peer, readonly Trial[]>): PeerSummary[] {
  return [...trials].map(([peer, own]) => ({
    peer: peer.name,
    metrics: Object.fromEntries(
      chosen.metrics.map((metric) => [
        metric.name,
        { unit: metric.unit, ...spreadOf(own.map((trial) => metric.of(trial))) },
      ]),
    ),
    ratioTo: Object.fromEntries(
      [...trials]
        .filter(([other]) => other !== peer)
        .map(([other, theirs]) => [other.name, ratioOf(chosen.metrics[0], own, theirs)]),
    ),
    trials: own,
  }));
}

function show(chosen: Case, summaries: readonly PeerSummary[]): string {
  const cell = ({ median, min, max }: Spread, digits: number): string =>
    `${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`;
  const names = summaries.map(({ peer }) => peer);
  const head = [
    '',
    ...chosen.metrics.map(({ name, unit }) => `${name}, ${unit}`),
    ...names.map((name) => `÷ ${name}`),
  ];
  const rows = summaries.map(({ peer, metrics, ratioTo }) => [
    peer,
    ...chosen.metrics.map(({ name, digits }) => {
      const spread = metrics[name];
      return spread === undefined ? '' : cell(spread, digits);
    }),
    ...names.map((name) => (ratioTo[name] === undefined ? '' : cell(ratioTo[name], 2))),
  ]);
  return table([head, ...rows]);
}

async function main(): Promise<void> {
  const plan = readArguments(process.argv.slice(2));
  if (plan === null) return;
  const pins = placement(plan);
  const machine = machineFacts();
  const able = await choosePeers(plan);
  const trials = await runRounds(plan, able, pins);
  const summaries = summarise(plan.chosen, trials);
  const placed =
    pins.client.length > 0
      ? `client on CPU ${pins.client.at(-1)}, server on CPU ${pins.server.at(-1)}`
      : 'not pinned';
  const { chosen, rounds, settings, files } = plan;
  console.log(`${chosen.name}: ${chosen.question}`);
  console.log(
    Object.entries(settings)
      .map(([name, value]) => `${name} ${value}`)
      .join(', '),
  );
  console.log(
    `${rounds} rounds, median (lowest–highest); ratios of ${chosen.metrics[0].name}; ${placed}`,
  );
  console.log(
    `${machine.system}, ${machine.cpuCount} × ${machine.cpu}, Node ${machine.node}, ${machine.commit}`,
  );
  console.log(`\n${show(chosen, summaries)}`);
  const result = { case: chosen.name, settings, rounds, pinning: pins, machine, peers: summaries };
  for (const file of files) {
    writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
    console.log(`\nwritten: ${file}`);
  }
}

main().catch((error: unknown) => {
  const known = error instanceof Refusal || (error instanceof TypeError && 'code' in error);
  console.error(known ? error.message : error);
  process.exitCode = 1;
});
