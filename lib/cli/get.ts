import type { Net } from '../api/net.js';
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
import { formatBytes, printable } from './format.js';
import { toJson } from './json.js';
import { makeProgress } from './progress.js';
import { findStored } from './stored-data.js';
import { newFile, standardOutput } from './target.js';

const help = `Usage: paipainet get ID [FILE] [options]

Brings data back from the nodes, each shard checked, from whichever node has it whole. Without
FILE they go to standard output. A file appears under its name when all of it is there and synced,
and never in place of another one unless --force says so.

  --data-version N     default: the newest that the nodes hold
  --force              replace FILE where it is there already
${clientHelp}
                       (--json needs a FILE)

Exit codes: 0 all of it is there; 1 it went wrong, and there is no FILE, or not all of it was
written or read; 2 FILE is there already,
or it was asked the wrong way; 130 Ctrl-C.`;

export const getCommand: Command = clientCommand({
  help,
  outlivesOutput: true, // As a failure of its own: exit code 0 says that all of it was written.
  async run(args, context) {
    const { values, positionals } = parseOptions('get', {
      args: [...args],
      allowPositionals: true,
      options: {
        ...commonOptions,
        ...clientOptions,
        'data-version': { type: 'string' },
        force: { type: 'boolean' },
      },
    });
    const [id, file] = takeArguments('get', positionals, ['ID'], 1);
    const isJson = values.json === true;
    if (file === undefined && isJson) throw usageError('get', '--json needs a FILE');
    const version = versionOption('get', values['data-version']);
    const options = netOptionsOf('get', values, context);
    const { terminal } = context;
    const isWatched = file !== undefined && !isJson && terminal.live;

    const target =
      file === undefined ? standardOutput() : await newFile(file, values.force === true);
    const read = async (net: Net, limits: Limits): Promise<Got> => {
      const data = await findStored(net, { id, version }, limits);
      const { shards } = net.explain(data);
      const totalBytes = shards.reduce((sum, { bytes }) => sum + bytes, 0);
      const progress = isWatched ? makeProgress('Read', terminal) : undefined;
      const take = async (content: Uint8Array, offset: number): Promise<void> => {
        await target.write(content);
        progress?.update(offset + content.byteLength, totalBytes);
      };
      await net.readEach(data, take, limits);
      await target.finish();
      progress?.done(formatBytes(totalBytes));
      return { dataId: id, version: data.version, bytes: totalBytes, shards: shards.length };
    };
    let got: Got;
    try {
      got = await withNet(options, context, read);
    } finally {
      await target.discard();
    }
    if (file === undefined) return 0;
    const line = `got data ${id} version ${got.version}: ${formatBytes(got.bytes)} in ${file}`;
    terminal.print(isJson ? toJson({ ...got, file }) : printable(line));
    return 0;
  },
});

interface Got {
  readonly dataId: string;
  readonly version: bigint;
  readonly bytes: number;
  readonly shards: number;
}
