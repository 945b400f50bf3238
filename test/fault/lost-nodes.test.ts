import { describe, expect, test } from 'vitest';
import { Data, type Node, type PaipaiError } from '../../dist/index.js';
import { startNet } from '../main-job/nets.js';
import { bound } from '../support/bounds.js';

/** Nodes that are killed in the middle of the work. */

/** Zero bytes without end, so that the kill always comes in the middle. */
async function* endlessZeros(): AsyncGenerator<Uint8Array> {
  const chunk = new Uint8Array(256 * 1024);
  for (;;) yield chunk;
}

describe('a node process is killed', () => {
  test.each(['native', 'js'] as const)('in a transfer, on the %s engine', async (engine) => {
    const { net, nodes, pids } = await startNet(3, { engine });
    const heard: { node: Node; error: PaipaiError }[] = [];
    net.on('nodeLost', (node, error) => heard.push({ node, error }));
    const data = new Data('d', endlessZeros(), { shardBytes: 64 * 1024 });
    net.addData(data);
    const transfer = net.transfer(data, undefined, {
      onProgress: ({ shards }) => {
        if (shards === 50) process.kill(pids[1] ?? 0, 'SIGKILL');
      },
    });
    await expect(transfer).rejects.toMatchObject({ code: 'PAIPAI_ERR_NODE_LOST', nodeId: '2' });
    expect(heard).toMatchObject([
      { node: nodes[1], error: { code: 'PAIPAI_ERR_NODE_LOST', nodeId: '2' } },
    ]);

    // The others go on, without the lost one and with nothing left of the failed transfer.
    const next = new Data('next', 100_000, { shardBytes: 10_000 });
    net.addData(next);
    const report = await net.transfer(next);
    expect(report.perNode.map(({ nodeId }) => nodeId)).toEqual(['1', '3']);
    expect((await net.process(next, 'length')).value).toHaveLength(10);
    await expect(net.transfer(next, nodes[1])).rejects.toMatchObject({
      code: 'PAIPAI_ERR_NODE_LOST',
    });
  });

  test('while shards pass through it', async () => {
    const { net, pids } = await startNet(2);
    const data = new Data('d', endlessZeros());
    net.addData(data);
    let isKilled = false;
    const passing = net.process(data, 'digest', {
      keep: false,
      onProgress: ({ shards }) => {
        // Progress comes in steps of a request, so the count may pass the mark.
        if (shards >= 20 && !isKilled) isKilled = process.kill(pids[0] ?? 0, 'SIGKILL');
      },
    });
    await expect(passing).rejects.toMatchObject({ code: 'PAIPAI_ERR_NODE_LOST', nodeId: '1' });
  });

  test('while its handlers run; shards that lay there alone are gone with it', async () => {
    const { net, nodes, pids } = await startNet(2);
    const data = new Data('d', 40, { shardBytes: 10 });
    net.addData(data);
    await net.transfer(data);
    const running = net.process(data, 'endless');
    process.kill(pids[0] ?? 0, 'SIGKILL');
    await expect(running).rejects.toMatchObject({ code: 'PAIPAI_ERR_NODE_LOST', nodeId: '1' });
    await expect(net.process(data)).rejects.toMatchObject({ code: 'PAIPAI_ERR_NODE_LOST' });
    await expect(net.read(data)).rejects.toMatchObject({ code: 'PAIPAI_ERR_NODE_LOST' });
    expect((await nodes[1]?.process(data, 'length'))?.value).toEqual([10, 10]);

    // Brought to the node that is left, they are whole again.
    await net.transfer(data);
    expect((await net.process(data, 'length')).value).toEqual([10, 10, 10, 10]);
  });

  test('SIGTERM ends a node in order, which is a loss all the same', async () => {
    const { net, pids } = await startNet(2);
    const lost = new Promise<Node>((resolve) => net.once('nodeLost', resolve));
    process.kill(pids[1] ?? 0, 'SIGTERM');
    expect((await lost).id).toBe('2');
  });
});

describe('the caller ends it', () => {
  test('by its signal, in a transfer from a source that never ends', async () => {
    const { net } = await startNet(2);
    const data = new Data('d', endlessZeros());
    net.addData(data);
    const abort = new AbortController();
    const reason = new Error('changed my mind');
    const transfer = net.transfer(data, undefined, {
      signal: abort.signal,
      onProgress: ({ shards }) => {
        if (shards === 20) abort.abort(reason);
      },
    });
    await expect(transfer).rejects.toMatchObject({ code: 'PAIPAI_ERR_ABORTED', cause: reason });
  });

  test('by a signal that has fired before', async () => {
    const { net } = await startNet(1, { runAs: 'inline' });
    const data = new Data('d', 10);
    net.addData(data);
    await expect(
      net.process(data, 'length', { signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({
      code: 'PAIPAI_ERR_ABORTED',
    });
  });

  test('by its deadline, while the source gives nothing', async () => {
    const { net } = await startNet(1, { runAs: 'inline' });
    async function* silent(): AsyncGenerator<Uint8Array> {
      await new Promise(() => {});
      yield new Uint8Array(1);
    }
    const data = new Data('d', silent());
    net.addData(data);
    await expect(net.transfer(data, undefined, { deadlineMs: 50 })).rejects.toMatchObject({
      code: 'PAIPAI_ERR_DEADLINE',
    });
  });
});

describe('a node process is stopped', () => {
  test.each(['native', 'js'] as const)(
    'in a transfer, on the %s engine: it ends at its deadline all the same',
    async (engine) => {
      const { net, pids } = await startNet(1, { engine });
      const pid = pids[0] ?? 0;
      const data = new Data('d', endlessZeros());
      net.addData(data);
      let isStopped = false;
      const startMs = performance.now();
      const transfer = net.transfer(data, undefined, {
        deadlineMs: 1_000,
        onProgress: ({ shards }) => {
          if (shards >= 20 && !isStopped) isStopped = process.kill(pid, 'SIGSTOP');
        },
      });
      await expect(transfer).rejects.toMatchObject({ code: 'PAIPAI_ERR_DEADLINE' });
      expect(performance.now() - startMs).toBeLessThan(bound(4_000));
      process.kill(pid, 'SIGCONT');
      await net.close();
    },
  );
});
