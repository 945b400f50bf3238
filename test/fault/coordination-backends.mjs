// What a net agrees on by, of processes of their own, for programs that kill and stop them or their clients.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NodeProcess } from '../support/node-process.mjs';

/**
 * @param kind local, quorum or etcd
 * @param ids of the nodes
 * @returns `netOptions` of a client; `nodes`, on disk, of which the first one coordinates or all are a quorum; the shortest lease; and `end`
 */
export async function startBackend(kind, ids = kind === 'quorum' ? ['a', 'b', 'c'] : ['a', 'b']) {
  const folder = mkdtempSync(join(tmpdir(), 'paipainet-coordination-'));
  const nodes = [];
  for (const id of ids) {
    const coordinates =
      kind === 'quorum'
        ? ['--quorum', ids.join()]
        : kind === 'local' && id === 'a'
          ? ['--coordinator']
          : [];
    const joining = nodes.length === 0 ? [] : ['--join', nodes[0].address];
    const store = ['--store', `files:${join(folder, id)}`];
    nodes.push(await NodeProcess.start(['--id', id, ...store, ...coordinates, ...joining]));
  }
  const etcd = kind === 'etcd' ? await startEtcd(join(folder, 'etcd')) : undefined;
  const coordination = { local: 'local', quorum: { quorum: ids }, etcd: etcd?.url }[kind];
  return {
    nodes,
    netOptions: { join: nodes.map(({ address }) => address), coordination },
    ttlMsLeast: kind === 'etcd' ? 2_000 : 0,
    async end() {
      await Promise.all(nodes.map((node) => node.kill()));
      await etcd?.end();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function startEtcd(folder) {
  const [client, peer] = [
    `http://127.0.0.1:${await freePort()}`,
    `http://127.0.0.1:${await freePort()}`,
  ];
  const urls = ['--listen-client-urls', client, '--advertise-client-urls', client];
  const peers = ['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer];
  const cluster = ['--initial-cluster', `default=${peer}`, '--data-dir', folder, '--logger', 'zap'];
  const child = spawn('etcd', [...urls, ...peers, ...cluster], { stdio: 'ignore' });
  for (let tries = 0; ; tries++) {
    try {
      const key = Buffer.from('!').toString('base64');
      const response = await fetch(`${client}/v3/kv/put`, {
        method: 'POST',
        body: JSON.stringify({ key }),
      });
      if (response.ok) break;
    } catch (thrown) {
      if (tries > 200) throw thrown;
    }
    await sleep(50);
  }
  return {
    url: client.replace('http', 'etcd'),
    async end() {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}

/** A port that nobody listens on. */
function freePort() {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
