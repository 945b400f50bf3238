// Those who run transactions and the nodes that follow them are killed, again and again: node killed-transactions.mjs local|quorum|etcd TRANSACTIONS [KILL_EVERY_MS].
// Ends with one line of JSON, and with 1 when one was done in part, when one is done that was said not to be, or is not and was said to be, when the sum has changed, or when
// something stayed in doubt.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Net } from '../../dist/index.js';
import { RecordLayout } from '../../dist/transactions/record-nodes.js';
import { startBackend } from './coordination-backends.mjs';

const [, , kind = 'local', transactions = '500', killEveryMs = '1500'] = process.argv;
const program = fileURLToPath(new URL('./teller.mjs', import.meta.url));
const tellerCount = 4;
const accounts = Array.from({ length: 24 }, (_, at) => `account/${at}`);
const firstBalance = 1_000;
/** From when the outcome can be read. */
const inDoubtMsMost = 5_000;
/** By id: since when the outcome of what is in doubt can be read. */
const readableSince = new Map();

const backend = await startBackend(kind, ['a', 'b', 'c']);
const layout = new RecordLayout(['a', 'b', 'c']);
const net = new Net(backend.netOptions);
await net.start();
await net.transaction((tx) => {
  for (const key of accounts) tx.set(key, firstBalance);
});

/** What comes back does so within seconds. */
async function eventually(work) {
  const endMs = performance.now() + 20_000;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (error.code === undefined || performance.now() > endMs) throw error;
      await sleep(50);
    }
  }
}

const figures = { kind, committed: 0, aborted: 0, unknown: 0, killedTellers: 0, killedNodes: 0 };
const codes = {};
let violations = 0;
let isOver = false;
const tellers = new Map();

function wrong(sentence) {
  violations++;
  console.error(sentence);
}

/** For each node one key that lies there, whichever teller's. */
function marksOf(name) {
  const marks = new Map();
  for (let at = 0; marks.size < 3; at++) {
    const node = layout.nodeOf(`mark/${at}/${name}`);
    if (!marks.has(node)) marks.set(node, `mark/${at}`);
  }
  return [...marks.values()];
}

/** `possible`: the numbers that its next transaction may have. */
function startTeller(name, possible = new Set([1])) {
  const args = [backend.netOptions, marksOf(name), accounts].map((one) => JSON.stringify(one));
  const child = fork(program, [args[0], name, args[1], args[2]]);
  const teller = { name, child, possible };
  tellers.set(name, teller);
  child.on('message', (message) => {
    if (message.wrong !== undefined) wrong(`${name}: ${message.wrong}`);
    if (message.wasUnknown) figures.unknown++;
    if (message.begun !== undefined) {
      if (!teller.possible.has(message.begun)) {
        wrong(`${name} is at ${message.begun}, not at ${[...teller.possible]}`);
      }
      // Until it says more.
      teller.possible = new Set([message.begun, message.begun + 1]);
    }
    if (message.committed !== undefined) {
      figures.committed++;
      teller.possible = new Set([message.committed + 1]);
    }
    if (message.aborted !== undefined) {
      figures.aborted++;
      codes[message.code] = (codes[message.code] ?? 0) + 1;
      if (message.aborted !== null) teller.possible = new Set([message.aborted]);
    }
  });
  child.on('exit', () => {
    if (!isOver) startTeller(name, teller.possible);
  });
}

for (let at = 0; at < tellerCount; at++) startTeller(`teller-${at}`);

let mostInDoubtMs = 0;

async function lookForDoubt() {
  const inDoubt = await net.inDoubt().catch(() => undefined);
  if (inDoubt === undefined) return undefined;
  const ids = new Set(inDoubt.map(({ transactionId }) => transactionId));
  for (const id of readableSince.keys()) if (!ids.has(id)) readableSince.delete(id);
  for (const id of ids) {
    const since = readableSince.get(id);
    if (since === undefined) {
      const outcome = await net.outcomeOf(id, { deadlineMs: 1_000 }).catch(() => 'unknown');
      if (outcome !== 'unknown') readableSince.set(id, performance.now());
    } else {
      const forMs = performance.now() - since;
      mostInDoubtMs = Math.max(mostInDoubtMs, Math.round(forMs));
      if (forMs > inDoubtMsMost) wrong(`${id} is in doubt for ${forMs} ms`);
    }
  }
  return ids.size;
}

async function lookAlways() {
  while (!isOver) {
    await lookForDoubt();
    await sleep(100);
  }
}

const looking = lookAlways();
const startMs = performance.now();
for (let kills = 0; figures.committed < Number(transactions); kills++) {
  await sleep(Math.random() * 2 * Number(killEveryMs));
  if (kills % 2 === 0) {
    const list = [...tellers.values()];
    const { child } = list[Math.floor(Math.random() * list.length)];
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    figures.killedTellers++;
  } else {
    const node = backend.nodes[Math.floor(Math.random() * backend.nodes.length)];
    await node.kill();
    figures.killedNodes++;
    await sleep(Math.random() * 200);
    await node.start();
  }
}
isOver = true;
await looking;
for (const { child } of tellers.values()) {
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
figures.seconds = Math.round((performance.now() - startMs) / 1_000);
const sum = await eventually(() =>
  net.transaction(async (tx) => {
    const balances = await Promise.all(accounts.map((key) => tx.get(key)));
    return balances.reduce((one, other) => one + other);
  }),
);
if (sum !== accounts.length * firstBalance) wrong(`the accounts hold ${sum} together`);
for (const { name, possible } of tellers.values()) {
  const marks = marksOf(name).map((mark) => `${mark}/${name}`);
  const numbers = await eventually(() =>
    net.transaction((tx) => Promise.all(marks.map((mark) => tx.get(mark)))),
  );
  if (new Set(numbers).size > 1) wrong(`the last transaction of ${name} is torn: ${numbers}`);
  if (!possible.has((numbers[0] ?? 0) + 1))
    wrong(`${name} ended at ${numbers}, not before ${[...possible]}`);
}
// What is over it counts for as long as it is there.
while ((await lookForDoubt()) !== 0 && violations === 0) await sleep(100);
await net.close();
await backend.end();
console.log(JSON.stringify({ ...figures, violations, mostInDoubtMs, codes }));
process.exitCode = violations > 0 ? 1 : 0;
