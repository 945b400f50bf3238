import {
  clientCommand,
  clientHelp,
  clientOptions,
  netOptionsOf,
  takeArguments,
  withNet,
} from './client.js';
import { type Command, commonOptions, integerOption, parseOptions, usageError } from './command.js';
import { argsOption, versionOption } from './data-options.js';
import { formatBytes, formatCount, formatTime, printable } from './format.js';
import { toJson } from './json.js';
import { findStored } from './stored-data.js';

const help = `Usage: paipainet mapreduce ID --map HANDLER --reduce HANDLER [options]

Maps every shard on a node where it lies, and reduces the values of each key on one node. Prints a
line for each key, in the order of the keys: the key, a tab, and its value as JSON.
HANDLERs are names: the nodes load their handlers at their start (--handlers).

  --map HANDLER        emits keys with values from a shard
  --reduce HANDLER     makes one value of all those of a key
  --combine HANDLER    makes one value of several of a key before they travel
  --args JSON          what the handlers find in their context
  --partitions N       into how many parts the keys are divided, 1 to 1024
  --memory BYTES       on each node for what is emitted and sorted, 1048576 or more;
                       what is more goes to temporary files; default: 268435456
  --data-version N     default: the newest that the nodes hold
${clientHelp}

With --json the keys and values are one object, "value". A key with control characters is exact
there alone. Exit codes: 0 done; 1 it went wrong; 2 it was asked the wrong way; 130 Ctrl-C.`;

const partitionsMax = 1_024;
const memoryBytesMin = 2 ** 20;
const memoryBytesMax = 2 ** 40;

export const mapReduceCommand: Command = clientCommand({
  help,
  async run(args, context) {
    const { values, positionals } = parseOptions('mapreduce', {
      args: [...args],
      allowPositionals: true,
      options: {
        ...commonOptions,
        ...clientOptions,
        map: { type: 'string' },
        reduce: { type: 'string' },
        combine: { type: 'string' },
        args: { type: 'string' },
        partitions: { type: 'string' },
        memory: { type: 'string' },
        'data-version': { type: 'string' },
      },
    });
    const [id] = takeArguments('mapreduce', positionals, ['ID']);
    const { map, reduce, combine, partitions, memory } = values;
    if (map === undefined) throw usageError('mapreduce', 'Give --map HANDLER');
    if (reduce === undefined) throw usageError('mapreduce', 'Give --reduce HANDLER');
    const handlerArgs = argsOption('mapreduce', values.args);
    const version = versionOption('mapreduce', values['data-version']);
    const job = {
      map,
      reduce,
      ...(combine === undefined ? {} : { combine }),
      ...(handlerArgs === undefined ? {} : { args: handlerArgs }),
      ...(partitions === undefined
        ? {}
        : { partitions: integerOption('mapreduce', 'partitions', partitions, 1, partitionsMax) }),
      ...(memory === undefined
        ? {}
        : {
            memoryBytes: integerOption(
              'mapreduce',
              'memory',
              memory,
              memoryBytesMin,
              memoryBytesMax,
            ),
          }),
    };
    const options = netOptionsOf('mapreduce', values, context);
    const reduced = await withNet(options, context, async (net, limits) => {
      const data = await findStored(net, { id, version }, limits);
      const { value, report } = await net.mapReduce(data, { ...job, ...limits });
      const sorted = new Map([...value].sort(([a], [b]) => (a < b ? -1 : 1)));
      return { dataId: id, version: data.version, value: sorted, report };
    });
    const { terminal } = context;
    if (values.json === true) {
      terminal.print(toJson(reduced));
    } else {
      const { bytes, shards, keys, wallMs } = reduced.report;
      for (const [key, value] of reduced.value)
        terminal.print(`${printable(key)}\t${toJson(value)}`);
      terminal.note(
        `${formatCount(keys)} keys from ${formatCount(shards)} shards, ${formatBytes(bytes)}, in ${formatTime(wallMs)}`,
      );
    }
    return 0;
  },
});
