import { settingsOf } from './arguments.js';
import { type LineChart, lineChart } from './chart.js';
import type { MachineFacts } from './machine.js';
import { markdownTable } from './markdown.js';
import { spreadText } from './report.js';
import { choosePeers, placement, runRounds } from './rounds.js';
import { type Spread, spreadOf, table } from './summary.js';
import type { Peer, Settings, Sweep } from './types.js';

/** What one peer's cost is at each value. */
export interface Curve {
  readonly peer: string;
  readonly points: readonly { readonly x: number; readonly spread: Spread }[];
}

/** A curve as it is kept. */
export interface GrowthResult {
  readonly growth: string;
  readonly settings: Settings;
  readonly rounds: number;
  readonly unit: string;
  readonly machine: MachineFacts;
  readonly curves: readonly Curve[];
}

/** The settings of a sweep's case, with one of its values; fewer where this machine cannot do so many. */
function settingsAt({ chosen, setting }: Sweep, path: string, value: number): Settings {
  const settings = settingsOf(chosen, path, { [setting]: String(value) });
  return chosen.fit?.(settings) ?? settings;
}

/** Runs the sweep's case at each value, all peers in turn. The round that is not counted comes once, with the first value. */
export async function runSweep(
  sweep: Sweep,
  peers: readonly Peer[],
  rivals: readonly string[] | undefined,
  path: string,
  rounds: number,
): Promise<Curve[]> {
  const able = await choosePeers(peers, sweep.chosen, rivals);
  const curves = able.map((peer) => ({
    peer,
    points: [] as { x: number; spread: Spread }[],
  }));
  for (const value of sweep.values) {
    const settings = settingsAt(sweep, path, value);
    const x = Number(settings[sweep.setting]);
    console.error(`${sweep.name}: ${sweep.setting} ${x}`);
    const pins = placement(sweep.chosen, settings);
    const isWarm = value !== sweep.values[0];
    const trials = await runRounds(sweep.chosen, settings, rounds, able, pins, isWarm);
    for (const { peer, points } of curves) {
      points.push({ x, spread: spreadOf((trials.get(peer) ?? []).map(sweep.cost)) });
    }
  }
  return curves.map(({ peer, points }) => ({ peer: peer.name, points }));
}

function rowsOf({ setting, unit, digits }: Sweep, curves: readonly Curve[]): string[][] {
  const xs = curves[0]?.points.map(({ x }) => x) ?? [];
  const head = [setting, ...curves.map(({ peer }) => `${peer}, ${unit}`)];
  const rows = xs.map((x, i) => [
    String(x),
    ...curves.map(({ points }) => {
      const spread = points[i]?.spread;
      return spread === undefined ? '' : spreadText(spread, digits);
    }),
  ]);
  return [head, ...rows];
}

export function growthText(sweep: Sweep, { curves, rounds }: GrowthResult): string {
  const head = `growth of ${sweep.name}: ${sweep.question}\n${rounds} rounds, median (lowest–highest)`;
  return `${head}\n\n${table(rowsOf(sweep, curves))}`;
}

export function growthMarkdown(sweep: Sweep, result: GrowthResult, chart: string): string {
  const { machine, rounds } = result;
  return `${[
    `# Growth: ${sweep.name}`,
    sweep.question,
    `${rounds} rounds, median (lowest–highest). ${machine.system}, ${machine.cpuCount} × ${machine.cpu}, Node ${machine.node}, ${machine.commit}, ${machine.date.slice(0, 10)}.`,
    `![${sweep.question}](${chart})`,
    markdownTable(rowsOf(sweep, result.curves)),
  ].join('\n\n')}\n`;
}

export function growthChart(sweep: Sweep, { curves }: GrowthResult): string {
  const chart: LineChart = {
    title: `${sweep.question} (${sweep.unit})`,
    xLabel: sweep.setting,
    lines: curves.map(({ peer, points }) => ({ label: peer, points })),
  };
  return lineChart(chart);
}
