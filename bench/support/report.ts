import { type BarChart, barChart } from './chart.js';
import type { Counts } from './counts.js';
import type { MachineFacts } from './machine.js';
import { markdownTable } from './markdown.js';
import { ratioOf, type Spread, spreadOf, table } from './summary.js';
import type { Pinning } from './trial.js';
import type { Case, Settings, Trial } from './types.js';

export interface PeerSummary {
  readonly peer: string;
  readonly metrics: Readonly<Record<string, Spread & { readonly unit: string }>>;
  /** Each metric of this peer divided by that of each other one, round by round; by metric, then by peer. */
  readonly ratios: Readonly<Record<string, Readonly<Record<string, Spread>>>>;
  readonly counts?: Counts;
  readonly trials: readonly Trial[];
}

/** A result as it is kept. */
export interface Result {
  readonly case: string;
  readonly settings: Settings;
  readonly rounds: number;
  readonly pinning: Pinning;
  readonly machine: MachineFacts;
  readonly peers: readonly PeerSummary[];
}

/** `trials` and `counts` by the name of the peer. */
export function summarise(
  chosen: Case,
  trials: ReadonlyMap<string, readonly Trial[]>,
  counts: ReadonlyMap<string, Counts>,
): PeerSummary[] {
  return [...trials].map(([peer, own]) => {
    const others = [...trials].filter(([other]) => other !== peer);
    const counted = counts.get(peer);
    return {
      peer,
      metrics: Object.fromEntries(
        chosen.metrics.map((metric) => [
          metric.name,
          { unit: metric.unit, ...spreadOf(own.map((trial) => metric.of(trial))) },
        ]),
      ),
      ratios: Object.fromEntries(
        chosen.metrics.map((metric) => [
          metric.name,
          Object.fromEntries(
            others.map(([other, theirs]) => [other, ratioOf(metric, own, theirs)]),
          ),
        ]),
      ),
      ...(counted !== undefined && { counts: counted }),
      trials: own,
    };
  });
}

export function spreadText({ median, min, max }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`;
}

/** Rows of a table: what each peer reached, and the first metric's ratios. */
function figureRows(chosen: Case, summaries: readonly PeerSummary[]): string[][] {
  const names = summaries.map(({ peer }) => peer);
  const [first] = chosen.metrics;
  const head = [
    '',
    ...chosen.metrics.map(({ name, unit }) => `${name}, ${unit}`),
    ...names.map((name) => `÷ ${name}`),
  ];
  const cell = (spread: Spread | undefined, digits: number): string =>
    spread === undefined ? '' : spreadText(spread, digits);
  const rows = summaries.map(({ peer, metrics, ratios }) => [
    peer,
    ...chosen.metrics.map(({ name, digits }) => cell(metrics[name], digits)),
    ...names.map((name) => cell(ratios[first.name]?.[name], 2)),
  ]);
  return [head, ...rows];
}

/** Rows of a table: ours against each rival, in every metric. */
function ratioRows(chosen: Case, summaries: readonly PeerSummary[]): string[][] {
  const [ours, ...rivals] = summaries;
  const head = [
    `${ours?.peer} ÷`,
    ...chosen.metrics.map(({ name, better }) => `${name} (${better} is better)`),
  ];
  const rows = rivals.map(({ peer }) => [
    peer,
    ...chosen.metrics.map(({ name }) => {
      const spread = ours?.ratios[name]?.[peer];
      return spread === undefined ? '' : spreadText(spread, 2);
    }),
  ]);
  return [head, ...rows];
}

function countRows(summaries: readonly PeerSummary[]): string[][] {
  const cell = (count: number | null, digits: number): string =>
    count === null ? 'not known' : count.toFixed(digits);
  const per = summaries.find(({ counts }) => counts !== undefined)?.counts?.per ?? '';
  const head = [
    `for each ${per}`,
    'client, system calls',
    'server, system calls',
    'client, heap bytes',
    'server, heap bytes',
  ];
  const rows = summaries.flatMap(({ peer, counts }) =>
    counts === undefined
      ? []
      : [
          [
            peer,
            cell(counts.clientSystemCalls, 3),
            cell(counts.serverSystemCalls, 3),
            cell(counts.clientHeapBytes, 1),
            cell(counts.serverHeapBytes, 1),
          ],
        ],
  );
  return [head, ...rows];
}

function hasCounts(summaries: readonly PeerSummary[]): boolean {
  return summaries.some(({ counts }) => counts !== undefined);
}

/** Lines that say under what conditions a result came about. */
export function conditions(
  { settings, rounds, pinning, machine }: Omit<Result, 'peers'>,
  what: string,
): string[] {
  const placed =
    pinning.client.length > 0
      ? `client on CPU ${pinning.client.at(-1)}, server on CPU ${pinning.server.at(-1)}`
      : 'not pinned';
  return [
    Object.entries(settings)
      .map(([name, value]) => `${name} ${value}`)
      .join(', '),
    `${rounds} rounds, median (lowest–highest); ${what}; ${placed}`,
    `${machine.system}, ${machine.cpuCount} × ${machine.cpu}, Node ${machine.node}, ${machine.commit}`,
  ];
}

/** What a terminal shows. */
export function textOf(chosen: Case, result: Result): string {
  return [
    `${chosen.name}: ${chosen.question}`,
    ...conditions(result, `ratios of ${chosen.metrics[0].name}`),
    '',
    table(figureRows(chosen, result.peers)),
    ...(hasCounts(result.peers) ? ['', table(countRows(result.peers))] : []),
  ].join('\n');
}

/** A page with the tables and, from the file `chart` beside it, the chart. */
export function markdownOf(chosen: Case, result: Result, chart: string): string {
  const [settings = '', how, machine] = conditions(result, `ratios of ${chosen.metrics[0].name}`);
  return `${[
    `# ${chosen.name}`,
    chosen.question,
    `\`${settings}\`. ${how}. ${machine}, ${result.machine.date.slice(0, 10)}.`,
    `![${chosen.question}](${chart})`,
    markdownTable(figureRows(chosen, result.peers)),
    ...(result.peers.length > 1 ? [markdownTable(ratioRows(chosen, result.peers))] : []),
    ...(hasCounts(result.peers) ? [markdownTable(countRows(result.peers))] : []),
  ].join('\n\n')}\n`;
}

/** A bar of the first metric for each peer. */
export function chartOf(chosen: Case, { peers }: Result): string {
  const [{ name, unit, better, digits }] = chosen.metrics;
  const chart: BarChart = {
    title: `${chosen.name}: ${name}, ${unit} (${better} is better)`,
    digits,
    bars: peers.flatMap(({ peer, metrics }) => {
      const spread = metrics[name];
      return spread === undefined ? [] : [{ label: peer, spread }];
    }),
  };
  return barChart(chart);
}
