import { Data } from '../api/data.js';
import { Net } from '../api/net.js';
import { Node } from '../api/node.js';
import type { TransferReport } from '../cluster/transfer/report.js';
import { storeBytesDefault } from '../node/node-store.js';
import { createRealEnv } from '../node/real-env.js';
import type { ProcessResult } from '../processing/report.js';
import { type Command, commonOptions, integerOption, parseOptions, usageError } from './command.js';
import type { GroupByArgs } from './demo-handlers.js';
import { type DemoOutcome, type DemoReport, sameRows } from './demo-outcome.js';
import { type DemoTable, openTable } from './demo-table.js';
import { type DemoView, silentView, terminalView } from './demo-view.js';
import { formatBytes, formatCount, formatTime } from './format.js';
import { type GroupTable, rowsOf } from './group-table.js';
import { packageVersion } from './package-facts.js';
import { groupByOneThread } from './reference.js';

const help = `Usage: paipainet demo [FILE --key COLUMN --value COLUMN] [options]

Cuts a CSV file into shards at record boundaries, balances them over nodes (processes on this
machine), transfers them there, groups the rows by a column on the nodes (count, mean, min, max of
another), gathers the result and compares it with one thread reading the same file.
Without FILE it takes zipcodes.csv of the package vega-datasets, by state and latitude.

  --key COLUMN      group by this column
  --value COLUMN    of this column; a row that has no number there is counted in "skipped"
  --nodes N         1 to 64, default 3
  --shard-bytes N   1 to 67108864; default 65536, and 1048576 for files above 64 MiB
  --json            one JSON object on one line instead of tables
  --verbose         show the stack of an error

Exit codes: 0 equal; 1 not equal, or it went wrong; 2 no such file or column; 130 Ctrl-C.`;

const mebibyte = 2 ** 20;

/** Nodes keep shards in memory, all of them on this machine. Of a larger file each shard is dropped after use. */
function storedBytesMax(): number {
  return Math.min(1024 * mebibyte, storeBytesDefault() / 4);
}

export const demoCommand: Command = {
  help,
  async run(args, { terminal, signal }) {
    const { values, positionals } = parseOptions('demo', {
      args: [...args],
      allowPositionals: true,
      options: {
        ...commonOptions,
        key: { type: 'string' },
        value: { type: 'string' },
        nodes: { type: 'string', default: '3' },
        'shard-bytes': { type: 'string' },
        json: { type: 'boolean' },
      },
    });
    if (positionals.length > 1) throw usageError('demo', `Unexpected argument '${positionals[1]}'`);
    const nodeCount = integerOption('demo', 'nodes', values.nodes, 1, 64);
    const shardBytesText = values['shard-bytes'];
    const shardBytes =
      shardBytesText === undefined
        ? undefined
        : integerOption('demo', 'shard-bytes', shardBytesText, 1, 64 * mebibyte);
    const table = await openTable(createRealEnv(), {
      file: positionals[0],
      key: values.key,
      value: values.value,
    });

    const outcome = await runDemo(table, {
      nodeCount,
      shardBytes: shardBytes ?? (table.bytes > 64 * mebibyte ? mebibyte : 64 * 1024),
      view: values.json === true ? silentView : terminalView(terminal),
      signal,
    });
    if (values.json === true) terminal.print(JSON.stringify(outcome));
    return outcome.equal ? 0 : 1;
  },
};

interface DemoOptions {
  readonly nodeCount: number;
  readonly shardBytes: number;
  readonly view: DemoView;
  readonly signal: AbortSignal;
}

async function runDemo(table: DemoTable, options: DemoOptions): Promise<DemoOutcome> {
  const { nodeCount, shardBytes, view, signal } = options;
  const net = new Net({
    handlers: new URL('./demo-handlers.js', import.meta.url),
    placement: 'weighted', // The data are processed once, so only even shares matter.
  });
  try {
    for (let id = 1; id <= nodeCount; id += 1) net.addNode(new Node(id));
    const data = Data.fromFile(table.name, table.path, { shardBytes, records: 'csv' });
    net.addData(data);
    await net.start();
    signal.throwIfAborted();

    const { engine, nodes } = net.info();
    const opening = { version: packageVersion(), engine, file: table.name, bytes: table.bytes };
    view.opening({ ...opening, shardBytes, nodes });
    const plan = await net.plan(data);
    view.plan({ shards: plan.shards.length, perNode: plan.perNode });

    const work = { net, data, table, view, signal };
    const { transfer, processed } = await (table.bytes > storedBytesMax()
      ? passThrough(work)
      : transferThenProcess(work));
    const { value, report } = processed;
    const grouped = value as GroupTable; // What the handler's merge gives.

    const referenceStartMs = performance.now();
    const reference = await groupByOneThread(table.path, table.key.name, table.value.name, signal);
    const referenceMs = performance.now() - referenceStartMs;

    const result = rowsOf(grouped);
    const perNode = transfer.perNode.map(({ nodeId, shards, bytes, weight, timeMs }) => {
      const processMs = report.perNode.find((node) => node.nodeId === nodeId)?.timeMs ?? 0;
      return { nodeId, shards, bytes, weight, transferMs: timeMs, processMs };
    });
    const demoReport: DemoReport = {
      file: table.path,
      bytes: transfer.bytes,
      shards: transfer.shards,
      shardBytes,
      perNode,
      sums: { bytes: transfer.bytes, transferMs: transfer.sumMs, processMs: report.sumMs },
      wall: { transferMs: transfer.wallMs, processMs: report.wallMs, referenceMs },
      speedUp: report.speedUp,
    };
    const outcome: DemoOutcome = {
      engine,
      pids: nodes.map(({ pid }) => pid),
      equal: grouped.skipped === reference.skipped && sameRows(result, reference.rows),
      result,
      skipped: grouped.skipped,
      report: demoReport,
    };
    view.outcome(outcome, { key: table.key.name, value: table.value.name });
    return outcome;
  } finally {
    await net.close();
  }
}

interface DemoWork {
  readonly net: Net;
  readonly data: Data;
  readonly table: DemoTable;
  readonly view: DemoView;
  readonly signal: AbortSignal;
}

interface DemoWorkDone {
  readonly transfer: TransferReport;
  readonly processed: ProcessResult;
}

function handlerArgs({ key, value }: DemoTable): GroupByArgs {
  return { key: key.index, value: value.index };
}

/** Every shard goes to its node and stays there; then every node works on its own. */
async function transferThenProcess(work: DemoWork): Promise<DemoWorkDone> {
  const { net, data, table, view, signal } = work;
  const transferring = view.progress('Transfer');
  const transfer = await net.transfer(data, undefined, {
    signal,
    deadlineMs: Number.POSITIVE_INFINITY,
    onProgress: ({ bytes }) => transferring.update(bytes, table.bytes),
  });
  transferring.done(summaryOf(transfer));

  const processing = view.progress('Process');
  const processed = await net.process(data, 'groupBy', {
    args: handlerArgs(table),
    signal,
    deadlineMs: Number.POSITIVE_INFINITY,
    onProgress: ({ bytes }) => processing.update(bytes, table.bytes),
  });
  processing.done(`merged on the nodes, ${formatTime(processed.report.wallMs)}`);
  return { transfer, processed };
}

/** Each shard is sent, processed and dropped, so that a file larger than all memory passes through. */
async function passThrough(work: DemoWork): Promise<DemoWorkDone> {
  const { net, data, table, view, signal } = work;
  const passing = view.progress('Stream');
  const processed = await net.process(data, 'groupBy', {
    args: handlerArgs(table),
    keep: false,
    signal,
    deadlineMs: Number.POSITIVE_INFINITY,
    onProgress: ({ bytes }) => passing.update(bytes, table.bytes),
  });
  const { transfer } = processed;
  if (transfer === undefined) throw new TypeError('what passes through is transferred');
  passing.done(summaryOf(transfer));
  return { transfer, processed };
}

function summaryOf({ shards, bytes, wallMs }: TransferReport): string {
  return `${formatCount(shards)} shards, ${formatBytes(bytes / (wallMs / 1000))}/s`;
}
