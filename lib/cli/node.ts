import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PaipaiError, toError } from '../base/errors.js';
import { runNode } from '../node/serve.js';
import { type StoreChoice, storeLimitBytesMin } from '../store/open-store.js';
import { type Command, commonOptions, integerOption, parseOptions, usageError } from './command.js';

const help = `Usage: paipainet node --listen ADDRESS [--handlers FILE] [options]

Runs a node until Ctrl-C or SIGTERM. Another process adds it to its net by the address:
new Node(id, { address: 'tcp://127.0.0.1:7100' }).

  --listen ADDRESS     tcp://127.0.0.1:7100, tcp://[::1]:7100 or unix:///run/node.sock; port 0: any
  --handlers FILE      JavaScript module whose named exports are the handlers
  --id ID              what the node calls itself, 1 to 255 bytes; default: made up
  --name NAME          name of the net; both sides must agree
  --store STORE        lmdb:FOLDER or files:FOLDER: shards outlive the node; default: memory
  --store-limit BYTES  most that shards take on disk; default: what the disk holds
  --secret-file FILE   the secret of the net; a final line end is not part of it
  --json               one JSON object instead of a line for people
  --verbose            show the stack of an error

Beyond this machine a secret is required. It may also stand in the variable PAIPAINET_SECRET.
A secret proves who joins; it hides nothing from who can read the network.
A store in LMDB needs a package beside this one: npm install lmdb.`;

export const nodeCommand: Command = {
  help,
  async run(args, { terminal, variables, signal }) {
    const { values } = parseOptions('node', {
      args: [...args],
      options: {
        ...commonOptions,
        listen: { type: 'string' },
        handlers: { type: 'string' },
        id: { type: 'string' },
        name: { type: 'string' },
        store: { type: 'string' },
        'store-limit': { type: 'string' },
        'secret-file': { type: 'string' },
        json: { type: 'boolean' },
      },
    });
    if (values.listen === undefined) throw usageError('node', 'Give --listen ADDRESS');
    const secret = readSecret(values['secret-file'], variables['PAIPAINET_SECRET']);
    const store = readStore(values.store, values['store-limit']);
    const node = await runNode({
      listen: values.listen,
      ...(values.handlers === undefined
        ? {}
        : { handlers: pathToFileURL(resolve(values.handlers)).href }),
      ...(values.id === undefined ? {} : { nodeId: values.id }),
      ...(values.name === undefined ? {} : { name: values.name }),
      ...(secret === undefined ? {} : { secret }),
      ...(store === undefined ? {} : { store }),
    });
    try {
      const { address, nodeId, engine } = node;
      if (values.json === true) {
        terminal.print(JSON.stringify({ address, nodeId, engine, pid: process.pid }));
      } else {
        terminal.print(
          `node ${nodeId} listens on ${address} (engine ${engine}, pid ${process.pid})`,
        );
      }
      if (!signal.aborted) await once(signal, 'abort');
    } finally {
      await node.close();
    }
    return 0;
  },
};

/** `lmdb:FOLDER` or `files:FOLDER`; `memory`, or nothing, is the default. */
function readStore(store: string | undefined, limit: string | undefined): StoreChoice | undefined {
  const [, kind, path] = /^(lmdb|files):(.+)$/.exec(store ?? '') ?? [];
  if (path === undefined) {
    if (store !== undefined && store !== 'memory') {
      throw usageError(
        'node',
        `--store must be lmdb:FOLDER, files:FOLDER or memory, but is '${store}'`,
      );
    }
    if (limit !== undefined) throw usageError('node', '--store-limit goes with a --store on disk');
    return undefined;
  }
  const most = Number.MAX_SAFE_INTEGER;
  const sizeLimit =
    limit === undefined
      ? {}
      : { sizeLimitBytes: integerOption('node', 'store-limit', limit, storeLimitBytesMin, most) };
  return kind === 'lmdb' ? { lmdb: path, ...sizeLimit } : { files: path, ...sizeLimit };
}

/** A secret never stands among the arguments, where every user of the machine could read it. */
function readSecret(
  file: string | undefined,
  variable: string | undefined,
): Uint8Array | string | undefined {
  if (file === undefined) return variable === '' ? undefined : variable;
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (thrown) {
    throw new PaipaiError(
      'PAIPAI_ERR_SOURCE_FAILED',
      `the secret cannot be read: ${toError(thrown).message}`,
      { cause: thrown },
    );
  }
  const text = bytes.toString('latin1').replace(/\r?\n$/, '');
  if (text === '') throw usageError('node', `The secret in ${file} is empty`);
  return bytes.subarray(0, text.length);
}
