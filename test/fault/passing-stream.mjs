import { readFileSync } from 'node:fs';
import { Data, Net, Node } from 'paipainet';

/**
 * Processes a stream of as many MiB as the argument says over three nodes, dropping each shard after use. Prints the bytes that were
 * digested, and the largest resident size that this process and each node reached.
 */
const mebibytes = Number(process.argv[2]);

async function* stream() {
  for (let index = 0; index < mebibytes; index++) yield Buffer.alloc(1024 * 1024, index);
}

function peakMiB(pid) {
  const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Math.round(Number(kibibytes) / 1024);
}

const net = new Net();
const nodes = [new Node(1), new Node(2), new Node(3)];
for (const node of nodes) net.addNode(node);
const data = new Data('stream', stream());
net.addData(data);
await net.start();
const { value } = await net.process(data, 'digest', { keep: false });
const peaks = [process.pid, ...nodes.map(({ pid }) => pid)].map(peakMiB);
console.log(JSON.stringify({ bytes: value.bytes, peakMiB: peaks }));
await net.close();
