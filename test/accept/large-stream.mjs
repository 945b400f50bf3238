// Processes a stream of BYTES bytes on three node processes with every shard dropped after use, and says whether the digest is that of
// the bytes. Prints one JSON object.
//
//   node test/accept/large-stream.mjs BYTES

import { createHash } from 'node:crypto';
import { Data, Net, Node } from 'paipainet';

const bytes = Number(process.argv[2]);
const block = Buffer.alloc(256 * 1024);
for (let i = 0; i < block.length; i += 32) {
  createHash('sha256').update(String(i)).digest().copy(block, i);
}

async function* blocks() {
  for (let left = bytes; left > 0; left -= block.length)
    yield block.subarray(0, Math.min(left, block.length));
}

async function digestOf(options) {
  const net = new Net();
  for (const id of [1, 2, 3]) net.addNode(new Node(id));
  const data = new Data('stream', blocks());
  net.addData(data);
  await net.start();
  try {
    const { value, report } = await net.process(data, 'digest', options);
    return { engine: net.info().engine, ...value, wallMs: report.wallMs };
  } finally {
    await net.close();
  }
}

/** CRC32C bit by bit over one block, then block after block by the same step: slow, and not the code under test. */
function referenceChecksum() {
  const table = new Uint32Array(256).map((_, i) => {
    let crc = i;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
    return crc >>> 0;
  });
  let crc = 0xffffffff;
  for (let left = bytes; left > 0; left -= block.length) {
    const end = Math.min(left, block.length);
    for (let i = 0; i < end; i++) crc = table[(crc ^ block[i]) & 0xff] ^ (crc >>> 8);
  }
  return (~crc >>> 0).toString(16).padStart(8, '0');
}

const digest = await digestOf({ keep: false });
const equal = digest.bytes === bytes && digest.checksum === referenceChecksum();
console.log(JSON.stringify({ ...digest, equal }));
process.exitCode = equal ? 0 : 1;
