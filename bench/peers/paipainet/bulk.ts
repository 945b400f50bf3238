/**
 * The case `bulk`: messages by reference, and `drained` when it says that too much waits; each frame has its checksum from the engine. The
 * last ones are leased, so that the memory of older ones takes the next; with the setting `surface: promises` they are copied and kept.
 */
import { connect, type Lease, listen } from 'paipainet/transport';
import { BulkReceiver, BulkSender } from '../../support/bulk.js';
import { play } from '../../support/program.js';
import { addressFor, engineOf, isFast, pathOf } from './settings.js';

await play({
  async server(settings) {
    const receiver = new BulkReceiver(settings);
    const leases = new Map<Uint8Array, Lease>();
    const listener = await listen(addressFor(settings), {
      engine: engineOf(settings),
      path: pathOf(settings),
      fast: {
        topics: {
          fastData(batch) {
            for (let i = 0; i < batch.length; i++) {
              const lease = batch.lease(i);
              const replaced = receiver.take(lease.bytes);
              leases.set(lease.bytes, lease);
              if (replaced === undefined) continue;
              leases.get(replaced)?.release();
              leases.delete(replaced);
            }
          },
        },
      },
      topics: { data: (payload) => void receiver.take(payload) },
      // Messages and requests are in order, so all that was sent before it has come.
      methods: { confirm: () => Buffer.from(String(receiver.storedBytes)) },
    });
    return receiver.role(listener.address, () => listener.close());
  },

  async client(settings, address) {
    const sender = new BulkSender(settings);
    const peer = await connect(address, { engine: engineOf(settings), path: pathOf(settings) });
    // The messages stay as they are until the end.
    const onSent = (error: Error | null): void => {
      if (error !== null) throw error;
    };
    const send = isFast(settings)
      ? (message: Uint8Array) => peer.fast.send('fastData', message, onSent)
      : (message: Uint8Array) => peer.send('data', message);
    return sender.role({
      async sendAll(messages) {
        for (const message of messages) {
          if (!send(message)) await peer.drained();
        }
        return Number(Buffer.from(await peer.request('confirm')).toString());
      },
      close: () => peer.close(),
    });
  },
});
