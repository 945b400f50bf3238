import { type BarChart, barChart } from './chart.js';
import type { Counts } from './counts.js';
import type { MachineFacts } from './machine.js';
import { markdownTable } from './markdown.js';
import { ratioOf, type Spread, spreadOf, table } from './summary.js';
import type { Pinning } from './trial.js';
import type { Case, Comparison, Metric, Settings, Trial } from './types.js';

export interface PeerSummary {
  readonly peer: string;
  readonly metrics: Readonly<Record<string, Spread & { readonly unit: string }>>;
  /** Each metric of this peer divided by that of each other one, round by round; by metric, then by peer. */
  readonly ratios: Readonly<Record<string, Readonly<Record<string, Spread>>>>;
  readonly counts?: Counts;
  readonly trials: readonly Trial[];
}

/** One metric of a peer against another one of another peer, round by round. */
export interface Compared extends Comparison {
  readonly ratio: Spread;
}

/** A result as it is kept. */
export interface Result {
  readonly case: string;
  readonly settings: Settings;
  readonly rounds: number;
  readonly pinning: Pinning;
  readonly machine: MachineFacts;
  readonly peers: readonly PeerSummary[];
  readonly comparisons?: readonly Compared[];
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

/** What the case compares, of the peers that were there. */
export function compare(
  chosen: Case,
  trials: ReadonlyMap<string, readonly Trial[]>,
): readonly Compared[] {
  const valuesOf = ({ peer, metric: name }: Comparison['ours']): number[] => {
    const metric = chosen.metrics.find((each) => each.name === name) as Metric; // A case names its own.
    return (trials.get(peer) ?? []).map((trial) => metric.of(trial));
  };
  return (chosen.comparisons ?? []).flatMap((comparison) => {
    const theirs = valuesOf(comparison.theirs);
    const ratios = valuesOf(comparison.ours).flatMap((value, round) => {
      const other = theirs[round];
      return other === undefined ? [] : [value / other];
    });
    return ratios.length === 0 ? [] : [{ ...comparison, ratio: spreadOf(ratios) }];
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

/** With more of them, a table has a row for each metric and not a column. */
const metricColumnsMax = 8;

function hasManyMetrics({ metrics }: Case): boolean {
  return metrics.length > metricColumnsMax;
}

/** Rows of a table of many metrics: what each peer reached, and ours against each rival. */
function metricRows(chosen: Case, summaries: readonly PeerSummary[]): string[][] {
  const [ours, ...rivals] = summaries;
  const head = [
    '',
    ...summaries.map(({ peer }) => peer),
    ...rivals.map(({ peer }) => `${ours?.peer} ÷ ${peer}`),
  ];
  const cell = (spread: Spread | undefined, digits: number): string =>
    spread === undefined ? '' : spreadText(spread, digits);
  const rows = chosen.metrics.map(({ name, unit, digits }) => [
    `${name}, ${unit}`,
    ...summaries.map(({ metrics }) => cell(metrics[name], digits)),
    ...rivals.map(({ peer }) => cell(ours?.ratios[name]?.[peer], 2)),
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

/** Of which metrics a table shows them. */
function ratiosOf(chosen: Case): string {
  return hasManyMetrics(chosen) ? 'ratios of each figure' : `ratios of ${chosen.metrics[0].name}`;
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

function comparedLines({ comparisons = [] }: Result): string[] {
  return comparisons.map(({ ours, theirs, most, ratio }) => {
    const what = `${ours.peer} ${ours.metric} ÷ ${theirs.peer} ${theirs.metric}`;
    return `${what}: ${spreadText(ratio, 2)}; goal at most ${most}`;
  });
}

/** What a terminal shows. */
export function textOf(chosen: Case, result: Result): string {
  const isLong = hasManyMetrics(chosen);
  const compared = comparedLines(result);
  return [
    `${chosen.name}: ${chosen.question}`,
    ...conditions(result, ratiosOf(chosen)),
    ...(chosen.notes ?? []),
    '',
    table((isLong ? metricRows : figureRows)(chosen, result.peers)),
    ...(compared.length > 0 ? ['', ...compared] : []),
    ...(hasCounts(result.peers) ? ['', table(countRows(result.peers))] : []),
  ].join('\n');
}

/** A page with the tables and, from the file `chart` beside it, the chart. */
export function markdownOf(chosen: Case, result: Result, chart: string): string {
  const [settings = '', how, machine] = conditions(result, ratiosOf(chosen));
  const isLong = hasManyMetrics(chosen);
  return `${[
    `# ${chosen.name}`,
    chosen.question,
    `\`${settings}\`. ${how}. ${machine}, ${result.machine.date.slice(0, 10)}.`,
    `![${chosen.question}](${chart})`,
    ...(chosen.notes ?? []).map((note) => `${note}.`),
    markdownTable((isLong ? metricRows : figureRows)(chosen, result.peers)),
    ...comparedLines(result).map((line) => `${line}.`),
    ...(result.peers.length > 1 && !isLong ? [markdownTable(ratioRows(chosen, result.peers))] : []),
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
