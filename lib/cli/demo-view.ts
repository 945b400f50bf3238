import type { DemoOutcome, DemoPlan } from './demo-outcome.js';
import {
  type Column,
  clip,
  formatBytes,
  formatCount,
  formatNumbers,
  formatTime,
  left,
  right,
} from './format.js';
import { makeProgress, type Progress } from './progress.js';
import { printTable } from './table.js';
import { bar, type Terminal } from './terminal.js';

/** Rows of the result that are shown to people; `--json` has them all. */
const resultRowsMax = 12;
const planBarWidth = 28;
const nodeBarWidth = 8;
const keyWidthMax = 24;

/** The demo as people see it. Each method is called once, in the order in which they stand here. */
export interface DemoView {
  opening(facts: OpeningFacts): void;
  plan(plan: DemoPlan): void;
  /** Shows progress of one step until `done`. */
  progress(label: string): Progress;
  outcome(outcome: DemoOutcome, columns: { key: string; value: string }): void;
}

export interface OpeningFacts {
  readonly version: string;
  readonly engine: string;
  readonly file: string;
  readonly bytes: number;
  readonly shardBytes: number;
  readonly nodes: readonly { readonly id: string; readonly pid: number | undefined }[];
}

/** For `--json`: nothing on standard output but the one object. */
export const silentView: DemoView = {
  opening: () => {},
  plan: () => {},
  progress: () => ({ update: () => {}, done: () => {} }),
  outcome: () => {},
};

export function terminalView(terminal: Terminal): DemoView {
  const { paint, glyphs, print } = terminal;
  const heading = (title: string, rest: string): void => {
    print();
    print(`${paint.bold(title)}  ${rest}`.trimEnd());
  };
  const table = (columns: readonly Column[], rows: readonly (readonly string[])[]): void =>
    printTable(terminal, columns, rows);

  return {
    opening({ version, engine, file, bytes, shardBytes, nodes }) {
      const { platform, arch } = process;
      const facts = [
        `engine ${paint.bold(engine)}`,
        `Node ${process.version}`,
        `${platform} ${arch}`,
      ];
      print(`${paint.bold(`PaiPaiNet ${version}`)}  ${facts.join(` ${glyphs.dot} `)}`);
      print();
      print(`  data   ${clip(file, 40, glyphs.ellipsis)}, ${formatBytes(bytes)}`);
      print(`  cut    at CSV records, into shards of at most ${formatBytes(shardBytes)}`);
      const pids = nodes.map(({ pid }) => pid ?? '?').join(', ');
      print(
        `  nodes  ${nodes.length} processes on this machine (pids ${clip(pids, 40, glyphs.ellipsis)})`,
      );
    },

    plan({ shards, perNode }) {
      heading('Plan', `${formatCount(shards)} shards over ${perNode.length} nodes`);
      const most = Math.max(...perNode.map((node) => node.bytes));
      const rows = perNode.map((node) => [
        node.nodeId,
        formatCount(node.shards),
        formatBytes(node.bytes),
        paint.cyan(bar(node.bytes / most, planBarWidth, glyphs)),
      ]);
      table([right('node'), right('shards'), right('bytes'), left('')], rows);
    },

    progress(label) {
      print();
      return makeProgress(label, terminal);
    },

    outcome(outcome, columns) {
      const { result, skipped, report, equal } = outcome;
      const { key, value } = columns;
      heading('Result', `${shown(value)} by ${shown(key)}, ${formatCount(result.length)} groups`);
      const rows = result.slice(0, resultRowsMax);
      const means = formatNumbers(rows.map(({ mean }) => mean));
      const mins = formatNumbers(rows.map(({ min }) => min));
      const maxs = formatNumbers(rows.map(({ max }) => max));
      table(
        [left(shown(key)), ...['count', 'mean', 'min', 'max'].map(right)],
        rows.map((row, index) => [
          clip(row.key, keyWidthMax, glyphs.ellipsis),
          formatCount(row.count),
          ...[means, mins, maxs].map((texts) => texts[index] ?? ''),
        ]),
      );
      const more = result.length - rows.length;
      if (more > 0)
        print(paint.dim(`  ${glyphs.ellipsis} and ${formatCount(more)} more; --json has them all`));
      if (skipped > 0)
        print(`  ${formatCount(skipped)} rows have no number there and are not counted`);

      heading('Nodes', 'w_i share of the bytes, t_i transfer, h_i handlers');
      const { perNode, sums, wall } = report;
      const longest = {
        weight: Math.max(...perNode.map((node) => node.weight)),
        transfer: Math.max(...perNode.map((node) => node.transferMs)),
        process: Math.max(...perNode.map((node) => node.processMs)),
      };
      const small = (share: number): string => paint.cyan(bar(share, nodeBarWidth, glyphs));
      table(
        [
          right('node'),
          right('shards'),
          right('bytes'),
          right('w_i'),
          left(''),
          right('t_i'),
          left(''),
          right('h_i'),
          left(''),
        ],
        perNode.map((node) => [
          node.nodeId,
          formatCount(node.shards),
          formatBytes(node.bytes),
          node.weight.toFixed(3),
          small(node.weight / longest.weight),
          formatTime(node.transferMs),
          small(node.transferMs / longest.transfer),
          formatTime(node.processMs),
          small(node.processMs / longest.process),
        ]),
      );
      print();
      table(
        [left(''), right('sum'), right('wall'), left('')],
        [
          ['P', formatBytes(sums.bytes), '', `${formatCount(sums.bytes)} bytes`],
          [
            'T',
            formatTime(sums.transferMs),
            formatTime(wall.transferMs),
            `${glyphs.sum}t_i; transfers overlap`,
          ],
          [
            'H',
            formatTime(sums.processMs),
            formatTime(wall.processMs),
            `${glyphs.sum}h_i; ${report.speedUp.toFixed(1)} at a time`,
          ],
        ],
      );
      print();
      const verdict = equal ? paint.green(paint.bold('Equal')) : paint.red(paint.bold('NOT equal'));
      print(
        `${verdict} to a one-thread reference over the same file (${formatTime(wall.referenceMs)}).`,
      );
    },
  };

  function shown(column: string): string {
    return clip(column, keyWidthMax, glyphs.ellipsis);
  }
}
