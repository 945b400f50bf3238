// Stands for election again and again, and tells its parent of each term: fork('candidate.mjs', [NET_OPTIONS, TTL_MS]).

import { Net } from '../../dist/index.js';

const [, , options, ttlMs] = process.argv;
const net = new Net(JSON.parse(options));
await net.start();
const leadership = await net.coordinator.elect('chief', { ttlMs: Number(ttlMs) });
process.send({ term: leadership.term });
setInterval(() => {}, 60_000);
