/** The case `bulk` over a library that carries whole messages but no checksums: each has its own in front. */
import { BulkReceiver, BulkSender } from './bulk.js';
import { checksum } from './checksum.js';
import type { Messaging } from './messaging.js';
import type { Program } from './program.js';

const headerBytes = 4;

/** A message without content asks the receiver to say how many bytes have come. */
export function bulkOver({ listen, connect }: Messaging): Program {
  return {
    async server(settings) {
      const receiver = new BulkReceiver(settings);
      const { address, close } = await listen(settings, (message, from) => {
        if (message.length > 0) {
          const payload = message.subarray(headerBytes);
          if (checksum(payload) !== message.readUInt32LE()) throw new Error('another checksum');
          receiver.take(payload);
          return;
        }
        const confirmation = Buffer.alloc(8);
        confirmation.writeDoubleLE(receiver.storedBytes);
        from.send(confirmation);
      });
      return receiver.role(address, close);
    },

    async client(settings, address) {
      const sender = new BulkSender(settings, headerBytes);
      let onConfirmed: (bytes: number) => void = () => {};
      const onMessage = (message: Buffer): void => onConfirmed(message.readDoubleLE());
      const link = await connect(settings, address, onMessage, false);
      return sender.role({
        async sendAll(messages) {
          for (const message of messages) {
            // One that was sent before may be on its way still: it has the same checksum.
            message.writeUInt32LE(checksum(message.subarray(headerBytes)));
            if (!link.send(message)) await link.drained();
          }
          const confirmed = new Promise<number>((resolve) => {
            onConfirmed = resolve;
          });
          link.send(Buffer.alloc(0));
          return confirmed;
        },
        close: () => link.close(),
      });
    },
  };
}
