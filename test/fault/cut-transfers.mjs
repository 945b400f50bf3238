// Transfers of 64 MiB to two nodes on disk, through proxies that cut the connections again and again; what arrives is compared, and what
// was sent twice is counted.
//
//   node test/fault/cut-transfers.mjs CUTS [SEED]
//
// The client runs on the portable engine: the native one would meet nodes of this host by shared memory, past the proxies.
// Prints one JSON object; ends with 1 when a transfer failed, content differs, or more than a window was sent again for a cut.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Data, Net, Node } from '../../dist/index.js';
import { chanceOf } from '../accept/soak/chance.mjs';
import { NodeProcess } from '../support/node-process.mjs';
import { seededBytes } from '../support/seeded-bytes.mjs';

const mebibyte = 2 ** 20;
const dataBytes = 64 * mebibyte;
const shardBytes = 256 * 1024;
/** Of one of two nodes: what may be under way to it (`lib/cluster/transfer/node-link.ts`). */
const windowBytes = 32 * mebibyte;

const [, , cutText = '10', seedText] = process.argv;
const cutsWanted = Number(cutText);
const seed = Number(seedText ?? Math.floor(Math.random() * 2 ** 31));
const { between } = chanceOf(seed);
const counts = { cuts: 0, sentBytes: 0 };
/** While data are read back nothing is cut. */
let isCutting = true;

/** Passes on what comes, and cuts each connection after a while, as long as there are cuts to make. */
async function proxyTo(address) {
  const { hostname, port } = new URL(address);
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    const cut = () => {
      near.destroy();
      far.destroy();
    };
    let left = between(mebibyte, 16 * mebibyte);
    near.on('data', (bytes) => {
      counts.sentBytes += bytes.length;
      left -= bytes.length;
      if (left < 0 && isCutting && counts.cuts < cutsWanted) {
        counts.cuts++;
        cut();
      }
    });
    for (const socket of [near, far]) socket.on('error', cut).on('close', cut);
    near.pipe(far);
    far.pipe(near);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { address: `tcp://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

const folder = mkdtempSync(join(tmpdir(), 'paipainet-cuts-'));
const processes = await Promise.all(
  [0, 1].map((index) => NodeProcess.start(['--store', `files:${join(folder, String(index))}`])),
);
const proxies = await Promise.all(processes.map(({ address }) => proxyTo(address)));
const net = new Net({ engine: 'js' });
for (const [index, { address }] of proxies.entries()) net.addNode(new Node(index, { address }));
await net.start();

const content = seededBytes(dataBytes, seed);
const startMs = performance.now();
let transfers = 0;
let different = 0;
let misplaced = 0;
let resentBytes = 0;
try {
  while (counts.cuts < cutsWanted) {
    const before = { ...counts };
    const data = new Data(`d${transfers}`, content, { shardBytes });
    net.addData(data);
    await net.transfer(data);
    transfers++;
    resentBytes += Math.max(0, counts.sentBytes - before.sentBytes - dataBytes);
    const { shards } = net.explain(data);
    misplaced += shards.filter(({ nodeIds }) => nodeIds.length !== 1).length;
    if (shards.length !== dataBytes / shardBytes) misplaced++;
    isCutting = false;
    if (Buffer.compare(await net.read(data), content) !== 0) different++;
    isCutting = true;
  }
  const seconds = (performance.now() - startMs) / 1e3;
  const { cuts } = counts;
  const resentPerCut = resentBytes / cuts;
  const isGood = different === 0 && misplaced === 0 && resentPerCut <= windowBytes;
  console.log(
    JSON.stringify({
      seed,
      transfers,
      cuts,
      different,
      misplaced,
      resentPerCut,
      windowBytes,
      seconds,
    }),
  );
  process.exitCode = isGood ? 0 : 1;
} finally {
  await net.close();
  for (const proxy of proxies) proxy.close();
  await Promise.all(processes.map((node) => node.kill()));
  rmSync(folder, { recursive: true, force: true });
}
