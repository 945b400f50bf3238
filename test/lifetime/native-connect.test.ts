import { expect, it } from 'vitest';
import { parseAddress } from '../../dist/transport/address.js';
import { FrameType } from '../../dist/wire/frame.js';
import { nativeNetwork, nativePair, receiver, turnsUntil, unixAddress } from './native-pair.js';

const network = nativeNetwork();

it('leaves no connection behind when an abort meets its success', async () => {
  const address = unixAddress();
  let openCount = 0;
  let acceptedCount = 0;
  const listener = await network.listen(address, (channel) => {
    openCount++;
    acceptedCount++;
    channel.receiver = receiver({ onClose: () => openCount-- });
  });
  const [client, server] = await nativePair(network);
  let controller = new AbortController();
  server.receiver = receiver({ onFrame: () => controller.abort() });
  for (let round = 0; round < 50; round++) {
    controller = new AbortController();
    const connecting = network.connect(address, { signal: controller.signal });
    connecting.catch(() => {});
    // The connection begins a few microtasks later; then frame and connection are ready in one turn.
    for (let i = 0; i < round % 12; i++) await Promise.resolve();
    client.send(FrameType.message, 0, 1, 0, 0);
    client.flush();
    try {
      (await connecting).destroy();
    } catch (thrown) {
      expect(thrown).toMatchObject({ code: 'PAIPAI_ERR_ABORTED' });
    }
  }
  await turnsUntil(() => openCount === 0);
  expect(acceptedCount).toBeGreaterThan(0);
  await listener.close();
});

it('tries the next address of a name when one is refused', async () => {
  const listener = await network.listen(parseAddress('tcp://127.0.0.1:0'), (channel) => {
    channel.receiver = receiver();
  });
  if (listener.address.scheme !== 'tcp') throw new Error('not a TCP listener');
  const channel = await network.connect(parseAddress(`tcp://localhost:${listener.address.port}`));
  channel.destroy();
  await listener.close();
});

it('fails with what the system says, also when it says it at once', async () => {
  const nobody = unixAddress();
  await expect(network.connect(nobody)).rejects.toMatchObject({
    code: 'ENOENT',
    syscall: 'connect',
  });
  const listener = await network.listen(parseAddress('tcp://127.0.0.1:0'), () => {});
  const { address } = listener;
  await listener.close();
  await expect(network.connect(address)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});
