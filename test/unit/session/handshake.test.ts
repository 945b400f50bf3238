import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { codeNumbers } from '../../../dist/base/codes.js';
import { connectPeer } from '../../../dist/session/connect.js';
import { listenPeers } from '../../../dist/session/listen.js';
import type { ListenOptions, Peer, PeerListener } from '../../../dist/session/types.js';
import { parseAddress } from '../../../dist/transport/address.js';
import type { FrameChannel } from '../../../dist/transport/frame-channel.js';
import { MemoryNetwork } from '../../../dist/transport/memory-network.js';
import { FrameType, frameHeaderBytes } from '../../../dist/wire/frame.js';
import { encodeHello, helloFeature } from '../../../dist/wire/hello.js';
import { RawPeer } from '../../support/raw-peer.js';
import { codeOf, sessionPair, text } from '../../support/session-pair.js';
import { testEnv } from '../../support/test-env.js';

const address = 'tcp://127.0.0.1:7100';
const [a, b] = ['a'.repeat(16), 'b'.repeat(16)];

interface Setup {
  network: MemoryNetwork;
  listener: PeerListener;
  connect(options?: object): Promise<Peer>;
}

async function listening(options: Partial<ListenOptions> = {}): Promise<Setup> {
  const network = new MemoryNetwork();
  const env = testEnv(network);
  const listener = await listenPeers(env, address, { nodeId: 'far', ...options });
  return {
    network,
    listener,
    connect: (more = {}) => connectPeer(env, address, { nodeId: 'near', ...more }),
  };
}

/** Listens with a raw peer, which the test lets misbehave. */
async function rawListening(): Promise<{ network: MemoryNetwork; arrival: Promise<RawPeer> }> {
  const network = new MemoryNetwork();
  const arrival = new Promise<FrameChannel>((resolve) => {
    void network.listen(parseAddress(address), (channel) => {
      channel.receiver = null;
      resolve(channel);
    });
  });
  return { network, arrival: arrival.then((channel) => new RawPeer(channel)) };
}

describe('handshake', () => {
  test('two peers of one net agree and know each other', async () => {
    const { near, far, listener } = await sessionPair();
    expect([near.remoteNodeId, far.remoteNodeId]).toEqual(['far', 'near']);
    expect([near.state, far.state]).toEqual(['open', 'open']);
    expect(listener.peers.size).toBe(1);
    expect(near.path).toBe('memory');
  });

  test('a shared secret, as text or as its bytes, lets them in', async () => {
    const { near } = await sessionPair({
      near: { secret: 'open sesame, please', netName: 'cave' },
      far: { secret: new TextEncoder().encode('open sesame, please'), netName: 'cave' },
    });
    expect(near.state).toBe('open');
  });

  test.each([
    ['another secret', { secret: a }, { secret: b }, 'PAIPAI_ERR_SECRET'],
    ['no secret where one is asked', {}, { secret: b }, 'PAIPAI_ERR_SECRET'],
    ['a secret where none is', { secret: a }, {}, 'PAIPAI_ERR_SECRET'],
    ['another net', { netName: 'one' }, { netName: 'two' }, 'PAIPAI_ERR_NET_NAME'],
  ])('%s: refused with a code of its own', async (_, near, far, code) => {
    const { connect, listener } = await listening(far);
    expect(await codeOf(connect(near))).toBe(code);
    expect(listener.peers.size).toBe(0);
    await listener.close();
  });

  test('the listening side says why by GOODBYE', async () => {
    const { network, listener } = await listening({ netName: 'mine' });
    const raw = await RawPeer.connect(network, address);
    raw.hello({ netName: 'yours' });
    const goodbye = await raw.next(FrameType.goodbye);
    expect(goodbye.argument).toBe(codeNumbers.PAIPAI_ERR_NET_NAME);
    expect(text(goodbye.payload)).toContain("'yours'");
    expect(await raw.closed).toBeNull();
    await listener.close();
  });

  test.each([
    ['connects', true],
    ['listens', false],
  ])('a peer of another version that %s', async (_, connects) => {
    const versions = { versionMin: 2, versionMax: 9 };
    if (connects) {
      const { network, listener } = await listening();
      const raw = await RawPeer.connect(network, address);
      raw.hello(versions);
      const { argument } = await raw.next(FrameType.goodbye);
      expect(argument).toBe(codeNumbers.PAIPAI_ERR_VERSION_MISMATCH);
      await listener.close();
      return;
    }
    const { network, arrival } = await rawListening();
    const connecting = codeOf(connectPeer(testEnv(network), address, { nodeId: 'near' }));
    (await arrival).hello(versions);
    expect(await connecting).toBe('PAIPAI_ERR_VERSION_MISMATCH');
  });

  test('a peer whose versions reach ours is taken', async () => {
    const { network, listener } = await listening();
    const raw = await RawPeer.connect(network, address);
    raw.hello({ versionMax: 7 });
    await raw.next(FrameType.ready);
    await listener.close();
  });

  test('a refusal by the other side arrives with its code', async () => {
    const { network, arrival } = await rawListening();
    const connecting = codeOf(connectPeer(testEnv(network), address, { nodeId: 'near' }));
    (await arrival).send(FrameType.goodbye, { argument: codeNumbers.PAIPAI_ERR_SECRET });
    expect(await connecting).toBe('PAIPAI_ERR_SECRET');
  });

  test('a peer that hangs up in the middle', async () => {
    const { network, arrival } = await rawListening();
    const connecting = codeOf(connectPeer(testEnv(network), address, { nodeId: 'near' }));
    const raw = await arrival;
    await raw.next(FrameType.hello);
    raw.channel.destroy();
    expect(await connecting).toBe('PAIPAI_ERR_PEER_CLOSED');
  });

  test('a silent peer is given up after the timeout, on both sides', async () => {
    const { network, arrival } = await rawListening();
    const options = { nodeId: 'near', handshakeTimeoutMs: 20 };
    const connecting = codeOf(connectPeer(testEnv(network), address, options));
    await arrival;
    expect(await connecting).toBe('PAIPAI_ERR_HANDSHAKE_TIMEOUT');

    const { network: other, listener } = await listening({ handshakeTimeoutMs: 20 });
    const raw = await RawPeer.connect(other, address);
    const { argument } = await raw.next(FrameType.goodbye);
    expect(argument).toBe(codeNumbers.PAIPAI_ERR_HANDSHAKE_TIMEOUT);
    await raw.closed;
    await listener.close();
  });

  test.each([
    ['a request', FrameType.request, { streamId: 1 }],
    ['a name', FrameType.name, { name: 1, payload: new Uint8Array(1) }],
    ['ready before hello', FrameType.ready, {}],
    ['a proof nobody asked for', FrameType.auth, { payload: new Uint8Array(32) }],
    ['a malformed hello', FrameType.hello, { payload: new Uint8Array(50) }],
    ['flags', FrameType.hello, { flags: 1 }],
  ])('%s in the handshake breaks the rules', async (_, type, fields) => {
    const { network, listener } = await listening();
    const raw = await RawPeer.connect(network, address);
    raw.send(type, fields);
    const { argument } = await raw.next(FrameType.goodbye);
    expect(argument).toBe(codeNumbers.PAIPAI_ERR_PROTOCOL);
    await raw.closed;
    await listener.close();
  });

  test('a proof that is copied from the side that connects is refused', async () => {
    const { network, arrival } = await rawListening();
    const connecting = codeOf(
      connectPeer(testEnv(network), address, { nodeId: 'near', secret: a }),
    );
    const raw = await arrival;
    const { payload: hello } = await raw.next(FrameType.hello);
    raw.send(FrameType.hello, { payload: hello });
    const { payload: proof } = await raw.next(FrameType.auth);
    raw.send(FrameType.auth, { payload: proof });
    expect(await connecting).toBe('PAIPAI_ERR_SECRET');
  });

  test.each([
    ['says nothing more', undefined],
    ['guesses', new Uint8Array(32)],
  ])('the listening side proves nothing to a stranger who %s', async (_, proof) => {
    const { network, listener } = await listening({ secret: a, handshakeTimeoutMs: 50 });
    const raw = await RawPeer.connect(network, address);
    raw.hello({ features: helloFeature.secret });
    if (proof !== undefined) raw.send(FrameType.auth, { payload: proof });
    await raw.closed;
    expect(raw.frames.map(({ type, argument }) => [type, argument])).toEqual([
      [FrameType.hello, 0],
      [
        FrameType.goodbye,
        codeNumbers[proof === undefined ? 'PAIPAI_ERR_HANDSHAKE_TIMEOUT' : 'PAIPAI_ERR_SECRET'],
      ],
    ]);
    await listener.close();
  });

  test('the listening side proves itself to who has proved the secret', async () => {
    const { network, listener } = await listening({ secret: a });
    const raw = await RawPeer.connect(network, address);
    const { payload: theirs } = await raw.next(FrameType.hello);
    const ours = encodeHello({
      versionMin: 1,
      versionMax: 1,
      features: helloFeature.secret,
      nonce: new Uint8Array(32),
      netName: 'default',
      nodeId: 'raw',
    });
    const proofOf = (role: string, own: Uint8Array, other: Uint8Array): Buffer =>
      createHmac('sha256', a).update(role).update(own).update(other).digest();
    raw.send(FrameType.hello, { payload: ours });
    raw.send(FrameType.auth, { payload: proofOf('connect', ours, theirs) });
    const { payload: proof } = await raw.next(FrameType.auth);
    expect(Buffer.from(proof)).toEqual(proofOf('listen', theirs, ours));
    await raw.next(FrameType.ready);
    await listener.close(0);
  });

  test('what the caller throws on being told of the peer is what connecting fails with', async () => {
    const { network, listener } = await listening();
    const thrown = new Error('of the caller');
    const seen: Peer[] = [];
    const connecting = connectPeer(testEnv(network), address, { nodeId: 'near' }, (peer) => {
      seen.push(peer);
      throw thrown;
    });
    await expect(connecting).rejects.toBe(thrown);
    expect(seen[0]?.state).toBe('closed');
    await listener.close();
  });

  test.each([
    ['4,096 bytes are heard', 4096],
    ['one more is too much', 4097],
  ])('before READY %s', async (_, totalBytes) => {
    const { network, listener } = await listening();
    const raw = await RawPeer.connect(network, address);
    const helloBytes = 44 + 'default'.length + 'raw'.length;
    raw.hello();
    // A goodbye is heard without an answer, unless it is the frame too much.
    raw.send(FrameType.goodbye, {
      argument: codeNumbers.PAIPAI_ERR_ABORTED,
      payload: new Uint8Array(totalBytes - helloBytes - 2 * frameHeaderBytes),
    });
    await raw.closed;
    const goodbyes = raw.frames.filter(({ type }) => type === FrameType.goodbye);
    expect(goodbyes.map(({ argument }) => argument)).toEqual(
      totalBytes > 4096 ? [codeNumbers.PAIPAI_ERR_PROTOCOL] : [],
    );
    await listener.close();
  });

  test('frames right behind READY belong to the session', async () => {
    const { network, listener } = await listening({ service: { onRequest: (r) => r.payload } });
    const raw = await RawPeer.connect(network, address);
    raw.hello();
    raw.send(FrameType.ready);
    raw.send(FrameType.name, { name: 1, payload: new TextEncoder().encode('echo') });
    raw.send(FrameType.request, { name: 1, streamId: 1, payload: new Uint8Array([9]) });
    expect((await raw.next(FrameType.response)).payload).toEqual(new Uint8Array([9]));
    await listener.close();
  });

  test('more unfinished handshakes than allowed are closed at once', async () => {
    const { network, listener } = await listening({ handshakesMax: 2 });
    const kept = [await RawPeer.connect(network, address), await RawPeer.connect(network, address)];
    const third = await RawPeer.connect(network, address);
    await third.closed;
    expect(third.frames).toEqual([]);
    kept[0]?.hello();
    kept[0]?.send(FrameType.ready);
    await kept[0]?.next(FrameType.ready);
    const fourth = await RawPeer.connect(network, address);
    await fourth.next(FrameType.hello);
    await listener.close(0);
  });

  test('aborting breaks it off', async () => {
    const { network, arrival } = await rawListening();
    const controller = new AbortController();
    const options = { nodeId: 'near', signal: controller.signal };
    const connecting = codeOf(connectPeer(testEnv(network), address, options));
    await (await arrival).next(FrameType.hello);
    controller.abort();
    expect(await connecting).toBe('PAIPAI_ERR_ABORTED');
  });

  test('closing the listener ends handshakes under way', async () => {
    const { network, listener } = await listening();
    const raw = await RawPeer.connect(network, address);
    await raw.next(FrameType.hello);
    await listener.close();
    await raw.closed;
  });
});

describe('what connect and listen ask for', () => {
  test('beyond this machine a secret is needed, and the error says how to mend it', async () => {
    const env = testEnv(new MemoryNetwork());
    const listening = listenPeers(env, 'tcp://0.0.0.0:0', { nodeId: 'a' });
    await expect(listening).rejects.toMatchObject({
      code: 'PAIPAI_ERR_INSECURE_ADDRESS',
      message: expect.stringContaining("'secret'"),
    });
    const listener = await listenPeers(env, 'tcp://0.0.0.0:0', { nodeId: 'a', secret: a });
    await listener.close();
  });

  test.each([
    ['no node id', {}],
    ['an empty node id', { nodeId: '' }],
    ['a node id of 256 bytes', { nodeId: 'x'.repeat(256) }],
    ['an empty net name', { nodeId: 'a', netName: '' }],
    ['an empty secret', { nodeId: 'a', secret: '' }],
    ['a secret of 15 bytes', { nodeId: 'a', secret: new Uint8Array(15) }],
    ['a secret that is a number', { nodeId: 'a', secret: 7 }],
    ['a deadline of 0', { nodeId: 'a', deadlineMs: 0 }],
    ['a window below 64 KiB', { nodeId: 'a', streamWindowBytes: 64 * 1024 - 1 }],
    ['a service that is a function', { nodeId: 'a', service: () => {} }],
    ['too few bytes in flight', { nodeId: 'a', inFlightBytesMax: 1024 * 1024 - 1 }],
    ['no handshakes', { nodeId: 'a', handshakesMax: 0 }],
  ])('%s is an invalid argument', async (_, options) => {
    const env = testEnv(new MemoryNetwork());
    // The wrong types are the point.
    expect(await codeOf(listenPeers(env, address, options as never))).toBe(
      'PAIPAI_ERR_INVALID_ARGUMENT',
    );
  });

  test('ids of 255 bytes are fine', async () => {
    const nodeId = `${'é'.repeat(127)}x`;
    const { near } = await sessionPair({
      far: { nodeId, netName: 'n'.repeat(255) },
      near: { netName: 'n'.repeat(255) },
    });
    expect(near.remoteNodeId).toBe(nodeId);
  });

  test('a malformed address, and one where nobody listens', async () => {
    const env = testEnv(new MemoryNetwork());
    expect(await codeOf(connectPeer(env, 'http://x', { nodeId: 'a' }))).toBe(
      'PAIPAI_ERR_INVALID_ADDRESS',
    );
    await expect(connectPeer(env, address, { nodeId: 'a' })).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
  });
});
