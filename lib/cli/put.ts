import type { Data } from '../api/data.js';
import type { Net } from '../api/net.js';
import { PaipaiError } from '../base/errors.js';
import type { TransferReport } from '../cluster/transfer/report.js';
import {
  type ClientOptions,
  clientCommand,
  clientHelp,
  clientOptions,
  type Limits,
  netOptionsOf,
  takeArguments,
  withNet,
} from './client.js';
import { type Command, commonOptions, parseOptions } from './command.js';
import { fileData, fileDataHelp, fileDataOptions, placementOf } from './data-options.js';
import { formatBytes, formatCount, formatTime, left, printable, right } from './format.js';
import { toJson } from './json.js';
import { netMembers } from './net-members.js';
import { makeProgress } from './progress.js';
import { printTable } from './table.js';
import type { Terminal } from './terminal.js';

const help = `Usage: paipainet put FILE [options]

Cuts a file into shards, spreads them over the nodes of a net, and ends when every copy is
confirmed: checked over there, and synced to disk. "paipainet get ID" brings it back.

All nodes must have a store on disk (node --store, or "paipainet up", which gives them one):
what a client puts into memory is gone when the client ends. A node that is dead or does not answer
may hold the same id and version, and would spoil what is put when it comes back: start it again, or
give --force. Two puts of the same id and version at the same time are not kept apart.

${fileDataHelp}
  --force              drop what the nodes hold of this id and version, and put it anew; nothing is
                       dropped for a file that cannot be read or cut. Also while nodes are dead
${clientHelp}

Exit codes: 0 put; 1 it went wrong, and what had been stored is dropped; 2 no such file, or it
was asked the wrong way; 130 Ctrl-C.`;

export const putCommand: Command = clientCommand({
  help,
  async run(args, context) {
    const { values, positionals } = parseOptions('put', {
      args: [...args],
      allowPositionals: true,
      options: {
        ...commonOptions,
        ...clientOptions,
        ...fileDataOptions,
        force: { type: 'boolean' },
      },
    });
    const [file] = takeArguments('put', positionals, ['FILE']);
    const data = fileData('put', file, values);
    const options = { ...netOptionsOf('put', values, context), ...placementOf(values.placement) };
    const { terminal } = context;
    const isJson = values.json === true;
    const report = await withNet(options, context, async (net, limits) => {
      checkDurable(net);
      net.addData(data);
      const isForced = values.force === true;
      // A file that is missing or cannot be cut is found out while the old data are there still.
      if (isForced) await net.plan(data, limits);
      else await checkAbsent(net, data, limits);
      checkSilent(data, await silentNodes(net, options, limits), isForced, terminal);
      if (isForced) await net.drop(data, limits);
      return transfer(net, data, isJson || !terminal.live ? undefined : terminal, limits);
    });
    const { version, replicas } = data;
    if (isJson) terminal.print(toJson({ ...report, version, replicas }));
    else printReport(terminal, data, report);
    return 0;
  },
});

function checkDurable(net: Net): void {
  const volatile = net.info().nodes.filter(({ isDurable }) => !isDurable);
  const [first] = volatile;
  if (first === undefined) return;
  const others = volatile.length === 1 ? '' : ` and ${volatile.length - 1} more`;
  throw new PaipaiError(
    'PAIPAI_ERR_INVALID_STATE',
    `node ${first.id}${others} keeps shards in memory, where what is put would be gone when this command ends; ` +
      'start the nodes with a store on disk: --store files:FOLDER or lmdb:FOLDER',
    { nodeId: first.id },
  );
}

async function checkAbsent(net: Net, data: Data, limits: Limits): Promise<void> {
  const { shards, isWhole } = await net.shardsOf(data, limits);
  if (shards.length === 0) return;
  const how = isWhole ? '' : ', but not whole';
  throw new PaipaiError(
    'PAIPAI_ERR_DUPLICATE_ID',
    `data ${data.id} version ${data.version} are on the nodes already${how}: give another --id, a higher --data-version, or --force to replace them`,
    { dataId: data.id },
  );
}

/** Ids of nodes that the net remembers, and that this client could not ask what they hold. Those that have left are none of them. */
async function silentNodes(
  net: Net,
  options: ClientOptions,
  { signal }: Limits,
): Promise<string[]> {
  const members = await netMembers(options, signal);
  const nodes = net.nodes();
  const asked = new Set(nodes.filter(({ state }) => state !== 'lost').map(({ id }) => id));
  const known = [
    ...nodes.map(({ id }) => id),
    ...members
      .filter(({ state }) => state === 'suspect' || state === 'dead')
      .map(({ nodeId }) => nodeId),
  ];
  return [...new Set(known)].filter((nodeId) => !asked.has(nodeId)).sort();
}

/** Shards of the same version that come back with a node, and are not the same, would leave data on which the nodes do not agree. */
function checkSilent(
  { id: dataId, version }: Data,
  silent: readonly string[],
  isForced: boolean,
  terminal: Terminal,
): void {
  const [nodeId] = silent;
  if (nodeId === undefined) return;
  const others = silent.length === 1 ? '' : ` and ${silent.length - 1} more`;
  const why = `node ${nodeId}${others} of this net cannot be asked what is there of data ${dataId} version ${version}`;
  if (isForced) {
    terminal.note(printable(`${why}; if there is something, it will not agree with what is put`));
    return;
  }
  throw new PaipaiError(
    'PAIPAI_ERR_NODE_LOST',
    `${why}, which would spoil what is put when the node comes back: start it, or give --force where it holds nothing of them`,
    { nodeId, dataId },
  );
}

async function transfer(
  net: Net,
  data: Data,
  screen: Terminal | undefined,
  limits: Limits,
): Promise<TransferReport> {
  if (screen === undefined) return net.transfer(data, undefined, limits);
  const progress = makeProgress('Transfer', screen);
  const report = await net.transfer(data, undefined, {
    ...limits,
    onProgress: ({ bytes, totalBytes }) => progress.update(bytes, totalBytes ?? 0),
  });
  progress.done(`${formatBytes(report.bytes / (report.wallMs / 1000))}/s`);
  return report;
}

function printReport(terminal: Terminal, data: Data, report: TransferReport): void {
  const { bytes, shards, perNode, wallMs } = report;
  printTable(
    terminal,
    [left('node'), right('shards'), right('bytes'), right('w_i'), right('t_i')],
    perNode.map((node) => [
      printable(node.nodeId),
      formatCount(node.shards),
      formatBytes(node.bytes),
      node.weight.toFixed(3),
      formatTime(node.timeMs),
    ]),
  );
  const copies = data.replicas === 1 ? '' : `, ${data.replicas} copies of each`;
  terminal.print(
    printable(
      `put data ${data.id} version ${data.version}: ${formatBytes(bytes)} in ${formatCount(shards)} shards${copies}, ${formatTime(wallMs)}`,
    ),
  );
}
