import { once } from 'node:events';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { onMemberEvents } from '../node/member-events.js';
import type { RunningNode } from '../node/runtime.js';
import { runNode } from '../node/serve.js';
import { type Command, commonOptions, parseOptions, usageError } from './command.js';
import { printable } from './format.js';
import { toJson } from './json.js';
import { memberLine } from './member-line.js';
import { readSecret, readStore } from './node-options.js';
import type { Terminal } from './terminal.js';

const help = `Usage: paipainet node --listen ADDRESS [--handlers FILE] [options]

Runs a node until Ctrl-C or SIGTERM. Another process adds it to its net by the address:
new Node(id, { address: 'tcp://127.0.0.1:7100' }). A node on TCP can also be joined, and finds
the others by joining one of them; new Net({ join: ['tcp://127.0.0.1:7100'] }) then knows all.

  --listen ADDRESS     tcp://127.0.0.1:7100, tcp://[::1]:7100 or unix:///run/node.sock; port 0: any
  --join ADDRESS       a node of the net to join; more than once: whichever answers
  --hub ADDRESS        a node of the net through which others reach this one: it stays connected,
                       and need not be reachable; more than once: through each
  --advertise ADDRESS  where others reach it: tcp://IP:PORT, port 0: the one that it listens on.
                       Needed to be joined, or to join, when it listens on every address
  --weight NUMBER      its share of the data, relative to other nodes; default: 1
  --handlers FILE      JavaScript module whose named exports are the handlers
  --id ID              what the node calls itself, 1 to 255 bytes; default: made up
  --name NAME          name of the net; both sides must agree
  --store STORE        lmdb:FOLDER or files:FOLDER: shards outlive the node; default: memory
  --store-limit BYTES  most that shards take on disk; default: what the disk holds
  --coordinator        serve the table that the net agrees on (net.coordinator), which lies where the
                       shards do; one node of a net does, and clients that join find it
  --quorum A,B,C       ids of the 3, 5 or 7 nodes that begin to serve that table together: a majority
                       decides. It needs --id, and a store on disk. A node that is none of them
                       can take the place of one ("paipainet quorum replace")
  --secret-file FILE   the secret of the net; a final line end is not part of it
  --events             a line for each node that joins, fails, leaves; on a screen always
  --json               one JSON object a line instead of words for people
  --verbose            show the stack of an error

Beyond this machine a secret is required. It may also stand in the variable PAIPAINET_SECRET.
A secret proves who joins; it hides nothing from who can read the network.
A store in LMDB needs a package beside this one: npm install lmdb.`;

export const nodeCommand: Command = {
  help,
  outlivesOutput: true,
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
        hub: { type: 'string', multiple: true },
        advertise: { type: 'string' },
        weight: { type: 'string' },
        coordinator: { type: 'boolean' },
        quorum: { type: 'string' },
        events: { type: 'boolean' },
        json: { type: 'boolean' },
      },
    });
    // Through a hub alone it listens for nobody else.
    const listen = values.listen ?? (values.hub === undefined ? undefined : 'tcp://127.0.0.1:0');
    if (listen === undefined) throw usageError('node', 'Give --listen ADDRESS, or --hub ADDRESS');
    const secret = readSecret('node', values['secret-file'], variables);
    const store = readStore('node', values.store, values['store-limit']);
    const node = await runNode({
      listen,
      ...(values.handlers === undefined
        ? {}
        : { handlers: pathToFileURL(resolve(values.handlers)).href }),
      ...(values.id === undefined ? {} : { nodeId: values.id }),
      ...(values.name === undefined ? {} : { name: values.name }),
      ...(secret === undefined ? {} : { secret }),
      ...(store === undefined ? {} : { store }),
      ...(values.join === undefined ? {} : { join: values.join }),
      ...(values.hub === undefined ? {} : { hubs: values.hub }),
      ...(values.advertise === undefined ? {} : { advertise: values.advertise }),
      ...(values.weight === undefined ? {} : { weight: readWeight(values.weight) }),
      coordinator: values.coordinator === true,
      ...(values.quorum === undefined ? {} : { quorum: values.quorum.split(',') }),
    });
    try {
      const { address, nodeId, engine } = node;
      if (values.json === true) {
        terminal.print(toJson({ address, nodeId, engine, pid: process.pid }));
      } else {
        terminal.print(
          printable(`node ${nodeId} listens on ${address} (engine ${engine}, pid ${process.pid})`),
        );
      }
      if (node.joinProblem !== null) {
        terminal.note(printable(`${node.joinProblem.message}; trying on`));
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

/** A line for each node that is there already, and for whatever happens from then on. */
function followNet(node: RunningNode, terminal: Terminal, isJson: boolean): void {
  onMemberEvents(node, (event, { nodeId, address, weight }) => {
    terminal.print(
      isJson ? toJson({ event, nodeId, address, weight }) : memberLine(event, nodeId, address),
    );
  });
}

function readWeight(text: string): number {
  const weight = /^\d{1,9}(\.\d{1,9})?$/.test(text) ? Number(text) : 0;
  if (weight > 0) return weight;
  throw usageError('node', `--weight must be a number above 0, but is '${text}'`);
}
