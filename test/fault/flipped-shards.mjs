// Bits that flip where shards lie: a node on disk is killed, single bits of what it has stored are changed, and it is started again.
//
//   node test/fault/flipped-shards.mjs SHARDS [SEED]
//
// On lmdb and on plain files, SHARDS in all. Four of five are of data that have a second copy: the node must refuse each of them, every read
// must give what was stored, and afterwards the node must have each as it was. The others have none: reading must fail and name them, no other.
// Prints one JSON object; ends with 1 otherwise.

import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeGetRequest, getMethod } from '../../dist/cluster/transfer/messages.js';
import { Data, Net, Node } from '../../dist/index.js';
import { createRealEnv } from '../../dist/node/real-env.js';
import { selectEngine } from '../../dist/node/select-network.js';
import { connectPeer } from '../../dist/session/connect.js';
import { chanceOf } from '../accept/soak/chance.mjs';
import { NodeProcess } from '../support/node-process.mjs';
import { seededBytes } from '../support/seeded-bytes.mjs';

/** Above half a page, so that LMDB keeps each in pages of its own, where the content lies in one piece and in one place. */
const shardBytes = 5_000;

const [, , shardText = '50', seedText] = process.argv;
const shardsWanted = Number(shardText);
const seed = Number(seedText ?? Math.floor(Math.random() * 2 ** 31));
const { between } = chanceOf(seed);
const folder = mkdtempSync(join(tmpdir(), 'paipainet-flips-'));

/** Some of the numbers below `count`, in order. */
function sampleOf(count, wanted) {
  const all = Array.from({ length: count }, (_, index) => index);
  for (let at = 0; at < wanted; at++) {
    const other = between(at, count - 1);
    [all[at], all[other]] = [all[other], all[at]];
  }
  return all.slice(0, wanted).sort((a, b) => a - b);
}

function shardOf(content, index) {
  return content.subarray(index * shardBytes, (index + 1) * shardBytes);
}

/** Files of a store that hold content. */
function contentFiles(kind, path) {
  if (kind === 'lmdb') return [join(path, 'data.mdb')];
  const shards = join(path, 'shards');
  return readdirSync(shards).map((name) => join(shards, name));
}

/** Flips one bit in each of the shards where the store has it. */
function flip(kind, path, shards) {
  const files = contentFiles(kind, path).map((file) => [file, readFileSync(file)]);
  for (const shard of shards) {
    let flips = 0;
    for (const [, bytes] of files) {
      const at = bytes.indexOf(shard);
      if (at < 0) continue;
      flips++;
      bytes[at + between(0, shard.length - 1)] ^= 1 << between(0, 7);
    }
    if (flips !== 1) throw new Error(`a shard lies in ${flips} places of ${path}`);
  }
  for (const [file, bytes] of files) writeFileSync(file, bytes);
}

/** What the node gives of each shard of `content`: 'whole', 'different', or the code of its refusal. */
async function ask(address, dataId, content) {
  const { network } = selectEngine('auto');
  const env = { ...createRealEnv(), network };
  const peer = await connectPeer(env, address, { nodeId: 'who-asks' });
  const count = content.length / shardBytes;
  const answers = [];
  try {
    for (let index = 0; index < count; index++) {
      const into = new Uint8Array(new SharedArrayBuffer(shardBytes));
      const request = encodeGetRequest({ dataId, version: 0n, index });
      const stream = peer.openStream(getMethod, request);
      try {
        const receiving = stream.receiveInto(into);
        stream.end();
        const { bytes } = await receiving;
        const isSame = bytes === shardBytes && !Buffer.compare(into, shardOf(content, index));
        answers.push(isSame ? 'whole' : 'different');
      } catch (error) {
        answers.push(error.code);
      }
    }
  } finally {
    await peer.close();
  }
  return answers;
}

const counts = { flipped: 0, refused: 0, delivered: 0, mended: 0, alone: 0, named: 0, wrong: 0 };

function wrong(what) {
  counts.wrong++;
  console.error(what);
}

async function flipOn(kind, flips) {
  const aloneFlips = Math.ceil(flips / 5);
  const pairedFlips = flips - aloneFlips;
  const storeOf = (index) => join(folder, `${kind}-${index}`);
  const processes = await Promise.all(
    [0, 1].map((index) => NodeProcess.start(['--store', `${kind}:${storeOf(index)}`])),
  );
  const nodes = processes.map(({ address }, index) => new Node(index, { address }));
  const net = new Net().addNode(nodes[0]).addNode(nodes[1]);
  // Which node is asked first goes round over the shards. These two begin with different ones, so that each copy is asked for first by one.
  const readers = [processes, processes.toReversed()].map((inOrder) => {
    const reader = new Net();
    for (const { address } of inOrder) reader.addNode(new Node(address, { address }));
    return reader;
  });
  try {
    await net.start();
    const paired = seededBytes(2 * pairedFlips * shardBytes, seed + 1);
    const alone = seededBytes(2 * aloneFlips * shardBytes, seed + 2);
    const pairedData = new Data('paired', paired, { shardBytes, replicas: 2 });
    const aloneData = new Data('alone', alone, { shardBytes });
    net.addData(pairedData).addData(aloneData);
    await net.transfer(pairedData);
    await net.transfer(aloneData, nodes[0]);

    const lost = once(net, 'nodeLost');
    await processes[0].kill();
    await lost;
    const victims = sampleOf(2 * pairedFlips, pairedFlips);
    const aloneVictims = sampleOf(2 * aloneFlips, aloneFlips);
    flip(kind, storeOf(0), [
      ...victims.map((index) => shardOf(paired, index)),
      ...aloneVictims.map((index) => shardOf(alone, index)),
    ]);
    counts.flipped += flips;
    counts.alone += aloneFlips;
    const back = once(net, 'nodeBack');
    await processes[0].start();
    await back;

    const { address } = processes[0];
    const before = [
      ...(await ask(address, 'paired', paired)),
      ...(await ask(address, 'alone', alone)),
    ];
    counts.refused += before.filter((answer) => answer === 'PAIPAI_ERR_SHARD_CHECKSUM').length;
    counts.delivered += before.filter((answer) => answer === 'different').length;

    for (const reader of readers) {
      await reader.start();
      const found = new Data('paired', 1, { replicas: 2 });
      reader.addData(found);
      if (Buffer.compare(await reader.read(found), paired)) wrong(`${kind}: read`);
    }
    const after = await ask(address, 'paired', paired);
    counts.mended += victims.filter((index) => after[index] === 'whole').length;
    if (after.some((answer) => answer !== 'whole')) wrong(`${kind}: not mended`);

    const error = await net.read(aloneData).catch((thrown) => thrown);
    if (error.code !== 'PAIPAI_ERR_SHARD_CHECKSUM') wrong(`${kind}: ${error.code}`);
    const isNamed = JSON.stringify(error.shardIndexes) === JSON.stringify(aloneVictims);
    if (isNamed) counts.named += aloneFlips;
  } finally {
    await Promise.all([net, ...readers].map((one) => one.close()));
    await Promise.all(processes.map((node) => node.kill()));
  }
}

const startMs = performance.now();
try {
  await flipOn('lmdb', Math.ceil(shardsWanted / 2));
  await flipOn('files', Math.floor(shardsWanted / 2));
  const seconds = (performance.now() - startMs) / 1e3;
  console.log(JSON.stringify({ seed, ...counts, seconds }));
  const { flipped, refused, delivered, mended, alone, named } = counts;
  const isGood =
    refused === flipped && mended === flipped - alone && named === alone && delivered === 0;
  process.exitCode = isGood && counts.wrong === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
