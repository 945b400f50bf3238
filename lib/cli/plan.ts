import type { Plan } from '../api/types.js';
import {
  clientCommand,
  clientHelp,
  clientOptions,
  netOptionsOf,
  takeArguments,
  withNet,
} from './client.js';
import { type Command, commonOptions, parseOptions } from './command.js';
import { fileData, fileDataHelp, fileDataOptions, placementOf } from './data-options.js';
import { formatBytes, formatCount, left, printable, right } from './format.js';
import { toJson } from './json.js';
import { printTable } from './table.js';
import type { Terminal } from './terminal.js';

const help = `Usage: paipainet plan FILE [options]

Shows where "paipainet put FILE" with the same options would send each shard, and moves nothing.
Asked of the same nodes they agree.

${fileDataHelp}
${clientHelp}

Exit codes: 0 done; 1 it went wrong; 2 no such file, or it was asked the wrong way; 130 Ctrl-C.`;

export const planCommand: Command = clientCommand({
  help,
  async run(args, context) {
    const { values, positionals } = parseOptions('plan', {
      args: [...args],
      allowPositionals: true,
      options: { ...commonOptions, ...clientOptions, ...fileDataOptions },
    });
    const [file] = takeArguments('plan', positionals, ['FILE']);
    const data = fileData('plan', file, values);
    const options = { ...netOptionsOf('plan', values, context), ...placementOf(values.placement) };
    const plan = await withNet(options, context, (net, limits) => {
      net.addData(data);
      return net.plan(data, limits);
    });
    const { version, replicas } = data;
    if (values.json === true) context.terminal.print(toJson({ ...plan, version, replicas }));
    else printPlan(context.terminal, plan);
    return 0;
  },
});

function printPlan(terminal: Terminal, { bytes, shards, perNode }: Plan): void {
  printTable(
    terminal,
    [right('shard'), right('offset'), right('bytes'), left('nodes')],
    shards.map(({ index, offset, bytes: size, nodeIds }) => [
      formatCount(index),
      formatCount(offset),
      formatCount(size),
      printable(nodeIds.join(', ')),
    ]),
  );
  terminal.print();
  printTable(
    terminal,
    [left('node'), right('shards'), right('bytes'), right('w_i')],
    perNode.map((node) => [
      printable(node.nodeId),
      formatCount(node.shards),
      formatBytes(node.bytes),
      node.weight.toFixed(3),
    ]),
  );
  terminal.print(
    `${formatBytes(bytes)} in ${formatCount(shards.length)} shards over ${perNode.length} nodes; nothing was moved`,
  );
}
