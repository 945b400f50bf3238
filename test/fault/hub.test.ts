import { describe, expect, test } from 'vitest';
import { Data } from '../../dist/index.js';
import { noise } from '../main-job/nets.js';
import { bound } from '../support/bounds.js';
import { startHubNet } from '../support/hub-net.js';
import { codeOf } from '../support/session-pair.js';
import { shardsOn } from '../support/shards-on.js';

/** A hub and the nodes behind it, each a process of its own, some of which are killed or stand still. */

const timeout = 120_000;
const mebi = 1024 * 1024;
async function* endlessZeros(): AsyncGenerator<Uint8Array> {
  const chunk = new Uint8Array(256 * 1024);
  for (;;) yield chunk;
}

describe('through a hub', { timeout }, () => {
  test('32 MiB are transferred, read, processed and reduced', async () => {
    const { net } = await startHubNet();
    const content = noise(32 * mebi);
    const data = new Data('d', content);
    net.addData(data);
    const { perNode } = await net.transfer(data);
    const behind = perNode.filter(({ nodeId }) => nodeId !== 'hub');
    expect(behind.reduce((sum, { shards }) => sum + shards, 0)).toBeGreaterThanOrEqual(31);
    expect(Buffer.compare(await net.read(data), content)).toBe(0);
    let sum = 0;
    const counts = new Uint32Array(256);
    for (const byte of content) {
      sum += byte;
      counts[byte] = (counts[byte] ?? 0) + 1;
    }
    expect((await net.process(data, 'byteSum')).value).toBe(sum);
    const { value } = await net.mapReduce(data, {
      map: 'byteCounts',
      combine: 'sum',
      reduce: 'sum',
    });
    expect(Uint32Array.from(counts, (_, byte) => Number(value.get(String(byte))))).toEqual(counts);
  });

  test('a hub killed in the middle of a transfer is told as lost nodes, soon', async () => {
    const { hub, b, net } = await startHubNet({ reconnectMs: 500 });
    const lost: string[] = [];
    net.on('nodeLost', ({ id }) => lost.push(id));
    const data = new Data('d', endlessZeros(), { shardBytes: 64 * 1024 });
    net.addData(data);
    let killedMs = 0;
    const transfer = net.transfer(data, undefined, {
      deadlineMs: 30_000,
      onProgress: ({ shards }) => {
        if (shards < 50 || killedMs > 0) return;
        killedMs = performance.now();
        void hub.kill();
      },
    });
    await expect(transfer).rejects.toMatchObject({ code: 'PAIPAI_ERR_NODE_LOST' });
    expect(performance.now() - killedMs).toBeLessThan(bound(15_000));
    expect(lost).toEqual(expect.arrayContaining(['b', 'c']));
    expect(await codeOf(net.send('b', 'echo'))).toBe('PAIPAI_ERR_NODE_LOST');
    // The session behind the hub is over too, and with it what it had stored.
    await expect.poll(() => shardsOn(b), { timeout: 10_000 }).toBe(0);
  });

  test('a hub killed in the middle of other work ends that too', async () => {
    const { hub, net } = await startHubNet();
    const data = new Data('d', 1_000, { shardBytes: 100 });
    net.addData(data);
    await net.transfer(data);
    const work = [
      net.process(data, 'endless'),
      net.send('b', 'hangs'),
      net.broadcast('hangs'),
    ] as const;
    const settled = Promise.allSettled(work);
    await net.send('c', 'echo');
    await hub.kill();
    const [processing, sending, broadcast] = await settled;
    for (const failed of [processing, sending]) {
      expect(failed).toMatchObject({ reason: { code: 'PAIPAI_ERR_NODE_LOST' } });
    }
    const value = broadcast?.status === 'fulfilled' ? broadcast.value : undefined;
    expect(value).toMatchObject({ confirmed: [] });
    await net.close();
  });

  test('a hub that stands still costs the deadline, and a close does not wait for it', async () => {
    const { hub, net } = await startHubNet();
    const data = new Data('d', endlessZeros(), { shardBytes: 64 * 1024 });
    net.addData(data);
    let isStopped = false;
    const transfer = net.transfer(data, undefined, {
      deadlineMs: 8_000,
      onProgress: ({ shards }) => {
        if (shards < 50 || isStopped) return;
        isStopped = process.kill(hub.pid, 'SIGSTOP');
      },
    });
    expect(await codeOf(transfer)).toBe('PAIPAI_ERR_DEADLINE');
    expect(isStopped).toBe(true);
    expect(await codeOf(net.send('b', 'echo', 1, { deadlineMs: 200 }))).toBe('PAIPAI_ERR_DEADLINE');
    const startMs = performance.now();
    await net.close();
    expect(performance.now() - startMs).toBeLessThan(bound(15_000));
  });

  test('a node that dies behind it fails alone', async () => {
    const { b, net } = await startHubNet();
    const content = noise(4 * mebi);
    const data = new Data('d', content, { shardBytes: 64 * 1024, replicas: 2 });
    net.addData(data);
    let isKilled = false;
    await net.transfer(data, undefined, {
      onProgress: ({ shards }) => {
        if (shards < 20 || isKilled) return;
        isKilled = true;
        void b.kill();
      },
    });
    expect(Buffer.compare(await net.read(data), content)).toBe(0);
    await expect(net.send('b', 'echo')).rejects.toMatchObject({
      code: 'PAIPAI_ERR_NODE_LOST',
      nodeId: 'b',
    });
    expect(await net.send('c', 'echo', 'here')).toBe('here');
  });
});
