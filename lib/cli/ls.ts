import { Data } from '../api/data.js';
import type { Net } from '../api/net.js';
import type { HeldShards } from '../api/types.js';
import { PaipaiError } from '../base/errors.js';
import {
  clientCommand,
  clientHelp,
  clientOptions,
  type Limits,
  netOptionsOf,
  takeArguments,
  withNet,
} from './client.js';
import { type Command, commonOptions, parseOptions, usageError } from './command.js';
import { versionOption } from './data-options.js';
import { formatBytes, formatCount, left, printable, right } from './format.js';
import { toJson } from './json.js';
import { listNodes, printNodes } from './ls-nodes.js';
import { copiesOf } from './stored-data.js';
import { printTable } from './table.js';
import type { Terminal } from './terminal.js';

const help = `Usage: paipainet ls nodes [options]
       paipainet ls data [options]
       paipainet ls shards [ID] [options]

nodes    who is in the net, also who is dead or has left and is remembered; and of those that
         answer, where they keep shards, and how many
data     each version of all data that nodes hold, how often its shards are there, and whether
         they are all there
shards   on which nodes each shard lies; of all data, or of one ID

Data are those in stores on disk: what another client has put into memory is not seen.

  --data-version N     only of this version, for shards
${clientHelp}

Exit codes: 0 done; 1 it went wrong; 2 it was asked the wrong way; 130 Ctrl-C.`;

export const lsCommand: Command = clientCommand({
  help,
  async run(args, context) {
    const { values, positionals } = parseOptions('ls', {
      args: [...args],
      allowPositionals: true,
      options: { ...commonOptions, ...clientOptions, 'data-version': { type: 'string' } },
    });
    const [kind, id] = takeArguments(
      'ls',
      positionals,
      ['nodes, data or shards'],
      positionals[0] === 'shards' ? 1 : 0,
    );
    const version = versionOption('ls', values['data-version']);
    if (version !== undefined && kind !== 'shards') {
      throw usageError('ls', '--data-version goes with shards');
    }
    const options = netOptionsOf('ls', values, context);
    const { terminal } = context;
    const isJson = values.json === true;
    switch (kind) {
      case 'nodes': {
        const nodes = await listNodes(options, context);
        if (isJson) terminal.print(toJson({ nodes }));
        else printNodes(terminal, nodes);
        return 0;
      }
      case 'data': {
        const data = await withNet(options, context, listData);
        if (isJson) terminal.print(toJson({ data }));
        else printData(terminal, data);
        return 0;
      }
      case 'shards': {
        const data = await withNet(options, context, (net, limits) =>
          listShards(net, id, version, limits),
        );
        if (isJson) terminal.print(toJson({ data }));
        else printShards(terminal, data);
        return 0;
      }
      default:
        throw usageError('ls', `There are nodes, data and shards to list, and no '${kind}'`);
    }
  },
});

interface ListedData {
  readonly dataId: string;
  readonly version: bigint;
  /** Whether all shards are there; the figures are of those that are. */
  readonly isWhole: boolean;
  readonly shards: number;
  readonly bytes: number;
  /** On how many nodes each shard lies. */
  readonly copies: { readonly least: number; readonly most: number };
  readonly nodeIds: readonly string[];
}

async function listData(net: Net, limits: Limits): Promise<ListedData[]> {
  const listed: ListedData[] = [];
  for (const { dataId, version, perNode } of await net.contents(limits)) {
    // One after the other, so that only the shards of one are in memory.
    const held = await net.shardsOf(Data.stored(dataId, { version }), limits);
    listed.push({
      dataId,
      version,
      isWhole: held.isWhole,
      shards: held.shards.length,
      bytes: held.shards.reduce((sum, { bytes }) => sum + bytes, 0),
      copies: copiesOf(held),
      nodeIds: perNode.map(({ nodeId }) => nodeId),
    });
  }
  return listed;
}

function printData(terminal: Terminal, data: readonly ListedData[]): void {
  if (data.length === 0) terminal.note('the nodes hold no data');
  else
    printTable(
      terminal,
      [
        left('data'),
        right('version'),
        right('bytes'),
        right('shards'),
        right('copies'),
        left('nodes'),
        left(''),
      ],
      data.map(({ dataId, version, isWhole, shards, bytes, copies, nodeIds }) => [
        printable(dataId),
        String(version),
        formatBytes(bytes),
        formatCount(shards),
        copies.least === copies.most ? String(copies.most) : `${copies.least} to ${copies.most}`,
        printable(nodeIds.join(', ')),
        isWhole ? '' : terminal.paint.red('not whole'),
      ]),
    );
}

async function listShards(
  net: Net,
  id: string | undefined,
  version: bigint | undefined,
  limits: Limits,
): Promise<HeldShards[]> {
  const all = await net.contents({ ...limits, ...(id === undefined ? {} : { dataId: id }) });
  const wanted = all.filter((held) => held.version === (version ?? held.version));
  if (wanted.length === 0 && id !== undefined) {
    const which = version === undefined ? '' : ` version ${version}`;
    throw new PaipaiError(
      'PAIPAI_ERR_UNKNOWN_DATA',
      `no node that is there holds data ${id}${which}; paipainet ls data shows what there is`,
      { dataId: id },
    );
  }
  const held: HeldShards[] = [];
  for (const { dataId, version: each } of wanted) {
    held.push(await net.shardsOf(Data.stored(dataId, { version: each }), limits));
  }
  return held;
}

function printShards(terminal: Terminal, data: readonly HeldShards[]): void {
  if (data.length === 0) terminal.note('the nodes hold no data');
  else
    printTable(
      terminal,
      [
        left('data'),
        right('version'),
        right('shard'),
        right('offset'),
        right('bytes'),
        left('nodes'),
      ],
      data.flatMap(({ dataId, version, shards }) =>
        shards.map(({ index, offset, bytes, nodeIds }) => [
          printable(dataId),
          String(version),
          formatCount(index),
          formatCount(offset),
          formatCount(bytes),
          printable(nodeIds.join(', ')),
        ]),
      ),
    );
}
