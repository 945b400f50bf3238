import { once } from 'node:events';
import { expect, test } from 'vitest';
import { deferred } from '../../../../dist/base/deferred.js';
import type { SessionPeer } from '../../../../dist/session/peer.js';
import { StreamSocket } from '../../../../dist/session/relay/stream-socket.js';
import type { Peer, PeerStream } from '../../../../dist/session/types.js';
import { PortableNetwork } from '../../../../dist/transport/portable-network.js';
import { bytes, sessionPair, text } from '../../../support/session-pair.js';

const mebi = 1024 * 1024;

/** Settles when nothing leaves any more. */
async function standstill(peer: Peer): Promise<void> {
  for (let turns = 0, before = -1; turns < 1_000; turns++) {
    const { bytesSent } = peer.stats();
    if (bytesSent !== before) turns = 0;
    before = bytesSent;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a socket is closed when the connection holds none of its bytes any more', async () => {
  const network = new PortableNetwork();
  const arrived = deferred<PeerStream>();
  const { near, far } = await sessionPair({
    networks: { listen: network, connect: network, address: 'tcp://127.0.0.1:0' },
    service: { onRequest: ({ payload }) => payload, onStream: (one) => arrived.resolve(one) },
    far: { streamWindowBytes: 64 * mebi },
  });
  const socket = new StreamSocket(near.openStream('accept'));
  (await arrived.promise)[Symbol.asyncIterator]();
  // The credit for it is here before the answer.
  await near.request('echo');
  const { channel } = far as unknown as SessionPeer;
  channel.pause();
  const content = new Uint8Array(64 * mebi).fill(1);
  socket.write(content);
  await standstill(near);
  socket.destroy();
  const closed = once(socket, 'close').then(() => content.fill(2));
  channel.resume();
  await closed;
  // What was under way came as it had been checked.
  expect(text(await near.request('echo', bytes('whole')))).toBe('whole');
  expect(near.state).toBe('open');
});
