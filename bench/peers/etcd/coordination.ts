/** The case `coordination` on three members of an etcd, with its settings as they come. */
import { join } from 'node:path';
import { freePort } from '../../support/addresses.js';
import { coordinating } from '../../support/coordination.js';
import { startNodeProgram } from '../../support/node-programs.js';
import { play } from '../../support/program.js';
import { programPath, serverFolder, startServer } from '../../support/programs.js';

const names = ['a', 'b', 'c'];

/** The leader first: it need not ask another member first, and whoever answers is asked again. */
async function byRole(urls: readonly string[]): Promise<string[]> {
  const isLeader = await Promise.all(
    urls.map(async (url) => {
      const answer = await fetch(`${url}/v3/maintenance/status`, { method: 'POST', body: '{}' });
      const { header, leader } = (await answer.json()) as {
        header: { member_id: string };
        leader: string;
      };
      return header.member_id === leader;
    }),
  );
  return [...urls].sort(
    (one, other) => Number(isLeader[urls.indexOf(other)]) - Number(isLeader[urls.indexOf(one)]),
  );
}

await play(
  coordinating(async () => {
    const folder = serverFolder();
    const places: { name: string; client: string; peer: string }[] = [];
    for (const name of names) {
      const [client, peer] = [await freePort(), await freePort()];
      places.push({
        name,
        client: `http://127.0.0.1:${client}`,
        peer: `http://127.0.0.1:${peer}`,
      });
    }
    const cluster = places.map(({ name, peer }) => `${name}=${peer}`).join();
    const members = await Promise.all(
      places.map(({ name, client, peer }) => {
        const own = ['--name', name, '--data-dir', join(folder, name), '--logger', 'zap'];
        const clients = ['--listen-client-urls', client, '--advertise-client-urls', client];
        const peers = ['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer];
        const args = [...own, ...clients, ...peers, '--initial-cluster', cluster];
        return startServer([programPath('etcd'), ...args], folder, /serving client traffic/);
      }),
    );
    // A net has a node, though this one has nothing to do.
    const { address, child } = await startNodeProgram(folder, 'node');
    const urls = await byRole(places.map(({ client }) => client));
    return {
      netOptions: { join: [address], coordination: { etcd: urls } },
      members: [...members, child],
    };
  }),
);
