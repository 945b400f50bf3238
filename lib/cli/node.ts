import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PaipaiError, toError } from '../base/errors.js';
import { isLivingMember, type NetMember } from '../cluster/membership/member-list.js';
import type { RunningNode } from '../node/runtime.js';
import { runNode } from '../node/serve.js';
import { type StoreChoice, storeLimitBytesMin } from '../store/open-store.js';
import { type Command, commonOptions, integerOption, parseOptions, usageError } from './command.js';
import type { Terminal } from './terminal.js';

const help = `Usage: paipainet node --listen ADDRESS [--handlers FILE] [options]

Runs a node until Ctrl-C or SIGTERM. Another process adds it to its net by the address:
new Node(id, { address: 'tcp://127.0.0.1:7100' }). A node on TCP can also be joined, and finds
the others by joining one of them; new Net({ join: ['tcp://127.0.0.1:7100'] }) then knows all.

  --listen ADDRESS     tcp://127.0.0.1:7100, tcp://[::1]:7100 or unix:///run/node.sock; port 0: any
  --join ADDRESS       a node of the net to join; more than once: whichever answers
  --advertise ADDRESS  where others reach it: tcp://IP:PORT, port 0: the one that it listens on.
                       Needed to be joined, or to join, when it listens on every address
  --weight NUMBER      its share of the data, relative to other nodes; default: 1
  --handlers FILE      JavaScript module whose named exports are the handlers
  --id ID              what the node calls itself, 1 to 255 bytes; default: made up
  --name NAME          name of the net; both sides must agree
  --store STORE        lmdb:FOLDER or files:FOLDER: shards outlive the node; default: memory
  --store-limit BYTES  most that shards take on disk; default: what the disk holds
  --secret-file FILE   the secret of the net; a final line end is not part of it
  --events             a line for each node that joins, fails, leaves; on a screen always
  --json               one JSON object a line instead of words for people
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
        join: { type: 'string', multiple: true },
        advertise: { type: 'string' },
        weight: { type: 'string' },
        events: { type: 'boolean' },
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
      ...(values.join === undefined ? {} : { join: values.join }),
      ...(values.advertise === undefined ? {} : { advertise: values.advertise }),
      ...(values.weight === undefined ? {} : { weight: readWeight(values.weight) }),
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
      if (node.joinProblem !== null) {
        terminal.note(`${node.joinProblem.message}; trying on`);
        node.events.once('joined', () => terminal.note('the net is joined'));
      }
      node.events.on('seedRefused', ({ code, message }) =>
        terminal.note(printable(`${code}: ${message}`)),
      );
      node.events.on('duplicate', (id) =>
        terminal.note(printable(`two nodes call themselves ${id}; the later one is told to go`)),
      );
      // Elsewhere whoever reads the first line may stop reading, and the node should not end with that.
      if (values.events === true || (terminal.live && values.json !== true)) {
        followNet(node, terminal, values.json === true);
      }
      const aborted = signal.aborted ? null : once(signal, 'abort').then(() => null);
      const reason = await Promise.race([aborted, node.closed]);
      if (reason !== null) throw reason;
    } finally {
      await node.close();
    }
    return 0;
  },
};

const tellings = {
  join: 'has joined',
  suspect: 'does not answer',
  alive: 'answers again',
  fail: 'is dead',
  leave: 'has left',
} as const;

/** What others say of themselves, without what would steer the terminal. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}

/** A line for each node that is there already, and for whatever happens from then on. */
function followNet(node: RunningNode, terminal: Terminal, isJson: boolean): void {
  const tell = (event: keyof typeof tellings, member: NetMember): void => {
    const { nodeId, address, weight } = member;
    terminal.print(
      isJson
        ? JSON.stringify({ event, nodeId, address, weight })
        : printable(`node ${nodeId} (${address}) ${tellings[event]}`),
    );
  };
  for (const member of node.members().slice(1)) if (isLivingMember(member)) tell('join', member);
  // `Object.keys` widens keys to string; the table above is the whole of them.
  for (const event of Object.keys(tellings) as (keyof typeof tellings)[]) {
    node.events.on(event, (member) => tell(event, member));
  }
}

function readWeight(text: string): number {
  const weight = /^\d{1,9}(\.\d{1,9})?$/.test(text) ? Number(text) : 0;
  if (weight > 0) return weight;
  throw usageError('node', `--weight must be a number above 0, but is '${text}'`);
}

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
