import { describe, expect, onTestFinished, test } from 'vitest';
import { deferred } from '../../../../dist/base/deferred.js';
import { valueBytesMax } from '../../../../dist/coordination/coordinator.js';
import type { Journal } from '../../../../dist/coordination/local/journal.js';
import { LocalCoordinator } from '../../../../dist/coordination/local/local-coordinator.js';
import {
  encodeState,
  encodeWatch,
  setKeyMethod,
  watchKeyMethod,
} from '../../../../dist/coordination/messages.js';
import { RemoteCoordinator } from '../../../../dist/coordination/remote/remote-coordinator.js';
import {
  CoordinatorService,
  watchesPerPeerMax,
} from '../../../../dist/coordination/serve-coordinator.js';
import { selectEngine } from '../../../../dist/node/select-network.js';
import { connectPeer } from '../../../../dist/session/connect.js';
import { listenPeers } from '../../../../dist/session/listen.js';
import type { PeerService } from '../../../../dist/session/types.js';
import { codeOf } from '../../../support/session-pair.js';
import { testEnv } from '../../../support/test-env.js';

const env = testEnv(selectEngine('auto').network);
const bytes = (value: string): Uint8Array => Buffer.from(value);

function serviceOf(coordination: CoordinatorService): PeerService {
  return {
    onRequest: (request) => coordination.onRequest(request),
    onStream: (stream) => coordination.onStream(stream),
  };
}

/** One client of a coordinator, and what it hangs on. */
async function start(service?: PeerService, journal?: Journal) {
  const options = journal === undefined ? {} : { journal };
  const local = await LocalCoordinator.open(env, options);
  const coordination = new CoordinatorService(local);
  const listener = await listenPeers(env, 'tcp://127.0.0.1:0', {
    nodeId: 'coordinator',
    service: service ?? serviceOf(coordination),
  });
  onTestFinished(() => listener.close(0));
  const peer = await connectPeer(env, listener.address, { nodeId: 'client' });
  onTestFinished(() => peer.destroy());
  return { local, coordination, listener, peer, client: new RemoteCoordinator(() => [peer]) };
}

test('a coordinator that is no quorum says so when it is asked for its members', async () => {
  const { client } = await start();
  expect(await codeOf(client.members())).toBe('PAIPAI_ERR_INVALID_STATE');
  expect(await codeOf(client.replaceMember('a', 'b'))).toBe('PAIPAI_ERR_INVALID_STATE');
  expect(await codeOf(client.replaceMember('', 'b'))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
  expect((await client.get('a')).version).toBe(0);
});

describe('when the session ends', () => {
  test('what was under way may have happened, what comes later does not, and the next session goes on', async () => {
    const held = deferred<void>();
    const journal: Journal = {
      read: async () => ({ lastVersion: 0, entries: [] }),
      write: () => held.promise,
      close: async () => {},
    };
    const { listener, client, local, peer } = await start(undefined, journal);
    const watch = client.watch('a', { after: 0 });
    const waiting = codeOf(watch.next());
    const setting = codeOf(client.compareAndSet('a', 0, bytes('1')));
    await client.get('a');
    peer.destroy();
    expect(await Promise.all([waiting, setting])).toEqual([
      'PAIPAI_ERR_PEER_CLOSED',
      'PAIPAI_ERR_PEER_CLOSED',
    ]);
    expect((await watch.next()).done).toBe(true);
    expect(await codeOf(client.get('a'))).toBe('PAIPAI_ERR_COORDINATOR_DOWN');
    const late = client.watch('a', { after: 0 });
    expect(await codeOf(late.next())).toBe('PAIPAI_ERR_COORDINATOR_DOWN');
    expect((await late.next()).done).toBe(true);

    held.resolve();
    const again = await connectPeer(env, listener.address, { nodeId: 'client' });
    onTestFinished(() => again.destroy());
    const other = new RemoteCoordinator(() => [again]);
    const told = await other.watch('a', { after: 0 }).next();
    expect(told.value).toEqual({ key: 'a', version: 1, value: new Uint8Array(bytes('1')) });
    await local.close();
    expect(await codeOf(other.get('a'))).toBe('PAIPAI_ERR_PEER_CLOSED');
  });

  test('a node that serves none is one that is down', async () => {
    const { client } = await start({});
    expect(await codeOf(client.get('a'))).toBe('PAIPAI_ERR_COORDINATOR_DOWN');
    expect(await codeOf(client.watch('a', { after: 0 }).next())).toBe(
      'PAIPAI_ERR_COORDINATOR_DOWN',
    );
  });
});

test('a call that is not answered ends at its deadline, and the other side hears of it', async () => {
  const abandoned = deferred<void>();
  const { client } = await start({
    onRequest: ({ signal }) => {
      signal.addEventListener('abort', () => abandoned.resolve());
      return new Promise(() => {});
    },
  });
  expect(await codeOf(client.get('a', { deadlineMs: 50 }))).toBe('PAIPAI_ERR_DEADLINE');
  await abandoned.promise;
  const stop = new AbortController();
  const getting = client.get('a', { signal: stop.signal });
  stop.abort('enough');
  await expect(getting).rejects.toMatchObject({ code: 'PAIPAI_ERR_ABORTED', cause: 'enough' });
  const waiting = codeOf(client.get('a', { deadlineMs: Infinity }));
  await client.close();
  expect(await waiting).toBe('PAIPAI_ERR_CLOSED');
});

describe('limits', () => {
  test('so many watches for each peer, and room again when one ends', async () => {
    const { client } = await start();
    const { version } = await client.compareAndSet('a', 0, bytes('1'));
    const watches = Array.from({ length: watchesPerPeerMax }, () =>
      client.watch('a', { after: 0 }),
    );
    for (const watch of watches) expect((await watch.next()).value.version).toBe(version);
    const full = client.watch('a', { after: 0 });
    expect(await codeOf(full.next())).toBe('PAIPAI_ERR_OVERLOADED');
    await watches[0]?.return();
    const next = client.watch('a', { after: 0 });
    expect((await next.next()).value.version).toBe(version);
  });

  test('a watch that nobody reads holds no more than the window of its stream', async () => {
    const { client, peer, listener } = await start();
    const watch = client.watch('a', { after: 0 });
    let version = 0;
    for (let change = 0; change < 12; change++) {
      ({ version } = await client.compareAndSet('a', version, new Uint8Array(valueBytesMax)));
    }
    const [far] = listener.peers;
    // Each of the twelve has come back as an answer as well.
    const watchedBytes = peer.stats().bytesReceived - 12 * valueBytesMax;
    expect(watchedBytes).toBeLessThan(1.5 * valueBytesMax);
    expect(far?.queuedBytes).toBeLessThan(1.5 * valueBytesMax);
    for (let told = 1; told <= version; told++) {
      expect((await watch.next()).value.version).toBe(told);
    }
    await watch.return();
  });
});

describe('bytes that are no message', () => {
  test.each([
    ['no header', Buffer.alloc(11)],
    ['a key longer than the message', Buffer.from('00000000000000000500000061', 'hex')],
    ['an empty key', Buffer.from('000000000000000000000100', 'hex')],
    ['a key that is no text', Buffer.from('000000000000000001000100ff', 'hex')],
    ['a version beyond all numbers', Buffer.from('ffffffffffffffff0100010061', 'hex')],
    ['unknown flags', Buffer.from('00000000000000000100020061', 'hex')],
    ['a value where there is none', Buffer.from('0100000000000000010000006162', 'hex')],
    ['a deletion of nothing', Buffer.from('00000000000000000100000061', 'hex')],
    [
      'a value that is too long',
      Buffer.concat([
        Buffer.from('00000000000000000100010061', 'hex'),
        Buffer.alloc(valueBytesMax + 1),
      ]),
    ],
  ])('%s', async (_, payload) => {
    const { peer, local } = await start();
    expect(await codeOf(peer.request(setKeyMethod, payload))).toBe('PAIPAI_ERR_PROTOCOL');
    const stream = peer.openStream(watchKeyMethod, payload.subarray(0, 7));
    expect(await codeOf(stream.ended)).toBe('PAIPAI_ERR_PROTOCOL');
    expect(await local.get('a')).toMatchObject({ version: 0 });
    expect(encodeWatch({ key: 'a', after: 0 }).byteLength).toBe(9);
  });

  test.each([
    ['cut short', Buffer.alloc(23)],
    ['a value without a version', encodeState({ value: bytes('1'), version: 0, asOf: 0 })],
    ['a state of the future', encodeState({ value: bytes('1'), version: 2, asOf: 1 })],
    [
      'a value that is too long',
      encodeState({ value: new Uint8Array(valueBytesMax + 1), version: 1, asOf: 1 }),
    ],
  ])('as an answer: %s', async (_, answer) => {
    const { client } = await start({ onRequest: () => answer });
    expect(await codeOf(client.get('a'))).toBe('PAIPAI_ERR_PROTOCOL');
    expect(await codeOf(client.compareAndSet('a', 0, bytes('1')))).toBe('PAIPAI_ERR_PROTOCOL');
  });

  test.each([
    ['a value that is too long', '01000000000000000100000001001000'],
    ['unknown flags', '01000000000000000200000000000000'],
    ['a version that was', '00000000000000000100000000000000'],
    ['its end', ''],
  ])('as a change: %s', async (_, change) => {
    const { client } = await start({
      onStream: async (stream) => {
        if (change !== '') await stream.write(Buffer.from(change, 'hex'));
        else stream.end();
        await new Promise((resolve) => stream.signal.addEventListener('abort', resolve));
      },
    });
    expect(await codeOf(client.watch('a', { after: 0 }).next())).toBe('PAIPAI_ERR_PROTOCOL');
  });
});
