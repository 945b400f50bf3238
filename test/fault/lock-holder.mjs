// Holds a lock until it is ended: node lock-holder.mjs ADDRESS NAME TTL_MS. A line when it has it, with the token, and one when that is over.

import { Net } from '../../dist/index.js';

const [, , join, name, ttlMs] = process.argv;
const net = new Net({ join: [join] });
await net.start();
const lock = await net.coordinator.lock(name, { ttlMs: Number(ttlMs) });
lock.signal.addEventListener('abort', () => {
  process.stdout.write(`over ${lock.signal.reason.code} ${lock.isHeld}\n`);
});
// What a holder does that has not looked whether it still is one.
process.on('SIGUSR2', () => process.stdout.write(`asked ${lock.isHeld}\n`));
// All of that is in place when somebody hears of it.
process.stdout.write(`held ${lock.token}\n`);
setInterval(() => {}, 60_000);
