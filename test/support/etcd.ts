import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeFolder } from './folders.js';
import { quietPort } from './quiet-port.js';

/** Why there is none here, for the title of what is skipped; empty where there is one. */
export const withoutEtcd: string =
  spawnSync('etcd', ['--version']).status === 0
    ? ''
    : ' (skipped: no etcd, apt-get install etcd-server)';

export interface EtcdMember {
  readonly url: string;
  /** Settles when the member is gone, and comes back with what it had by `start`. */
  end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>;
  /** SIGSTOP and SIGCONT. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void;
  /** Settles when the process runs; `untilServing` says when it answers. */
  start(): void;
}

export interface EtcdServer {
  readonly members: readonly EtcdMember[];
  /** Of all of them. */
  readonly urls: readonly string[];
  /** As `POST /v3…` of the first member that answers. */
  post(path: string, body: object): Promise<Record<string, unknown>>;
  /** Settles when a write is confirmed. */
  untilServing(): Promise<void>;
  /** Forgets all changes so far. */
  compact(): Promise<void>;
  end(): Promise<void>;
}

/** @param args for each member, besides where it listens */
export async function startEtcd(count = 1, args: readonly string[] = []): Promise<EtcdServer> {
  const scheme = args.includes('--cert-file') ? 'https' : 'http';
  const places = await Promise.all(
    Array.from({ length: count }, async (_, at) => ({
      name: `m${at}`,
      client: `${scheme}://127.0.0.1:${await quietPort()}`,
      peer: `http://127.0.0.1:${await quietPort()}`,
      folder: makeFolder(),
    })),
  );
  const cluster = places.map(({ name, peer }) => `${name}=${peer}`).join(',');
  const members = places.map(({ name, client, peer, folder }): EtcdMember => {
    let child: ChildProcess | undefined;
    const start = (): void => {
      const own = ['--name', name, '--data-dir', `${folder}/data`, '--logger', 'zap'];
      const clients = ['--listen-client-urls', client, '--advertise-client-urls', client];
      const peers = ['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer];
      // Elections within a fraction of a second, so that leases of one are possible.
      const clock = ['--heartbeat-interval', '20', '--election-timeout', '200'];
      const all = [...own, ...clients, ...peers, ...clock, '--initial-cluster', cluster, ...args];
      child = spawn('etcd', all, { stdio: 'ignore' });
    };
    start();
    return {
      url: client,
      start,
      signal: (name) => child?.kill(name),
      async end(signal) {
        if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
        const gone = once(child, 'exit');
        child.kill('SIGCONT');
        child.kill(signal);
        await gone;
      },
    };
  });
  const urls = members.map(({ url }) => url);
  const post = async (path: string, body: object) => {
    let failure: unknown;
    for (const url of urls) {
      try {
        const response = await fetch(url + path, {
          method: 'POST',
          body: JSON.stringify(body),
          signal: AbortSignal.timeout(5_000),
        });
        const answer = (await response.json()) as Record<string, unknown>;
        if (response.ok) return answer;
        throw new Error(JSON.stringify(answer));
      } catch (thrown) {
        failure = thrown;
      }
    }
    throw failure;
  };
  const put = { key: Buffer.from('!').toString('base64') };
  const untilServing = async (): Promise<void> => {
    for (let tries = 0; ; tries++) {
      try {
        await post('/v3/kv/put', put);
        return;
      } catch (thrown) {
        if (tries > 300) throw thrown;
        await sleep(50);
      }
    }
  };
  const server: EtcdServer = {
    members,
    urls,
    post,
    untilServing,
    async compact() {
      const { header } = await post('/v3/kv/put', put);
      const { revision } = header as { revision: string };
      await post('/v3/kv/compaction', { revision, physical: true });
    },
    async end() {
      await Promise.all(members.map((member) => member.end('SIGKILL')));
    },
  };
  if (scheme === 'http') await untilServing();
  return server;
}
