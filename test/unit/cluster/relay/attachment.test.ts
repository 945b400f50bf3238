import { expect, onTestFinished, test } from 'vitest';
import { Attachment } from '../../../../dist/cluster/relay/attachment.js';
import { listenPeers } from '../../../../dist/session/listen.js';
import { MemoryNetwork } from '../../../../dist/transport/memory-network.js';
import { testEnv } from '../../../support/test-env.js';

test('closes at whichever moment', async () => {
  for (let steps = 0; steps < 12; steps++) {
    let left = Infinity;
    let closing: Promise<void> | undefined;
    // Whatever the callback settles has not been continued when the node is closed.
    const memory = new MemoryNetwork((callback) => {
      setImmediate(() => {
        callback();
        if (left-- === 0) closing = attachment.close();
      });
    });
    const env = testEnv(memory);
    const hub = await listenPeers(env, 'tcp://127.0.0.1:0', {
      nodeId: 'hub',
      service: { onRequest: () => new Uint8Array(0) },
    });
    onTestFinished(() => hub.close(0));
    const attachment = new Attachment(
      env,
      hub.address,
      { nodeId: 'far' },
      { weight: 1, instanceId: 1, coordinates: false },
    );
    left = steps;
    await attachment.start();
    await (closing ?? attachment.close());
    await expect.poll(() => hub.peers.size).toBe(0);
  }
});
