// One client of the soak: requests, streams and messages to all servers at once, as many as it can keep an eye on. Each second it tells its
// parent how they ended; told to stop, it waits for those under way, closes its peers and says what it holds then.
//
//   node --expose-gc client.mjs ENGINE SEED TARGETS        TARGETS: JSON, [{ address, path }]

import { connect } from 'paipainet/transport';
import { chanceOf } from './chance.mjs';
import { processFacts } from './facts.mjs';

const lanesPerPeer = 3;
const tickMs = 10;
/** With what an operation may fail while processes and wires do. */
const codesExpected = new Set([
  'PAIPAI_ERR_ABORTED',
  'PAIPAI_ERR_BACK_PRESSURE',
  'PAIPAI_ERR_CLOSED',
  'PAIPAI_ERR_DEADLINE',
  'PAIPAI_ERR_OVERLOADED',
  'PAIPAI_ERR_PEER_CLOSED',
  'PAIPAI_ERR_STREAM_RESET',
]);

const [engine, seed, targets] = process.argv.slice(2);
const chance = chanceOf(Number(seed));
const factsBefore = processFacts();
const outcomes = {};
const wrongs = [];
const worst = { latePercent: 0, lateMs: 0, standstillMs: 0 };
let underWay = 0;
let writesUnderWay = 0;
let isStopping = false;

function count(name) {
  outcomes[name] = (outcomes[name] ?? 0) + 1;
}

function noteWrong(what) {
  if (wrongs.length < 20) wrongs.push(what);
}

// Times in which this process did not get to run are no lateness of the transport.
const standstills = [];
let tickedMs = performance.now();
setInterval(() => {
  const nowMs = performance.now();
  const lostMs = standstillMs(nowMs);
  if (lostMs > 0) standstills.push({ endMs: nowMs, lostMs });
  while (standstills.length > 0 && standstills[0].endMs < nowMs - 10_000) standstills.shift();
  worst.standstillMs = Math.max(worst.standstillMs, lostMs);
  tickedMs = nowMs;
}, tickMs);

function standstillMs(nowMs) {
  const gapMs = nowMs - tickedMs;
  return gapMs < 2 * tickMs ? 0 : gapMs;
}

/** Of an operation that was begun and due then: a deadline counts from the next look at the clock, so that its beginning matters too. */
function lostBy(begunMs, dueMs) {
  const nowMs = performance.now();
  const current = { endMs: nowMs, lostMs: standstillMs(nowMs) };
  let sum = 0;
  for (const { endMs, lostMs } of [...standstills, current]) {
    const coversBeginning = endMs > begunMs && endMs - lostMs < begunMs + 2 * tickMs;
    if (endMs > dueMs || coversBeginning) sum += lostMs;
  }
  return sum;
}

/** Follows one operation, which must settle within its deadline and a tenth. */
async function follow(kind, deadlineMs, operation) {
  const begunMs = performance.now();
  const dueMs = begunMs + deadlineMs;
  let outcome = 'done';
  underWay++;
  try {
    await operation;
  } catch (error) {
    outcome = error.code ?? error.name;
    if (!codesExpected.has(error.code)) noteWrong(`${kind}: ${error.stack}`);
  }
  count(`${kind} ${outcome}`);
  underWay--;
  const lateMs = performance.now() - dueMs;
  if (lateMs <= 0) return;
  const ownMs = lateMs - lostBy(begunMs, dueMs);
  worst.lateMs = Math.max(worst.lateMs, lateMs);
  worst.latePercent = Math.max(worst.latePercent, (ownMs / deadlineMs) * 100);
  if (ownMs > deadlineMs / 10)
    noteWrong(
      `${kind}: settled with ${outcome} ${lateMs.toFixed(0)} ms after its deadline of ${deadlineMs} ms, of which this process ran for ${ownMs.toFixed(0)} ms`,
    );
}

function someBytes() {
  const most = Number(chance.pick({ 100: 60, 4096: 25, 65536: 12, 1048576: 3 }));
  const bytes = Buffer.alloc(chance.between(4, most), chance.between(0, 255));
  bytes.writeUInt32LE(chance.between(0, 2 ** 31), 0);
  return bytes;
}

async function echo(peer, deadlineMs) {
  const payload = someBytes();
  const answer = await peer.request('echo', payload, { deadlineMs });
  if (Buffer.compare(answer, payload) !== 0)
    noteWrong(`echo: another answer to ${payload.length} bytes`);
}

async function slow(peer, deadlineMs) {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(chance.between(0, 2 * deadlineMs));
  await peer.request('slow', payload, { deadlineMs });
}

async function aborted(peer, deadlineMs) {
  const signal = AbortSignal.timeout(chance.between(1, deadlineMs));
  await peer.request('never', undefined, { deadlineMs, signal });
}

async function stream(peer, deadlineMs) {
  const content = someBytes();
  const stream = peer.openStream('echo', undefined, { deadlineMs });
  // A write under way holds its bytes until the connection has let go of them, which may be after the stream's end.
  writesUnderWay++;
  void stream
    .write(content)
    .then(() => stream.end())
    .catch(() => {})
    .finally(() => writesUnderWay--);
  const reading = async () => {
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    return Buffer.concat(chunks);
  };
  const [, received] = await Promise.all([stream.ended, reading()]);
  if (Buffer.compare(received, content) !== 0)
    noteWrong(`stream: other bytes than the ${content.length} sent`);
}

async function messages(peer) {
  for (let i = 0; i < 50; i++) {
    if (!peer.send('news', someBytes())) return peer.drained();
  }
}

const kinds = { echo, slow, aborted, stream, messages };
const weights = { echo: 50, slow: 10, aborted: 10, stream: 20, messages: 10 };

async function lane(peer) {
  while (!isStopping) {
    const kind = chance.pick(weights);
    // Two heartbeats' timeouts: a connection that is gone has been noticed by then.
    const deadlineMs = kind === 'messages' ? 2_500 : chance.between(300, 2_000);
    await follow(kind, deadlineMs, kinds[kind](peer, deadlineMs));
    // What fails at once would otherwise be tried at once again, forever.
    await new Promise((resolve) => setTimeout(resolve, chance.between(0, 10)));
  }
}

async function connected({ address, path }) {
  for (;;) {
    try {
      return await connect(address, {
        engine,
        path,
        heartbeat: { intervalMs: 200, timeoutMs: 1_000 },
        handshakeTimeoutMs: 1_000,
        reconnect: { backoffMs: 10, backoffMsMax: 200 },
      });
    } catch {
      // A server that is down or stopped comes back.
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

const peers = await Promise.all(JSON.parse(targets).map(connected));
for (const peer of peers) {
  peer.on('drop', () => count('connections lost'));
  peer.on('close', (error) => {
    if (!isStopping) noteWrong(`a peer that reconnects closed: ${error?.stack}`);
  });
}
const lanes = peers.flatMap((peer) => Array.from({ length: lanesPerPeer }, () => lane(peer)));
const report = () => {
  count(`path ${peers[0].path}`);
  process.send({ outcomes, wrongs, worst, underWay, facts: processFacts() });
};
const reporting = setInterval(report, 1_000);

process.once('message', async () => {
  isStopping = true;
  // No operation takes longer than the longest deadline and a tenth.
  const patience = new Promise((resolve) => setTimeout(resolve, 4_000));
  await Promise.race([Promise.all(lanes), patience]);
  clearInterval(reporting);
  if (underWay > 0) noteWrong(`${underWay} operations did not settle`);
  await Promise.all(peers.map((peer) => peer.close(0)));
  await new Promise((resolve) => setTimeout(resolve, 300));
  if (writesUnderWay > 0) noteWrong(`${writesUnderWay} writes did not settle`);
  const { descriptors, sharedMappings } = processFacts();
  if (descriptors > factsBefore.descriptors + 2)
    noteWrong(`${descriptors - factsBefore.descriptors} descriptors were left open`);
  if (sharedMappings > 0) noteWrong(`${sharedMappings} mappings of shared memory were left`);
  process.send({ outcomes, wrongs, worst, underWay, isLast: true });
  process.exitCode = 0;
  process.disconnect();
  process.exit();
});
process.on('disconnect', () => process.exit());
process.send({ isReady: true });
