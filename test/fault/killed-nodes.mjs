// Five nodes in processes of their own; data with three replicas are stored on them, while up to two nodes at a time are killed and started
// again. In the end all that was confirmed is read back and compared.
//
//   node test/fault/killed-nodes.mjs STORE SHARDS KILLS [SEED]      STORE: lmdb, files or memory
//
// On disk kills come at any moment. In memory, where a node loses what it had, the copies are made anew before the next one.
// Prints one JSON object; ends with 1 when something was lost.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Data, isPaipaiError, Net, Node } from '../../dist/index.js';
import { chanceOf } from '../accept/soak/chance.mjs';
import { NodeProcess } from '../support/node-process.mjs';
import { seededBytes } from '../support/seeded-bytes.mjs';

const nodeCount = 5;
const replicas = 3;
const deadMax = 2;
const shardBytes = 512;
const shardsPerData = 1_000;

const [, , store = 'lmdb', shardText = '2000', killText = '5', seedText] = process.argv;
const shardsWanted = Number(shardText);
const killsWanted = Number(killText);
const seed = Number(seedText ?? Math.floor(Math.random() * 2 ** 31));
const isDurable = store !== 'memory';

const { between } = chanceOf(seed);

function contentOf(id) {
  return seededBytes(shardsPerData * shardBytes, seed + id);
}

function hashOf(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}

const folder = mkdtempSync(join(tmpdir(), 'paipainet-killed-'));
const processes = await Promise.all(
  Array.from({ length: nodeCount }, (_, index) =>
    NodeProcess.start(isDurable ? ['--store', `${store}:${join(folder, String(index))}`] : []),
  ),
);

async function connected() {
  const net = new Net({ placement: 'boundedRendezvous' });
  for (const [index, { address }] of processes.entries()) {
    net.addNode(new Node(index, { address }));
  }
  await net.start();
  return net;
}

const net = await connected();
const away = new Set();
const waiters = new Set();
net.on('nodeLost', ({ id }) => away.add(id));
net.on('nodeBack', ({ id }) => {
  away.delete(id);
  for (const wake of waiters) wake();
  waiters.clear();
});

/** Settles when at most `count` nodes are away. */
async function awayAtMost(count) {
  while (away.size > count) await new Promise((resolve) => waiters.add(resolve));
}

const confirmed = new Map();
const counts = { kills: 0, attempts: 0, failedTransfers: 0, copiesRepaired: 0 };

/** Stores one piece of data, however often it takes. */
async function storeOne(id) {
  const data = new Data(id, contentOf(id), { shardBytes, replicas });
  net.addData(data);
  for (;;) {
    counts.attempts++;
    try {
      await net.transfer(data);
      confirmed.set(data, hashOf(contentOf(id)));
      return;
    } catch (error) {
      if (!isPaipaiError(error, 'PAIPAI_ERR_NODE_LOST')) throw error;
      counts.failedTransfers++;
      await awayAtMost(deadMax);
    }
  }
}

/** Settles when the net has noticed. */
async function kill(index) {
  counts.kills++;
  const lost = once(net, 'nodeLost');
  await processes[index].kill();
  await lost;
}

async function storeAll(isOver) {
  for (let id = 0; id * shardsPerData < shardsWanted || !isOver(); id++) await storeOne(id);
}

/** Kills at random moments while data are stored. */
async function killAnytime() {
  const restarting = new Set();
  while (counts.kills < killsWanted) {
    while (restarting.size >= deadMax) await Promise.race(restarting);
    const living = [...processes.keys()].filter((index) => !processes[index].isRestarting);
    const index = living[between(0, living.length - 1)];
    const node = processes[index];
    node.isRestarting = true;
    counts.kills++;
    await node.kill();
    const again = (async () => {
      await sleep(between(0, 300));
      await node.start();
      node.isRestarting = false;
    })();
    restarting.add(again);
    void again.finally(() => restarting.delete(again));
    await sleep(between(200, 1_000));
  }
  await Promise.all(restarting);
}

/** Kills one or two, has all copies made anew, and has them started again. */
async function killAndRepair() {
  while (counts.kills < killsWanted) {
    const first = between(0, nodeCount - 1);
    const second = (first + between(1, nodeCount - 1)) % nodeCount;
    const victims = between(0, 1) === 0 ? [first] : [first, second];
    for (const index of victims) await kill(index);
    for (const data of [...confirmed.keys()]) {
      counts.copiesRepaired += (await net.repair(data)).copies;
    }
    await Promise.all(victims.map((index) => processes[index].start()));
    await awayAtMost(0);
  }
}

/** How many pieces of data do not read back as they were. */
async function lostFrom(reader, dataOf) {
  let lost = 0;
  for (const [data, hash] of confirmed) {
    const bytes = await reader.read(dataOf(data)).catch((error) => {
      console.error(`data ${data.id}: ${error.code} ${error.message}`);
      return new Uint8Array(0);
    });
    if (hashOf(bytes) !== hash) lost++;
  }
  return lost;
}

const startMs = performance.now();
try {
  if (isDurable) {
    let isOver = false;
    const killing = killAnytime().finally(() => {
      isOver = true;
    });
    await Promise.all([killing, storeAll(() => isOver)]);
  } else {
    await storeAll(() => true);
    await killAndRepair();
  }
  const seconds = (performance.now() - startMs) / 1e3;
  await awayAtMost(0);
  let lost = await lostFrom(net, (data) => data);
  await net.close();
  if (isDurable) {
    // Another client, which knows nothing but what the nodes have.
    const other = await connected();
    lost += await lostFrom(other, ({ id }) => {
      const data = new Data(id, 1, { replicas });
      other.addData(data);
      return data;
    });
    await other.close();
  }
  const shards = confirmed.size * shardsPerData;
  console.log(
    JSON.stringify({ store, seed, nodeCount, replicas, shards, lost, seconds, ...counts }),
  );
  process.exitCode = lost === 0 ? 0 : 1;
} finally {
  await net.close();
  await Promise.all(processes.map((node) => node.kill()));
  rmSync(folder, { recursive: true, force: true });
}
