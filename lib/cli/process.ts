import {
  clientCommand,
  clientHelp,
  clientOptions,
  netOptionsOf,
  takeArguments,
  withNet,
} from './client.js';
import { type Command, commonOptions, parseOptions } from './command.js';
import { argsOption, schedulingOptions, versionOption } from './data-options.js';
import { formatBytes, formatCount, formatTime, printable } from './format.js';
import { toJson } from './json.js';
import { findStored } from './stored-data.js';

const help = `Usage: paipainet process ID HANDLER [options]

Runs a handler over every shard, on the nodes where they lie, and prints what it gives, merged, as
one line of JSON. HANDLER is a name: the nodes load their handlers at their start (--handlers).
"digest" is there on every node: bytes, shards and a checksum.

  --args JSON          what the handler finds in its context
  --strategy NAME      which of its holders processes a shard: leastInFlight (default), p2cEwma,
                       cpuLoad or roundRobin
  --concurrency N      shards that a node works on at once; default: as many as it has workers
  --retries N          how often a shard is tried again when its handler fails; default 0
  --data-version N     default: the newest that the nodes hold
${clientHelp}

What JSON has no word for: bytes are { "base64": … }, a bigint beyond 2^53 is text.
Exit codes: 0 done; 1 it went wrong; 2 it was asked the wrong way; 130 Ctrl-C.`;

export const processCommand: Command = clientCommand({
  help,
  async run(args, context) {
    const { values, positionals } = parseOptions('process', {
      args: [...args],
      allowPositionals: true,
      options: {
        ...commonOptions,
        ...clientOptions,
        args: { type: 'string' },
        strategy: { type: 'string' },
        concurrency: { type: 'string' },
        retries: { type: 'string' },
        'data-version': { type: 'string' },
      },
    });
    const [id, handler] = takeArguments('process', positionals, ['ID', 'HANDLER']);
    const handlerArgs = argsOption('process', values.args);
    const scheduling = schedulingOptions('process', values);
    const version = versionOption('process', values['data-version']);
    const options = netOptionsOf('process', values, context);
    const processed = await withNet(options, context, async (net, limits) => {
      const data = await findStored(net, { id, version }, limits);
      const given = handlerArgs === undefined ? {} : { args: handlerArgs };
      const result = await net.process(data, handler, { ...limits, ...scheduling, ...given });
      return { dataId: id, version: data.version, handler, ...result };
    });
    const { terminal } = context;
    if (values.json === true) {
      terminal.print(toJson(processed));
    } else {
      const { bytes, shards, perNode, wallMs } = processed.report;
      terminal.print(toJson(processed.value));
      terminal.note(
        printable(
          `${handler} over ${formatCount(shards)} shards, ${formatBytes(bytes)}, on ${perNode.length} nodes in ${formatTime(wallMs)}`,
        ),
      );
    }
    return 0;
  },
});
