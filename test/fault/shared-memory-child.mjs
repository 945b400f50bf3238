// Programs for shared-memory.test.ts: `node shared-memory-child.mjs SCENARIO [ARGUMENT]`. What is printed is the answer.

import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, listen } from '../../dist/api/transport.js';

const scenarios = {
  /** Serves until it is killed; prints where. */
  async serve() {
    const opened = [];
    const listener = await listen('tcp://127.0.0.1:0', {
      methods: {
        echo: (payload) => payload,
        /** Opens one more socket, which libuv takes into its set when it next waits. */
        openSocket() {
          const server = createServer();
          server.listen(join(tmpdir(), `paipainet-${process.pid}-${opened.length}.sock`));
          opened.push(server);
        },
        closeSockets() {
          for (const server of opened) server.close();
        },
        /** Neither reads nor does anything else from here on. */
        stall: () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
      },
    });
    console.log(listener.address);
  },

  /** Connects, asks once, and prints by which path. */
  async ask(address) {
    const peer = await connect(address);
    const answer = await peer.request('echo', Buffer.from('hello'), { deadlineMs: 10_000 });
    console.log(JSON.stringify({ path: peer.path, answer: Buffer.from(answer).toString() }));
    await peer.close();
  },
};

const [scenario, argument] = process.argv.slice(2);
await scenarios[scenario](argument);
