/** The case `stream`: `sendMany`, or `send` as the setting `surface` has it, and `drained` when it says that too much waits; they are taken on the fast surface. */
import { connect, listen } from 'paipainet/transport';
import { fillContent, messageBytesOf, Tally } from '../../support/content.js';
import { takingServer } from '../../support/exchange.js';
import { play } from '../../support/program.js';
import { PacedSender, streamClient } from '../../support/stream.js';
import { addressFor, engineOf, isFast, pathOf } from './settings.js';

const batchBytes = 64 * 1024;

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
    const room = isFast(settings) ? Math.max(1, Math.floor(batchBytes / payloadBytes)) : 1;
    // One for all messages: they are copied in the call.
    const words = new Int32Array((room * payloadBytes) / 4);
    const payloads = new Uint8Array(words.buffer);
    const sender = new PacedSender(room, {
      send(first, count) {
        const payloadWords = payloadBytes / 4;
        for (let i = 0; i < count; i++) {
          fillContent(words, i * payloadWords, (i + 1) * payloadWords, first + i);
        }
        return isFast(settings)
          ? peer.fast.sendMany('data', payloads, payloadBytes)
          : peer.send('data', payloads);
      },
      drained: () => peer.drained(),
      confirm: async () => Number(Buffer.from(await peer.request('confirm')).toString()),
      close: () => peer.close(),
    });
    return streamClient(settings, sender);
  },
});
