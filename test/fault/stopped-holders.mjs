// Holders of a lock are stopped past its time, and write when they go on: node stopped-holders.mjs local|quorum|etcd COUNT. Ends with one line of JSON, and with 1
// when the store took what such a one wrote.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Data, Net } from '../../dist/index.js';
import { startBackend } from './coordination-backends.mjs';

const [, , kind = 'local', count = '20'] = process.argv;
const ttlMs = 300;
const holderCount = 3;
const contentBytes = 8_192;
/** Of so many turns one ends with a look at what lies there. */
const looksEach = 20;
const program = fileURLToPath(new URL('./stopped-holder.mjs', import.meta.url));

const backend = await startBackend(kind);
const codes = {};
let staleWrites = 0;

/** A process that does one thing at a time; `ask` settles with its answer. */
function startHolder(_, at) {
  const options = [JSON.stringify(backend.netOptions), String(ttlMs), String(contentBytes)];
  const child = fork(program, [...options, String(at)]);
  return {
    child,
    async ask(task) {
      const answered = once(child, 'message');
      child.send(task);
      const [answer] = await answered;
      return answer;
    },
  };
}

/** As somebody sees it who comes now. */
async function contentNow() {
  const net = new Net(backend.netOptions);
  await net.start();
  try {
    const data = Data.stored('d');
    net.addData(data);
    await net.find(data);
    const pieces = [];
    await net.readEach(data, async (piece) => {
      pieces.push(Uint8Array.from(piece));
    });
    return Buffer.concat(pieces).toString();
  } finally {
    await net.close();
  }
}

const holders = Array.from({ length: holderCount }, startHolder);
for (const { child } of holders) await once(child, 'message');
for (let at = 0; at < Number(count); at++) {
  const old = holders[at % holderCount];
  const next = holders[(at + 1) % holderCount];
  await old.ask('lock');
  old.child.kill('SIGSTOP');
  // It gets the lock when the time of the other is over.
  await next.ask('lock');
  const { code: own } = await next.ask('write');
  if (own !== 'written') throw new Error(`whoever holds the lock fails with ${own}`);
  // It goes on in the middle of what it was about to do.
  const late = old.ask('write');
  old.child.kill('SIGCONT');
  const { code } = await late;
  codes[code] = (codes[code] ?? 0) + 1;
  if (code === 'written') staleWrites++;
  const isLooking = at % looksEach === 0 || at + 1 === Number(count);
  if (isLooking && (await contentNow()) !== String((at + 1) % holderCount).repeat(contentBytes)) {
    staleWrites++;
  }
  await next.ask('release');
  await old.ask('release');
}
for (const { child } of holders) {
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
await backend.end();
console.log(JSON.stringify({ kind, stopped: Number(count), staleWrites, codes }));
process.exitCode = staleWrites > 0 ? 1 : 0;
