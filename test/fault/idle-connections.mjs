// Opens COUNT connections to a server in another process, or as many as the limit of descriptors allows, and lets them be: what do they cost
// the server, does it still answer, how long does it take to end them all? Prints one JSON object.
//
//   node test/fault/idle-connections.mjs COUNT ENGINE        ENGINE: native, js

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { connect, listen } from 'paipainet/transport';

const atOnce = 100;
/** Connections that come and go first, so that what the code itself takes is not counted. */
const warmUpCount = 500;
/** Descriptors for everything else. */
const descriptorsSpared = 100;
const restMs = 2_000;

const [role, engine] = process.argv.slice(2);
if (role === 'server') await serve();
else await open(Number(role));

async function serve() {
  const listener = await listen('tcp://127.0.0.1:0', {
    engine,
    path: 'tcp',
    methods: { echo: (payload) => payload },
  });
  const answers = {
    facts() {
      globalThis.gc();
      const { user, system } = process.cpuUsage();
      const peers = listener.peers.size;
      return { peers, residentBytes: process.memoryUsage.rss(), cpuMs: (user + system) / 1e3 };
    },
    async close() {
      await listener.close(0);
      return {};
    },
  };
  process.on('message', async (question) => process.send(await answers[question]()));
  process.on('disconnect', () => process.exit());
  process.send(listener.address);
}

async function open(wanted) {
  const limit = Number(
    /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))[1],
  );
  const count = Math.min(wanted, limit - descriptorsSpared);
  const server = fork(fileURLToPath(import.meta.url), ['server', engine], {
    execArgv: ['--expose-gc'],
  });
  const [address] = await once(server, 'message');
  const ask = async (question) => {
    server.send(question);
    return (await once(server, 'message'))[0];
  };
  /** The server drops a connection some time after its client has. */
  const restingAt = async (peers) => {
    for (;;) {
      const facts = await ask('facts');
      if (facts.peers === peers) return facts;
    }
  };

  for (const peer of await connectAll(address, warmUpCount)) peer.destroy();
  const before = await restingAt(0);
  const startMs = performance.now();
  const peers = await connectAll(address, count);
  const connectMs = performance.now() - startMs;
  const after = await restingAt(count);
  await new Promise((resolve) => setTimeout(resolve, restMs));
  const rested = await ask('facts');

  let requestMs = 0;
  for (let i = 0; i < 20; i++) {
    const askedMs = performance.now();
    await peers[i * 7].request('echo', Buffer.from('here'));
    requestMs = Math.max(requestMs, performance.now() - askedMs);
  }
  const ends = peers.map((peer) => once(peer, 'close'));
  const closingMs = performance.now();
  await Promise.all([ask('close'), ...ends]);
  const result = {
    engine: peers[0].engine,
    connections: count,
    connectMs,
    kibPerConnection: (after.residentBytes - before.residentBytes) / count / 1024,
    cpuPercent: ((rested.cpuMs - after.cpuMs) / restMs) * 100,
    requestMs,
    closeMs: performance.now() - closingMs,
  };
  console.log(JSON.stringify(result));
  server.disconnect();
}

async function connectAll(address, count) {
  const peers = [];
  const lane = async () => {
    while (peers.length < count) {
      const place = peers.push(null) - 1;
      peers[place] = await connect(address, { engine, path: 'tcp' });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return peers;
}
