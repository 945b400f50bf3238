// One server of the soak: echoes requests and streams, is slow, never answers. Tells its parent where it listens, and what it holds
// when asked.
//
//   node --expose-gc server.mjs ENGINE ADDRESS

import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { listen } from 'paipainet/transport';
import { processFacts } from './facts.mjs';

const [engine, address] = process.argv.slice(2);

// Whoever was killed here before left its socket behind.
if (address.startsWith('unix://')) rmSync(address.slice('unix://'.length), { force: true });

const listener = await listen(address, {
  engine,
  heartbeat: { intervalMs: 200, timeoutMs: 1_000 },
  methods: {
    echo: (payload) => payload,
    slow: (payload, { signal }) => {
      const ms = new DataView(payload.buffer, payload.byteOffset).getUint16(0);
      return setTimeout(ms, payload, { signal });
    },
    // Until nobody waits any more: a handler that never settles is in flight for as long as its connection.
    never: (_payload, { signal }) => once(signal, 'abort'),
  },
  onMessage: () => {},
  onStream: async (stream) => {
    for await (const chunk of stream) await stream.write(chunk);
    stream.end();
  },
});
process.on('message', () => process.send({ facts: processFacts() }));
process.on('disconnect', () => process.exit());
process.send({ address: listener.address });
