// Moves money in one transaction after the other, and tells its parent of each: fork('teller.mjs', [NET_OPTIONS, NAME, MARKS, ACCOUNTS]). Every transaction also
// sets the same number on all nodes, one above that of the one before, and looks whether it was the same everywhere.

import { setTimeout as sleep } from 'node:timers/promises';
import { Net } from '../../dist/index.js';

const [, , options, name, marksJson, accountsJson] = process.argv;
const marks = JSON.parse(marksJson).map((mark) => `${mark}/${name}`);
const accounts = JSON.parse(accountsJson);
const deadlineMs = 15_000;

const net = new Net(JSON.parse(options));
await net.start();
for (;;) await moveOnce();

async function moveOnce() {
  let number;
  const pick = () => accounts[Math.floor(Math.random() * accounts.length)];
  const [from, to] = [pick(), pick()];
  try {
    await net.transaction(
      async (tx) => {
        const before = await Promise.all(marks.map((mark) => tx.get(mark)));
        if (new Set(before).size > 1) throw new Error(`torn: ${before}`);
        number = (before[0] ?? 0) + 1;
        process.send({ begun: number });
        for (const mark of marks) tx.set(mark, number);
        if (from === to) return;
        const [payer, payee] = await Promise.all([tx.get(from), tx.get(to)]);
        tx.set(from, payer - 1);
        tx.set(to, payee + 1);
      },
      { deadlineMs },
    );
    process.send({ committed: number });
  } catch (error) {
    if (error.code === 'PAIPAI_ERR_OUTCOME_UNKNOWN') {
      process.send({ [await outcomeOf(error.transactionId)]: number, wasUnknown: true });
    } else if (error.code === undefined) {
      process.send({ wrong: String(error.stack) });
    } else {
      process.send({ aborted: number ?? null, code: error.code });
      await sleep(20);
    }
  }
}

async function outcomeOf(id) {
  for (;;) {
    const outcome = await net.outcomeOf(id, { deadlineMs }).catch(() => 'unknown');
    if (outcome !== 'unknown') return outcome;
    await sleep(50);
  }
}
