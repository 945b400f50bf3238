import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PaipaiError } from '../base/errors.js';
import { createRealEnv } from '../node/real-env.js';
import { isWildcard } from '../node/udp-network.js';
import { checkStore, type StoreChoice } from '../store/open-store.js';
import { parseAddress, type TcpAddress } from '../transport/address.js';
import { addressDefault } from './client.js';
import { type Command, commonOptions, integerOption, parseOptions, usageError } from './command.js';
import { toJson } from './json.js';
import { type ClusterNode, LocalCluster } from './local-cluster.js';
import { memberLine } from './member-line.js';
import { readSecret, readStore } from './node-options.js';
import type { Terminal } from './terminal.js';

const help = `Usage: paipainet up [-n N] [options]

Runs a net of nodes on this machine, each a process of its own, until Ctrl-C or SIGTERM; they end
with this command, however it ends. Says where the net is joined, and a line for whatever happens
to a node, as long as somebody reads them; when one dies the others go on. "paipainet ls nodes",
put, get, process and mapreduce find the net by themselves, and any node by --join ADDRESS.

  -n, --nodes N        1 to 64, default 3; they call themselves node-1, node-2 …
  --listen ADDRESS     of the first node, default: ${addressDefault}; the others get any port
  --handlers FILE      JavaScript module whose named exports are the handlers
  --store STORE        lmdb:FOLDER or files:FOLDER, in which each node has a folder of its own and
                       finds its shards again; or memory, where put cannot leave anything.
                       Default: files in a temporary folder, which is removed at the end
  --store-limit BYTES  most that the shards of one node take on disk
  --name NAME          name of the net
  --secret-file FILE   the secret of the net; it may also stand in the variable PAIPAINET_SECRET
  --json               one JSON object a line instead of words for people
  --verbose            show the stack of an error

Exit codes: 130 Ctrl-C and 143 SIGTERM; 1 a node did not start, or all have died; 2 it was asked
the wrong way.`;

export const upCommand: Command = {
  help,
  outlivesOutput: true,
  async run(args, { terminal, variables, signal }) {
    const { values } = parseOptions('up', {
      args: [...args],
      options: {
        ...commonOptions,
        nodes: { type: 'string', short: 'n', default: '3' },
        listen: { type: 'string', default: addressDefault },
        handlers: { type: 'string' },
        store: { type: 'string' },
        'store-limit': { type: 'string' },
        name: { type: 'string' },
        'secret-file': { type: 'string' },
        json: { type: 'boolean' },
      },
    });
    const nodeCount = integerOption('up', 'nodes', values.nodes, 1, 64);
    const listen = tcpAddress(values.listen);
    const secret = readSecret('up', values['secret-file'], variables);
    const { handlers, name } = values;
    const { store, folder } = await storeFor(values.store, values['store-limit']);
    const view = values.json === true ? jsonView(terminal) : textView(terminal);
    const cluster = new LocalCluster({
      env: createRealEnv(),
      nodeCount,
      listen,
      store,
      secret,
      netName: name,
      handlers: handlers === undefined ? undefined : pathToFileURL(resolve(handlers)).href,
      onEnded: (node, how, rest) => view.ended(node, how, rest),
      onMember: (event, { nodeId, address, weight }) =>
        view.member({ event, nodeId, address, weight }),
    });
    const onExit = (): void => {
      // A second Ctrl-C ends this process at once. Nodes that live on for a moment would write into the folder again.
      cluster.kill();
      removeFolder(folder);
    };
    process.once('exit', onExit);
    try {
      await cluster.start();
      try {
        view.up(cluster.nodes, store, folder !== undefined);
        const aborted = signal.aborted ? undefined : once(signal, 'abort');
        await Promise.race([aborted, cluster.allEnded]);
        if (!signal.aborted) {
          throw new PaipaiError('PAIPAI_ERR_NODE_LOST', 'every node of the net has ended');
        }
      } finally {
        await cluster.stop();
      }
    } finally {
      process.off('exit', onExit);
      removeFolder(folder);
    }
    return 0;
  },
};

/** Nodes on Unix sockets are nobody's members, and those that listen everywhere do not say where they are reached. */
function tcpAddress(text: string): TcpAddress {
  const address = parseAddress(text);
  if (address.scheme !== 'tcp') {
    throw usageError('up', `--listen must be tcp://HOST:PORT, but is '${text}'`);
  }
  if (isWildcard(address.host)) {
    throw usageError(
      'up',
      `--listen must name one address at which all reach the nodes, and not every one as '${text}' does`,
    );
  }
  return address;
}

/** Also the folder that is to be removed at the end, if there is one. */
async function storeFor(
  store: string | undefined,
  limit: string | undefined,
): Promise<{ store: StoreChoice; folder?: string }> {
  if (store !== undefined) return { store: checkStore(readStore('up', store, limit) ?? 'memory') };
  const folder = await mkdtemp(join(tmpdir(), 'paipainet-up-'));
  return { store: checkStore(readStore('up', `files:${folder}`, limit)), folder };
}

function removeFolder(folder: string | undefined): void {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}

interface MemberNews {
  readonly event: Parameters<typeof memberLine>[0];
  readonly nodeId: string;
  readonly address: string;
  readonly weight: number;
}

interface UpView {
  up(nodes: readonly ClusterNode[], store: StoreChoice, isTemporary: boolean): void;
  ended(node: ClusterNode, how: string, rest: readonly ClusterNode[]): void;
  member(news: MemberNews): void;
}

function textView({ print }: Terminal): UpView {
  let joinAt: string | undefined;
  return {
    up(nodes, store, isTemporary) {
      for (const { nodeId, address, pid } of nodes) {
        print(`node ${nodeId} listens on ${address} (pid ${pid})`);
      }
      joinAt = nodes[0]?.address;
      print(`up: ${nodes.length} nodes; join them at ${joinAt}`);
      if (store === 'memory') {
        print('shards lie in memory, and each belongs to the client that has put it there');
      } else {
        const until = isTemporary ? ', which is removed at the end' : '';
        print(`shards lie in ${'lmdb' in store ? store.lmdb : store.files}${until}`);
      }
    },
    ended({ nodeId, pid, address }, how, rest) {
      print(`node ${nodeId} (pid ${pid}) ended with ${how}; ${rest.length} go on`);
      if (address !== joinAt || rest[0] === undefined) return;
      joinAt = rest[0].address;
      print(`join them at ${joinAt} from now on`);
    },
    member: ({ event, nodeId, address }) => print(memberLine(event, nodeId, address)),
  };
}

function jsonView({ print }: Terminal): UpView {
  const say = (what: object): void => print(toJson(what));
  return {
    up(nodes, store, isTemporary) {
      say({ event: 'up', address: nodes[0]?.address, nodes, store, isTemporary });
    },
    ended: (node, how, rest) => say({ event: 'ended', ...node, how, rest }),
    member: say,
  };
}
