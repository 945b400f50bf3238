// A process that uses up its descriptors, but for as many as its parent says. As server it echoes; as client it connects, asks once, closes.
//
//   node test/fault/few-descriptors.mjs ENGINE [ADDRESS]        with an IPC channel

import { closeSync, openSync } from 'node:fs';
import { connect, listen } from 'paipainet/transport';

const [engine, address] = process.argv.slice(2);
const methods = { echo: (payload) => payload };
const taken = [];

function spareExactly(count) {
  for (const fd of taken.splice(0)) closeSync(fd);
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch (error) {
    if (error.code !== 'EMFILE') throw error;
  }
  for (const fd of taken.splice(0, count)) closeSync(fd);
}

/** The path that carried a request and its answer, or the code of what failed. */
async function outcome() {
  let peer;
  try {
    peer = await connect(address, { engine });
    // Another turn: what the handshake needed for a moment is given back.
    await peer.request('echo');
    const { path } = peer;
    await peer.close();
    return path;
  } catch (error) {
    return error.code;
  } finally {
    peer?.destroy();
  }
}

if (address === undefined) {
  const listener = await listen('tcp://127.0.0.1:0', {
    engine,
    methods,
    handshakeTimeoutMs: 60_000,
  });
  process.on('message', (count) => {
    spareExactly(count);
    process.send('spared');
  });
  process.send(listener.address);
} else {
  // What the first use opens for good.
  await outcome();
  process.on('message', async (count) => {
    spareExactly(count);
    process.send(await outcome());
  });
  process.send('ready');
}
process.on('disconnect', () => process.exit());
