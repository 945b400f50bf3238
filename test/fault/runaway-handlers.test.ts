import { describe, expect, test } from 'vitest';
import { Data } from '../../dist/index.js';
import { isAlive, startNet } from '../main-job/nets.js';

/** Handlers that do not come back. */

describe.each(['process', 'thread', 'inline'] as const)(
  'a handler in an endless loop, node as %s',
  (runAs) => {
    test('does not keep the node from answering others', async () => {
      const { net } = await startNet(1, { runAs });
      const stuck = new Data('stuck', 10);
      const other = new Data('other', 10_000, { shardBytes: 1_000 });
      net.addData(stuck).addData(other);
      const abort = new AbortController();
      const endless = net.process(stuck, 'endless', { signal: abort.signal });
      const outcome = endless.catch((error: unknown) => error);
      // Transfers and reads need no worker.
      await net.transfer(other);
      expect(await net.read(other)).toHaveLength(10_000);
      abort.abort();
      expect(await outcome).toMatchObject({ code: 'PAIPAI_ERR_ABORTED' });
    });

    test('is ended at its deadline, and the node works on', async () => {
      const { net, pids } = await startNet(1, { runAs });
      const data = new Data('d', 10_000, { shardBytes: 1_000 });
      net.addData(data);
      await net.transfer(data);
      const endless = net.process(data, 'endless', { deadlineMs: 300 });
      await expect(endless).rejects.toMatchObject({ code: 'PAIPAI_ERR_DEADLINE' });
      expect((await net.process(data, 'length')).value).toHaveLength(10);
      expect(pids.every(isAlive)).toBe(true);
    });
  },
);

describe('a merge in an endless loop is ended at its deadline, and the nodes work on', () => {
  test.each([
    ['on a node, over its own shards', 1, 10],
    ['of the values of the nodes', 2, 2],
  ])('%s', async (_where, nodeCount, shards) => {
    const { net } = await startNet(nodeCount, { runAs: 'inline', placement: 'roundRobin' });
    const data = new Data('d', shards * 10, { shardBytes: 10 });
    net.addData(data);
    expect((await net.transfer(data)).perNode).toHaveLength(nodeCount);
    const endless = net.process(data, 'endlessMerge', { deadlineMs: 500 });
    await expect(endless).rejects.toMatchObject({ code: 'PAIPAI_ERR_DEADLINE' });
    expect((await net.process(data, 'length')).value).toEqual(new Array(shards).fill(10));
  });
});

test('the default deadline of the net holds too', async () => {
  const { net } = await startNet(1, { runAs: 'inline', deadlineMs: 300 });
  const data = new Data('d', 10);
  net.addData(data);
  await expect(net.process(data, 'endless')).rejects.toMatchObject({ code: 'PAIPAI_ERR_DEADLINE' });
});

test('one shard in an endless loop ends the whole call, and the others of the call with it', async () => {
  const { net } = await startNet(2, { runAs: 'inline' });
  const data = new Data('d', 2_000, { shardBytes: 1 });
  net.addData(data);
  await expect(net.process(data, 'endlessOnShard0', { deadlineMs: 500 })).rejects.toMatchObject({
    code: 'PAIPAI_ERR_DEADLINE',
  });
  expect((await net.process(data, 'byteSum')).value).toBe(0);
});

test('an aborted call ends its handlers, whether they listen to their signal or not', async () => {
  const { net } = await startNet(1, { runAs: 'inline' });
  const data = new Data('d', 10);
  net.addData(data);
  await net.transfer(data);
  for (const handler of ['endless', 'waitsForSignal']) {
    const abort = new AbortController();
    const call = net.process(data, handler, { signal: abort.signal });
    setImmediate(() => abort.abort());
    await expect(call).rejects.toMatchObject({ code: 'PAIPAI_ERR_ABORTED' });
  }
  expect((await net.process(data, 'length')).value).toEqual([10]);
});

test('a call that is aborted at any moment of its beginning ends', async () => {
  const { net } = await startNet(1, { runAs: 'inline' });
  const data = new Data('d', 10);
  net.addData(data);
  await net.transfer(data);
  const calls = [
    (signal: AbortSignal) => net.process(data, 'waitsForSignal', { signal, deadlineMs: 60_000 }),
    (signal: AbortSignal) => net.read(data, { signal }),
  ];
  for (const start of calls) {
    for (let moment = 0; moment < 40; moment++) {
      const abort = new AbortController();
      const code = start(abort.signal).then(String, (error) => error.code);
      for (let i = 0; i < moment; i++) await null;
      abort.abort();
      expect(await code).toBe('PAIPAI_ERR_ABORTED');
    }
  }
});
