import type { Explanation } from '../api/types.js';
import {
  clientCommand,
  clientHelp,
  clientOptions,
  netOptionsOf,
  takeArguments,
  withNet,
} from './client.js';
import { type Command, commonOptions, parseOptions } from './command.js';
import { placementHelp, placementOf, replicasOption, versionOption } from './data-options.js';
import { formatCount, left, printable, right } from './format.js';
import { toJson } from './json.js';
import { findStored } from './stored-data.js';
import { printTable } from './table.js';
import type { Terminal } from './terminal.js';

const help = `Usage: paipainet explain ID [options]

Says of each shard on which nodes it lies, where placement puts it among the nodes that are there
now, and how many copies are missing. What lies elsewhere came there before, or in the place of a
node that went away.

  --data-version N     default: the newest that the nodes hold
  --replicas N         how many copies there should be; default: as many as the shard that has most
${placementHelp}
${clientHelp}

Exit codes: 0 done; 1 it went wrong; 2 it was asked the wrong way; 130 Ctrl-C.`;

export const explainCommand: Command = clientCommand({
  help,
  async run(args, context) {
    const { values, positionals } = parseOptions('explain', {
      args: [...args],
      allowPositionals: true,
      options: {
        ...commonOptions,
        ...clientOptions,
        'data-version': { type: 'string' },
        replicas: { type: 'string' },
        placement: { type: 'string' },
      },
    });
    const [id] = takeArguments('explain', positionals, ['ID']);
    const version = versionOption('explain', values['data-version']);
    const replicas = replicasOption('explain', values.replicas);
    const options = {
      ...netOptionsOf('explain', values, context),
      ...placementOf(values.placement),
    };
    const explained = await withNet(options, context, async (net, limits) => {
      const data = await findStored(net, { id, version, replicas }, limits);
      return { ...net.explain(data), version: data.version };
    });
    if (values.json === true) context.terminal.print(toJson(explained));
    else printExplanation(context.terminal, explained);
    return 0;
  },
});

function printExplanation(
  terminal: Terminal,
  { dataId, version, replicas, placement, shards }: Explanation & { readonly version: bigint },
): void {
  printTable(
    terminal,
    [
      right('shard'),
      right('offset'),
      right('bytes'),
      left('lies on'),
      left('belongs to'),
      right('missing'),
    ],
    shards.map(({ index, offset, bytes, nodeIds, belongsTo, missing }) => [
      formatCount(index),
      formatCount(offset),
      formatCount(bytes),
      printable(nodeIds.join(', ')),
      printable(belongsTo.join(', ')),
      formatCount(missing),
    ]),
  );
  const missing = shards.reduce((sum, shard) => sum + shard.missing, 0);
  const copies = replicas === 1 ? '1 copy' : `${replicas} copies`;
  terminal.print(
    printable(
      `data ${dataId} version ${version}: ${formatCount(shards.length)} shards, ${copies} of each by ${placement}; ${formatCount(missing)} missing`,
    ),
  );
}
