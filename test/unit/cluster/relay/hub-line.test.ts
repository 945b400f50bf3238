import { expect, onTestFinished, test } from 'vitest';
import { HubLine } from '../../../../dist/cluster/relay/hub-line.js';
import { listenPeers } from '../../../../dist/session/listen.js';
import { StreamNetwork } from '../../../../dist/session/relay/stream-network.js';
import type { PeerListener, PeerService } from '../../../../dist/session/types.js';
import { parseAddress } from '../../../../dist/transport/address.js';
import type { Network } from '../../../../dist/transport/frame-channel.js';
import { MemoryNetwork } from '../../../../dist/transport/memory-network.js';
import { codeOf } from '../../../support/session-pair.js';
import { testEnv } from '../../../support/test-env.js';

async function listen(
  network: Network,
  nodeId: string,
  service: PeerService = {},
): Promise<PeerListener> {
  const listener = await listenPeers(testEnv(network), 'tcp://127.0.0.1:0', { nodeId, service });
  onTestFinished(() => listener.close(0));
  return listener;
}

function lineTo(network: Network, address: string): HubLine {
  const line = new HubLine(testEnv(network), [address], { nodeId: 'client' });
  onTestFinished(() => line.close());
  return line;
}

test('a session is with the node that was asked for, or fails', async () => {
  const memory = new MemoryNetwork();
  const b = await listen(memory, 'b');
  const streams = new StreamNetwork();
  // This one passes on to b whoever is asked for.
  const hub = await listen(memory, 'hub', { onStream: (stream) => streams.accept(stream, b) });
  const line = lineTo(memory, hub.address);
  expect((await line.connect('b', { nodeId: 'client' })).remoteNodeId).toBe('b');
  expect(await codeOf(line.connect('c', { nodeId: 'client' }))).toBe('PAIPAI_ERR_UNKNOWN_NODE');
  expect((await line.connect('hub', { nodeId: 'client' })).remoteNodeId).toBe('hub');
});

test('another node at the address of the hub is not taken for it', async () => {
  const memory = new MemoryNetwork();
  const addresses = [await listen(memory, 'hub'), await listen(memory, 'other')].map(
    ({ address }) => parseAddress(address),
  );
  let count = 0;
  const network: Network = {
    engine: memory.engine,
    connect: (address, options) => memory.connect(addresses[count++] ?? address, options),
    listen: (...call) => memory.listen(...call),
  };
  const line = lineTo(network, 'tcp://127.0.0.1:1');
  const options = { nodeId: 'client' };
  // Which of them it is shows only with the first session.
  expect(await codeOf(line.connect('hub', options))).toBe('PAIPAI_ERR_UNKNOWN_NODE');
});

test('whoever waits for the hub can leave, and others go on', async () => {
  const memory = new MemoryNetwork();
  const hub = await listen(memory, 'hub');
  const line = lineTo(memory, hub.address);
  const stop = new AbortController();
  const left = line.connect('hub', { nodeId: 'client', signal: stop.signal });
  const stayed = line.connect('hub', { nodeId: 'client' });
  stop.abort();
  expect(await codeOf(left)).toBe('PAIPAI_ERR_ABORTED');
  expect((await stayed).remoteNodeId).toBe('hub');
});
