import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pinning } from './machine.js';
import { primeMemory } from './prime.js';
import { Refusal } from './refusal.js';
import { type Pinning, runTrial, type TrialOptions } from './trial.js';
import type { Case, Peer, Settings, Trial } from './types.js';

export function canPlay(peer: Peer, { program, inNodeAlone }: Case): boolean {
  return peer.programs.includes(program) && (peer.isNode || inNodeAlone !== true);
}

/** The first of `peers` that plays the case, which is ours, and the rivals that can run here; a line for each that cannot. */
export async function choosePeers(
  peers: readonly Peer[],
  chosen: Case,
  rivals: readonly string[] | undefined,
): Promise<Peer[]> {
  for (const name of rivals ?? []) {
    if (!peers.some((peer) => peer.name === name))
      throw new Refusal(`there is no peer "${name}"; --list names them`);
  }
  const players = peers.filter((peer) => canPlay(peer, chosen));
  const [ours] = players;
  const able: Peer[] = [];
  for (const peer of players) {
    const wanted = peer === ours || rivals === undefined || rivals.includes(peer.name);
    if (!wanted) continue;
    const obstacle = await peer.prepare(chosen.program);
    if (obstacle === null) able.push(peer);
    else if (peer === ours) throw new Refusal(`${peer.name}: ${obstacle}`);
    else console.log(`without ${peer.name}: ${obstacle}`);
  }
  const isAlone = rivals !== undefined && !able.some(({ name }) => rivals.includes(name));
  if (isAlone && rivals.length > 0)
    throw new Refusal(`none of ${rivals.join(', ')} can run ${chosen.name} here`);
  return able;
}

export function placement(chosen: Case, settings: Settings): Pinning {
  if (chosen.isClientAlone === true) return { server: [], client: [] };
  const cpuCount = chosen.cpus?.(settings) ?? 2;
  const pins = pinning(cpuCount);
  if (cpuCount === 1 && pins.client.length === 0) throw new Refusal('--cpus 1 needs taskset');
  return pins;
}

/** One trial of `peer`, checked. @throws when a side fails or the contents do not agree. */
export async function checkedTrial(
  chosen: Case,
  settings: Settings,
  peer: Peer,
  pins: Pinning,
  options: TrialOptions = {},
): Promise<Trial> {
  const folder = mkdtempSync(join(tmpdir(), 'paipainet-bench-'));
  try {
    const withSocket = { ...settings, socket: join(folder, 'socket') };
    const beforeRun = (): Promise<boolean> => primeMemory(chosen.memoryBytes(settings));
    const trial = await runTrial(peer, chosen.program, pins, withSocket, beforeRun, {
      ...options,
      isClientAlone: chosen.isClientAlone === true,
    });
    const wrong = chosen.verify(trial, settings);
    if (wrong !== null) throw new Error(`${peer.name}: ${wrong}`);
    return trial;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * All rounds, interleaved; each begins with another peer. The trials of each peer, in the order of rounds. With `isWarm` false
 * one more comes first that is not counted.
 */
export async function runRounds(
  chosen: Case,
  settings: Settings,
  rounds: number,
  able: readonly Peer[],
  pins: Pinning,
  isWarm = false,
): Promise<Map<Peer, Trial[]>> {
  const trials = new Map<Peer, Trial[]>(able.map((peer) => [peer, []]));
  const [metric] = chosen.metrics;
  for (let round = isWarm ? 1 : 0; round <= rounds; round++) {
    for (let turn = 0; turn < able.length; turn++) {
      const peer = able[(turn + round) % able.length] as Peer; // Inside.
      const trial = await checkedTrial(chosen, settings, peer, pins);
      const counted = round === 0 ? 'not counted' : `round ${round}`;
      const figure = `${metric.of(trial).toFixed(metric.digits)} ${metric.unit}`;
      console.error(`${counted}  ${peer.name}  ${figure}`);
      if (round > 0) trials.get(peer)?.push(trial);
    }
  }
  return trials;
}
