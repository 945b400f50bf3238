/** The case `bulk`: `send`, and `drained` when it says that too much waits; each frame has its checksum from the engine. */
import { connect, listen } from 'paipainet/transport';
import { BulkReceiver, BulkSender } from '../../support/bulk.js';
import { play } from '../../support/program.js';
import { addressFor, engineOf } from './settings.js';

await play({
  async server(settings) {
    const receiver = new BulkReceiver(settings);
    const listener = await listen(addressFor(settings), {
      engine: engineOf(settings),
      topics: { data: (payload) => receiver.take(payload) },
      // Messages and requests are in order, so all that was sent before it has come.
      methods: { confirm: () => Buffer.from(String(receiver.storedBytes)) },
    });
    return receiver.role(listener.address, () => listener.close());
  },

  async client(settings, address) {
    const sender = new BulkSender(settings);
    const peer = await connect(address, { engine: engineOf(settings) });
    return sender.role({
      async sendAll(messages) {
        for (const message of messages) {
          if (!peer.send('data', message)) await peer.drained();
        }
        return Number(Buffer.from(await peer.request('confirm')).toString());
      },
      close: () => peer.close(),
    });
  },
});
