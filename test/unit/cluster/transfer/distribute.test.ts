import { expect, test } from 'vitest';
import { ByteWindow } from '../../../../dist/cluster/transfer/byte-window.js';
import { distribute } from '../../../../dist/cluster/transfer/distribute.js';
import type { NodeLink } from '../../../../dist/cluster/transfer/node-link.js';
import { NodeSender } from '../../../../dist/cluster/transfer/node-sender.js';
import { Operation } from '../../../../dist/cluster/transfer/operation.js';
import { servePut } from '../../../../dist/cluster/transfer/serve-shards.js';
import type { ShardPiece } from '../../../../dist/data/shard.js';
import type { Peer, PeerStream } from '../../../../dist/session/types.js';
import { MemoryStore } from '../../../../dist/store/memory-store.js';
import { MemoryNetwork } from '../../../../dist/transport/memory-network.js';
import { decodeShardHeader, encodeShardHeader } from '../../../../dist/wire/shard-header.js';
import { event, pattern, sessionPair } from '../../../support/session-pair.js';
import { testEnv } from '../../../support/test-env.js';

const tools = { shardCodec: { encode: encodeShardHeader, decode: decodeShardHeader } };
const shardBytes = 60;
const shardCount = 4;

async function* pieces(count = shardCount): AsyncGenerator<ShardPiece> {
  for (let index = 0; index < count; index++) {
    yield {
      index,
      offset: index * shardBytes,
      bytes: shardBytes,
      content: pattern(shardBytes, index + 1),
      last: index === count - 1,
      release() {},
    };
  }
}

/** One shard at a time fits. */
function linkTo(peer: Peer): NodeLink {
  const window = () => new ByteWindow(100, 64);
  return {
    nodeId: 'node',
    peer,
    shardWindow: window(),
    callWindow: window(),
    relayWindow: window(),
  };
}

test('when a node comes back, the window of its new connection holds for all that waited', async () => {
  const store = new MemoryStore();
  const incoming = new ByteWindow(Infinity, Infinity);
  let underWay = 0;
  let underWayMost = 0;
  const arrived = event();
  const silent = await sessionPair({
    service: {
      onStream: () => {
        arrived.fire();
        return new Promise<void>(() => {});
      },
    },
  });
  const answering = await sessionPair({
    service: {
      async onStream(stream: PeerStream) {
        underWayMost = Math.max(underWayMost, ++underWay);
        await servePut(stream, store, incoming, tools);
        underWay--;
      },
    },
  });

  const env = testEnv(new MemoryNetwork());
  const operation = new Operation(env, 'test', { deadlineMs: Infinity });
  const sender = new NodeSender(linkTo(silent.near), env.clock, tools);
  const distributing = distribute(pieces(), [sender], {
    operation,
    shipment: { dataId: 'd', version: 0n, sourceId: 'client', mapVersion: 0 },
    extent: undefined,
    place: () => [sender],
    confirm: 1,
    replace: () => undefined,
    mayReturn: () => true,
    async renew() {
      if (sender.link.peer !== answering.near) sender.link = linkTo(answering.near);
      return true;
    },
    onStored: () => undefined,
    onWhole() {},
  });
  await arrived.promise;
  silent.near.destroy();
  await distributing;
  expect(store.list('d').map(({ key }) => key.index)).toEqual([0, 1, 2, 3]);
  expect(underWayMost).toBe(1);
});

test('what gets room in the moment in which all fails is not sent any more', async () => {
  const arrived = event();
  const silent = await sessionPair({
    service: {
      onStream: () => {
        arrived.fire();
        return new Promise<void>(() => {});
      },
    },
  });
  let sent = 0;
  const answering = await sessionPair({
    service: {
      async onStream(stream: PeerStream) {
        sent++;
        await servePut(stream, new MemoryStore(), new ByteWindow(Infinity, Infinity), tools);
      },
    },
  });
  // The new connection has no room; whoever asks for some is heard of.
  const renewed = linkTo(answering.near);
  const window = renewed.shardWindow;
  window.tryAcquire(100);
  const acquire = window.acquire.bind(window);
  const asked = event();
  window.acquire = (bytes, signal) => {
    asked.fire();
    return acquire(bytes, signal);
  };

  const env = testEnv(new MemoryNetwork());
  const operation = new Operation(env, 'test', { deadlineMs: Infinity });
  const sender = new NodeSender(linkTo(silent.near), env.clock, tools);
  const distributing = distribute(pieces(1), [sender], {
    operation,
    shipment: { dataId: 'd', version: 0n, sourceId: 'client', mapVersion: 0 },
    extent: undefined,
    place: () => [sender],
    confirm: 1,
    replace: () => undefined,
    mayReturn: () => true,
    async renew() {
      sender.link = renewed;
      return true;
    },
    onStored: () => undefined,
    onWhole() {},
  });
  const failure = expect(distributing).rejects.toThrow('over');
  await arrived.promise;
  silent.near.destroy();
  await asked.promise;
  window.release(100);
  operation.fail(new Error('over'));
  await failure;
  expect(sent).toBe(0);
});
