/** The case `stream`: `send`, and `drained` when it says that too much waits; they are taken on the fast surface. */
import { connect, listen } from 'paipainet/transport';
import { fillContent, messageBytesOf, Tally } from '../../support/content.js';
import { takingServer } from '../../support/exchange.js';
import { play } from '../../support/program.js';
import { PacedSender, streamClient } from '../../support/stream.js';
import { addressFor, engineOf, pathOf } from './settings.js';

await play({
  async server(settings) {
    const payloadBytes = messageBytesOf(settings['message-bytes']);
    const taken = new Tally();
    const listener = await listen(addressFor(settings), {
      engine: engineOf(settings),
      path: pathOf(settings),
      fast: {
        topics: {
          data(batch) {
            const { bytes, length } = batch;
            for (let i = 0; i < length; i++) {
              const expected = taken.count >>> 0;
              const number = taken.addRange(bytes, batch.start(i), batch.end(i), payloadBytes);
              if (number !== expected) throw new Error(`message ${number} came out of order`);
            }
          },
        },
      },
      // Messages and requests are in order, so all that was sent before it has come.
      methods: {
        confirm: () => Buffer.from(String(taken.count >>> 0)),
      },
    });
    return takingServer(listener.address, taken, () => listener.close());
  },

  async client(settings, address) {
    const payloadBytes = messageBytesOf(settings['message-bytes']);
    const peer = await connect(address, { engine: engineOf(settings), path: pathOf(settings) });
    // One for all messages: the payload is copied in the call.
    const words = new Int32Array(payloadBytes / 4);
    const payload = new Uint8Array(words.buffer);
    const sender = new PacedSender({
      send(number) {
        fillContent(words, 0, words.length, number);
        return peer.send('data', payload);
      },
      drained: () => peer.drained(),
      confirm: async () => Number(Buffer.from(await peer.request('confirm')).toString()),
      close: () => peer.close(),
    });
    return streamClient(settings, sender);
  },
});
