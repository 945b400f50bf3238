// Bits that flip on the way: in frames that come to a channel, between two peers, and between a client and its nodes.
//
//   node test/fault/flipped-frames.mjs FRAMES SESSIONS FLIPS [SEED]
//
// FRAMES frames in which one bit is another, each behind whole ones on a connection of its own: a receiver must tell the whole ones, and end
// with what is wrong with the other one. SESSIONS connections through a proxy above TCP that flips a bit of each, from the first byte of the
// handshake on: an answer is what was sent or an error, and the connection ends. Then FLIPS bits while data with two copies are
// transferred to two nodes in processes of their own, read back and processed: the connections die of it, the work must not.
// Prints one JSON object; ends with 1 when a flip went unnoticed or something else came through than was sent.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectPeer, listen } from '../../dist/api/transport.js';
import { Data, isPaipaiError, Net, Node } from '../../dist/index.js';
import { selectEngine } from '../../dist/node/select-network.js';
import { crc32c } from '../../dist/wire/crc32c.js';
import { FrameType, frameHeaderBytes, writeFrameHeader } from '../../dist/wire/frame.js';
import { chanceOf } from '../accept/soak/chance.mjs';
import { FlippingProxy } from '../support/flipping-proxy.mjs';
import { NodeProcess } from '../support/node-process.mjs';
import { seededBytes } from '../support/seeded-bytes.mjs';

const mebibyte = 2 ** 20;
/** Connections at once, so that the two ends do not wait for each other in turns. */
const laneCount = 8;
const engines = ['native', 'js'];
/** A connection that has a flipped bit and does not end for so long stands. */
const endMsMax = 10_000;
const framesMax = 4;
/** The payloads of this stream land in a sink, as those of shards do. */
const sinkStream = 2;
const dataBytes = 8 * mebibyte;
const shardBytes = 256 * 1024;

const [, , frameText = '1000', sessionText = '500', flipText = '20', seedText] = process.argv;
const framesWanted = Number(frameText);
const sessionsWanted = Number(sessionText);
const flipsWanted = Number(flipText);
const seed = Number(seedText ?? Math.floor(Math.random() * 2 ** 31));
const chance = chanceOf(seed);
const { between, pick } = chance;
const content = seededBytes(dataBytes, seed);
const folder = mkdtempSync(join(tmpdir(), 'paipainet-flips-'));

function randomFrame() {
  const length = between(0, 2 ** pick({ 5: 4, 10: 3, 14: 2, 17: 1 }));
  const from = between(0, dataBytes - length);
  return {
    type: FrameType[pick({ request: 1, response: 1, message: 1, streamData: 3 })],
    name: between(1, 2 ** 16 - 1),
    streamId: sinkStream,
    argument: between(0, 2 ** 32 - 1),
    payload: content.subarray(from, from + length),
  };
}

function encode(frames) {
  const parts = frames.flatMap(({ type, name, streamId, argument, payload }, sequence) => {
    const header = new Uint8Array(frameHeaderBytes);
    const sum = crc32c(payload);
    writeFrameHeader(header, 0, type, 0, name, streamId, sequence, argument, payload.length, sum);
    return [header, payload];
  });
  return Buffer.concat(parts);
}

function isSame(frame, view) {
  const { type, name, streamId, argument, bytes, start, end } = view;
  return (
    type === frame.type &&
    name === frame.name &&
    streamId === frame.streamId &&
    argument === frame.argument &&
    Buffer.compare(bytes.subarray(start, end), frame.payload) === 0
  );
}

/** What a receiver may tell of `frames`: those outside the sink, and what lands in it. */
function expectationOf(frames) {
  const isLanding = ({ type, payload }) => type === FrameType.streamData && payload.length > 0;
  return {
    frames: frames.filter((frame) => !isLanding(frame)),
    landed: Buffer.concat(frames.filter(isLanding).map(({ payload }) => payload)),
  };
}

/** Receives on `channel` until it ends; resolves with the code it ended with, and whether all that was told is `expected` and no more. */
function receive(channel, expected) {
  return new Promise((resolve) => {
    const target = new Uint8Array(framesMax * 2 ** 17);
    let told = 0;
    let landedBytes = 0;
    let isWhole = true;
    channel.setSink(sinkStream, target);
    channel.receiver = {
      onFrame(view) {
        const frame = expected.frames[told++];
        if (frame === undefined || !isSame(frame, view)) isWhole = false;
      },
      onSink(_streamId, bytes, sum) {
        landedBytes = bytes;
        if (sum !== crc32c(target, 0, bytes)) isWhole = false;
      },
      onDrain() {},
      onClose(error) {
        if (told !== expected.frames.length || landedBytes !== expected.landed.length)
          isWhole = false;
        if (Buffer.compare(target.subarray(0, landedBytes), expected.landed) !== 0) isWhole = false;
        resolve({ code: error?.code, isWhole });
      },
    };
  });
}

const frameCounts = { flipped: 0, unnoticed: 0, delivered: 0 };
const codes = {};

async function flipInFrames(engine, lane, count) {
  const { network } = selectEngine(engine);
  const path = join(folder, `${engine}-${lane}`);
  let onChannel;
  const address = { scheme: 'unix', path };
  const listener = await network.listen(address, (channel) => onChannel(channel), { path: 'unix' });
  for (let at = 0; at < count; at++) {
    const frames = Array.from({ length: between(1, framesMax) }, randomFrame);
    const victim = between(0, frames.length - 1);
    const bytes = encode(frames);
    const victimAt = encode(frames.slice(0, victim)).length;
    const victimBytes = frameHeaderBytes + frames[victim].payload.length;
    bytes[victimAt + between(0, victimBytes - 1)] ^= 1 << between(0, 7);
    const received = new Promise((resolve) => {
      onChannel = (channel) => resolve(receive(channel, expectationOf(frames.slice(0, victim))));
    });
    const socket = connect(path).on('error', () => {});
    socket.end(bytes);
    const { code, isWhole } = await received;
    socket.destroy();
    frameCounts.flipped++;
    codes[code] = (codes[code] ?? 0) + 1;
    if (!/^PAIPAI_ERR_FRAME_/.test(code)) frameCounts.unnoticed++;
    if (!isWhole) frameCounts.delivered++;
  }
  await listener.close();
}

const sessionCounts = { flipped: 0, unnoticed: 0, delivered: 0 };

/** Requests at a peer behind the proxy, which answers with what it got. */
async function askThrough(proxy, engine) {
  let peer;
  try {
    peer = await connectPeer(proxy.address, { engine, path: 'tcp', deadlineMs: endMsMax });
  } catch {
    return; // The handshake was hit, and who wants to connect is told.
  }
  const gone = new Promise((resolve) => peer.once('close', resolve));
  const asking = Array.from({ length: 4 }, async () => {
    const length = between(0, 40_000);
    const from = between(0, dataBytes - length);
    const sent = content.subarray(from, from + length);
    const answer = await peer.request('echo', sent).catch(() => undefined);
    if (answer !== undefined && Buffer.compare(answer, sent) !== 0) sessionCounts.delivered++;
  });
  await Promise.all(asking);
  if (!(await proxy.allEnd(endMsMax))) sessionCounts.unnoticed++;
  peer.destroy();
  await gone;
}

async function flipInSessions(engine, count) {
  const echo = { methods: { echo: (payload) => payload } };
  const listener = await listen('tcp://127.0.0.1:0', { engine, path: 'tcp', ...echo });
  let victim;
  const bytesBefore = (direction) => (direction === victim ? between(0, 60_000) : Infinity);
  const proxy = await new FlippingProxy(chance, bytesBefore).start(listener.address);
  while (proxy.flips < count) {
    victim = pick({ up: 1, down: 1 });
    await askThrough(proxy, pick({ native: 1, js: 1 }));
  }
  sessionCounts.flipped += proxy.flips;
  proxy.close();
  await listener.close(0);
}

/** Does `work` on the net, again when too many of its nodes went away in the middle; how often that was. */
async function untilDone(net, work) {
  for (let failures = 0; ; failures++) {
    try {
      return { failures, result: await work() };
    } catch (error) {
      if (!isPaipaiError(error, 'PAIPAI_ERR_NODE_LOST')) throw error;
      await net.allBack();
    }
  }
}

/** A net that says when all of its nodes are there. */
class WatchedNet extends Net {
  #away = new Set();

  constructor(options) {
    super(options);
    this.on('nodeLost', ({ id }) => this.#away.add(id));
    this.on('nodeBack', ({ id }) => this.#away.delete(id));
  }

  async allBack() {
    while (this.#away.size > 0) await once(this, 'nodeBack');
  }
}

async function flipUnderWork() {
  const processes = await Promise.all(
    [0, 1].map((index) => NodeProcess.start(['--store', `lmdb:${join(folder, String(index))}`])),
  );
  const proxies = [];
  const flips = () => proxies.reduce((sum, proxy) => sum + proxy.flips, 0);
  const bytesBefore = () => (flips() < flipsWanted ? between(1, 4 * mebibyte) : Infinity);
  proxies.push(
    ...(await Promise.all(
      processes.map(({ address }) => new FlippingProxy(chance, bytesBefore).start(address)),
    )),
  );
  // The native engine would meet nodes of this host by shared memory, past the proxies.
  const net = new WatchedNet({ engine: 'js' });
  for (const [index, { address }] of proxies.entries()) net.addNode(new Node(index, { address }));
  const counts = { flips: 0, unnoticed: 0, rounds: 0, different: 0, repeated: 0 };
  const checksum = crc32c(content).toString(16).padStart(8, '0');
  try {
    await net.start();
    while (counts.flips < flipsWanted) {
      const data = new Data(counts.rounds++, content, { shardBytes, replicas: 2 });
      net.addData(data);
      const transfer = await untilDone(net, () => net.transfer(data));
      const read = await untilDone(net, () => net.read(data));
      const processed = await untilDone(net, () => net.process(data));
      if (Buffer.compare(read.result, content) !== 0) counts.different++;
      if (processed.result.value.checksum !== checksum) counts.different++;
      counts.repeated += transfer.failures + read.failures + processed.failures;
      await untilDone(net, () => net.process(data, 'digest', { keep: false }));
      counts.flips = flips();
    }
    for (const proxy of proxies) {
      if (!(await proxy.allEnd(endMsMax))) counts.unnoticed += proxy.standing;
    }
    return counts;
  } finally {
    await net.close();
    for (const proxy of proxies) proxy.close();
    await Promise.all(processes.map((node) => node.kill()));
  }
}

const startMs = performance.now();
try {
  for (const engine of engines) {
    const count = Math.ceil(framesWanted / engines.length / laneCount);
    const lanes = Array.from({ length: laneCount }, (_, lane) => flipInFrames(engine, lane, count));
    await Promise.all(lanes);
  }
  for (const engine of engines) {
    const count = Math.ceil(sessionsWanted / engines.length / laneCount);
    await Promise.all(Array.from({ length: laneCount }, () => flipInSessions(engine, count)));
  }
  const work = await flipUnderWork();
  const frames = { ...frameCounts, codes };
  const seconds = (performance.now() - startMs) / 1e3;
  console.log(JSON.stringify({ seed, frames, sessions: sessionCounts, work, seconds }));
  const bad = [frameCounts, sessionCounts].map((counts) => counts.unnoticed + counts.delivered);
  const isGood = bad.every((count) => count === 0) && work.unnoticed + work.different === 0;
  process.exitCode = isGood ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
