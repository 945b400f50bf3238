import { createHmac } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import { codeNumbers } from '../../../dist/base/codes.js';
import { connectPeer } from '../../../dist/session/connect.js';
import { listenPeers } from '../../../dist/session/listen.js';
import type { ListenOptions, Peer, PeerListener } from '../../../dist/session/types.js';
import { formatAddress, parseAddress } from '../../../dist/transport/address.js';
import type { FrameChannel, SharedMemory } from '../../../dist/transport/frame-channel.js';
import { hostIdOf } from '../../../dist/transport/host-id.js';
import { FrameType } from '../../../dist/wire/frame.js';
import { encodeHello, type Hello, helloFeature } from '../../../dist/wire/hello.js';
import { engines, pinned } from '../../support/native-networks.js';
import { RawPeer } from '../../support/raw-peer.js';
import { codeOf, event } from '../../support/session-pair.js';
import { testEnv } from '../../support/test-env.js';

const { network } = engines.native;
const anywhere = 'tcp://127.0.0.1:0';
const [made, entered, refused] = [0, 1, 2];
const nameBytes = 16;

const rawHello: Hello = {
  versionMin: 1,
  versionMax: 1,
  features: helloFeature.sharedMemory,
  nonce: new Uint8Array(32).fill(7),
  netName: 'default',
  nodeId: 'raw',
};

function digestOf(role: 'connect' | 'listen', first: Uint8Array, second: Uint8Array): Uint8Array {
  const hmac = createHmac('sha256', hostIdOf() as string);
  return hmac.update(role).update(first).update(second).digest();
}

function memoryOf(raw: RawPeer): SharedMemory {
  return raw.channel.sharedMemory as SharedMemory;
}

function doorNameOf(offer: Uint8Array): string {
  return `paipainet-${Buffer.from(offer.subarray(0, nameBytes)).toString('hex')}`;
}

/** Answers a ping, so the session is at work. */
async function isInSession(raw: RawPeer): Promise<boolean> {
  raw.send(FrameType.ping);
  await raw.next(FrameType.pong);
  return true;
}

interface Listening {
  listener: PeerListener;
  /** The peer of the side under test, once it is in session. */
  arrival: Promise<Peer>;
  raw: RawPeer;
  hasArrived(): boolean;
}

/** The side under test listens; a raw peer has connected and says that it has shared memory too. */
async function listening(options: Partial<ListenOptions> = {}): Promise<Listening> {
  const arrival = event<Peer>();
  let count = 0;
  const listener = await listenPeers(
    testEnv(network),
    anywhere,
    { nodeId: 'far', ...options },
    (peer) => {
      count++;
      arrival.fire(peer);
    },
  );
  onTestFinished(() => listener.close(0));
  const raw = await RawPeer.connect(network, listener.address);
  raw.hello(rawHello);
  return { listener, arrival: arrival.promise, raw, hasArrived: () => count > 0 };
}

/** As above, and the raw peer has shown that it is of this host: the offer that came. */
async function offered(
  options: Partial<ListenOptions> = {},
): Promise<Listening & { offer: Uint8Array }> {
  const made_ = await listening(options);
  const { raw } = made_;
  const { payload } = await raw.next(FrameType.hello);
  raw.send(FrameType.ready, { payload: digestOf('connect', encodeHello(rawHello), payload) });
  const ready = await raw.next(FrameType.ready);
  expect(Buffer.from(ready.payload)).toEqual(digestOf('listen', encodeHello(rawHello), payload));
  const offer = await raw.next(FrameType.path);
  expect([offer.argument, offer.payload.length]).toEqual([made, nameBytes + 32]);
  return { ...made_, offer: offer.payload };
}

/** The side under test connects to a raw peer, which has said that it is of this host. */
async function meeting(
  options: { handshakeTimeoutMs?: number } = {},
): Promise<{ raw: RawPeer; peer: Promise<Peer> }> {
  const arrival = event<FrameChannel>();
  const listener = await network.listen(parseAddress(anywhere), (channel) => {
    channel.receiver = null;
    arrival.fire(channel);
  });
  onTestFinished(() => void listener.close());
  const peer = connectPeer(testEnv(network), formatAddress(listener.address), {
    nodeId: 'near',
    ...options,
  });
  peer.then(
    (made_) => onTestFinished(() => made_.destroy()),
    () => {}, // For the test to see.
  );
  const raw = new RawPeer(await arrival.promise);
  raw.hello(rawHello);
  const { payload } = await raw.next(FrameType.hello);
  raw.send(FrameType.ready, { payload: digestOf('listen', payload, encodeHello(rawHello)) });
  const ready = await raw.next(FrameType.ready);
  expect(Buffer.from(ready.payload)).toEqual(digestOf('connect', payload, encodeHello(rawHello)));
  return { raw, peer };
}

async function expectProtocolError(raw: RawPeer): Promise<void> {
  const goodbye = await raw.next(FrameType.goodbye);
  expect(goodbye.argument).toBe(codeNumbers.PAIPAI_ERR_PROTOCOL);
}

describe('the side that listens', () => {
  test('meets one of its own host: both move', async () => {
    const { raw, offer, arrival } = await offered();
    expect(memoryOf(raw).enter(doorNameOf(offer), offer.subarray(nameBytes))).toBe(true);
    raw.send(FrameType.path, { argument: entered });
    await raw.next(FrameType.switch);
    const peer = await arrival;
    expect(peer.path).toBe('shm');
    expect(await isInSession(raw)).toBe(true);
    // What moved does not count as work of the session.
    expect(peer.stats()).toMatchObject({ framesReceived: 1 });
  });

  test('stays with its socket for a peer of another host', async () => {
    const { raw, arrival } = await listening();
    const { payload } = await raw.next(FrameType.hello);
    const digest = digestOf('connect', encodeHello(rawHello), payload);
    digest[31] = (digest[31] as number) ^ 1;
    raw.send(FrameType.ready, { payload: digest });
    expect((await arrival).path).toBe('tcp');
    expect(await isInSession(raw)).toBe(true);
    expect(raw.frames.filter((frame) => frame.type === FrameType.path)).toEqual([]);
  });

  test('does not take its own digest for the one of the peer', async () => {
    const { raw, arrival } = await listening();
    const { payload } = await raw.next(FrameType.hello);
    raw.send(FrameType.ready, { payload: digestOf('listen', encodeHello(rawHello), payload) });
    expect((await arrival).path).toBe('tcp');
  });

  test.each([0, 31, 33])('takes no digest of %d bytes', async (byteCount) => {
    const { raw } = await listening();
    raw.send(FrameType.ready, { payload: new Uint8Array(byteCount) });
    await expectProtocolError(raw);
  });

  test('stays when the peer could not enter', async () => {
    const { raw, arrival } = await offered();
    raw.send(FrameType.path, { argument: refused });
    expect((await raw.next(FrameType.path)).argument).toBe(refused);
    expect((await arrival).path).toBe('tcp');
    expect(await isInSession(raw)).toBe(true);
  });

  test('stays when the peer says that it entered, and did not', async () => {
    const { raw, arrival } = await offered();
    raw.send(FrameType.path, { argument: entered });
    expect((await raw.next(FrameType.path)).argument).toBe(refused);
    expect((await arrival).path).toBe('tcp');
    expect(await isInSession(raw)).toBe(true);
  });

  test('stays when the peer entered with another token', async () => {
    const { raw, offer, arrival } = await offered();
    expect(memoryOf(raw).enter(doorNameOf(offer), new Uint8Array(32))).toBe(true);
    raw.send(FrameType.path, { argument: entered });
    expect((await raw.next(FrameType.path)).argument).toBe(refused);
    memoryOf(raw).drop();
    expect((await arrival).path).toBe('tcp');
    expect(await isInSession(raw)).toBe(true);
  });

  test('waits for an answer no longer than for the rest of the handshake', async () => {
    const { raw, hasArrived } = await offered({ handshakeTimeoutMs: 50 });
    const goodbye = await raw.next(FrameType.goodbye);
    expect(goodbye.argument).toBe(codeNumbers.PAIPAI_ERR_HANDSHAKE_TIMEOUT);
    expect(hasArrived()).toBe(false);
  });

  test.each([
    ['before READY', { argument: entered }],
    ['before READY, an offer', { argument: made, payload: new Uint8Array(48) }],
  ])('takes no PATH %s', async (_, path) => {
    const { raw } = await listening();
    raw.send(FrameType.path, path);
    await expectProtocolError(raw);
  });

  test.each([
    ['an offer of its own', { argument: made, payload: new Uint8Array(48) }],
    ['an unknown answer', { argument: 3 }],
    ['an answer with a payload', { argument: entered, payload: new Uint8Array(1) }],
    ['an answer with flags', { argument: entered, flags: 1 }],
    ['an answer for a stream', { argument: entered, streamId: 1 }],
  ])('takes no %s', async (_, path) => {
    const { raw, hasArrived } = await offered();
    raw.send(FrameType.path, path);
    await expectProtocolError(raw);
    expect(hasArrived()).toBe(false);
  });

  test('takes no second answer', async () => {
    const { raw, arrival } = await offered();
    raw.send(FrameType.path, { argument: refused });
    expect((await arrival).path).toBe('tcp');
    raw.send(FrameType.path, { argument: refused });
    await expectProtocolError(raw);
  });

  test('takes no SWITCH before its own', async () => {
    const { raw, hasArrived } = await offered();
    raw.send(FrameType.switch);
    await raw.closed;
    expect(hasArrived()).toBe(false);
  });
});

describe('the side that connects', () => {
  test('waits for an offer no longer than for the rest of the handshake', async () => {
    const { peer } = await meeting({ handshakeTimeoutMs: 50 });
    expect(await codeOf(peer)).toBe('PAIPAI_ERR_HANDSHAKE_TIMEOUT');
  });

  test('waits for the answer no longer either', async () => {
    const { raw, peer } = await meeting({ handshakeTimeoutMs: 50 });
    raw.send(FrameType.path, { argument: made, payload: new Uint8Array(48) });
    expect(await codeOf(peer)).toBe('PAIPAI_ERR_HANDSHAKE_TIMEOUT');
  });

  test('stays when there is no offer', async () => {
    const { raw, peer } = await meeting();
    raw.send(FrameType.path, { argument: refused });
    expect((await peer).path).toBe('tcp');
    expect(await isInSession(raw)).toBe(true);
  });

  test('stays when nobody opened the door', async () => {
    const { raw, peer } = await meeting();
    raw.send(FrameType.path, { argument: made, payload: new Uint8Array(48) });
    expect((await raw.next(FrameType.path)).argument).toBe(refused);
    raw.send(FrameType.path, { argument: refused });
    expect((await peer).path).toBe('tcp');
    expect(await isInSession(raw)).toBe(true);
  });

  test('stays when it entered, and was not taken', async () => {
    const { raw, peer } = await meeting();
    const name = new Uint8Array(nameBytes).fill(9);
    expect(memoryOf(raw).open(doorNameOf(name))).toBe(true);
    const payload = Buffer.concat([name, new Uint8Array(32)]);
    raw.send(FrameType.path, { argument: made, payload });
    expect((await raw.next(FrameType.path)).argument).toBe(entered);
    memoryOf(raw).drop();
    raw.send(FrameType.path, { argument: refused });
    expect((await peer).path).toBe('tcp');
    expect(await isInSession(raw)).toBe(true);
  });

  test.each([
    ['an offer too short', { argument: made, payload: new Uint8Array(47) }],
    ['an offer too long', { argument: made, payload: new Uint8Array(49) }],
    ['an answer', { argument: entered }],
    ['what it does not know', { argument: 3 }],
  ])('takes no PATH with %s', async (_, path) => {
    const { raw, peer } = await meeting();
    raw.send(FrameType.path, path);
    expect(await codeOf(peer)).toBe('PAIPAI_ERR_PROTOCOL');
  });

  test('takes no second offer', async () => {
    const { raw, peer } = await meeting();
    raw.send(FrameType.path, { argument: made, payload: new Uint8Array(48) });
    raw.send(FrameType.path, { argument: made, payload: new Uint8Array(48) });
    expect(await codeOf(peer)).toBe('PAIPAI_ERR_PROTOCOL');
  });

  test('takes no SWITCH without an offer', async () => {
    const { raw, peer } = await meeting();
    raw.send(FrameType.switch);
    expect(await codeOf(peer)).toBe('PAIPAI_ERR_PROTOCOL');
  });

  test('takes no SWITCH where it could not enter', async () => {
    const { raw, peer } = await meeting();
    raw.send(FrameType.path, { argument: made, payload: new Uint8Array(48) });
    expect((await raw.next(FrameType.path)).argument).toBe(refused);
    raw.send(FrameType.switch);
    expect(await codeOf(peer)).toBe('PAIPAI_ERR_PROTOCOL');
  });
});

describe('two peers of one host', () => {
  test.each([
    ['both may', network, network, 'shm'],
    ['the side that connects is pinned', pinned(network), network, 'tcp'],
    ['the side that listens is pinned', network, pinned(network), 'tcp'],
    ['the side that connects is portable', engines.js.network, network, 'tcp'],
    ['the side that listens is portable', network, engines.js.network, 'tcp'],
  ])('%s', async (_, connecting, listening_, path) => {
    const arrival = event<Peer>();
    const far = { nodeId: 'far', secret: 'a secret of sixteen' };
    const listener = await listenPeers(testEnv(listening_), anywhere, far, arrival.fire);
    onTestFinished(() => listener.close(0));
    const near = await connectPeer(testEnv(connecting), listener.address, {
      nodeId: 'near',
      secret: 'a secret of sixteen',
    });
    onTestFinished(() => near.destroy());
    expect([near.path, (await arrival.promise).path]).toEqual([path, path]);
  });
});
