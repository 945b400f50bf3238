import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Net, Node, type PaipaiError } from '../../dist/index.js';
import { makeFolder } from '../support/folders.js';
import { startNet } from './nets.js';

const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'done',
    (error: PaipaiError) => error.code,
  );

describe('transactions of a net', () => {
  test('are there for its other calls, whole', async () => {
    const { net } = await startNet(3);
    const keys = Array.from({ length: 20 }, (_, at) => `k${at}`);
    const given = await net.transaction((tx) => {
      for (const key of keys) tx.set(key, { of: key, at: new Date(0), bytes: new Uint8Array([1]) });
      return 'given';
    });
    expect(given).toBe('given');
    const read = await net.transaction((tx) => Promise.all(keys.map((key) => tx.get(key))));
    expect(read).toEqual(keys.map((of) => ({ of, at: new Date(0), bytes: new Uint8Array([1]) })));
    expect(await net.inDoubt()).toEqual([]);
  });

  test('are refused before the start, without a coordinator, after the close, and without a function', async () => {
    const net = new Net();
    net.addNode(new Node(1));
    expect(await codeOf(net.transaction(() => {}))).toBe('PAIPAI_ERR_NOT_STARTED');
    await net.start();
    expect(await codeOf(net.transaction('work' as never))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
    expect(await codeOf(net.outcomeOf('7'))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
    await net.close();
    expect(await codeOf(net.transaction(() => {}))).toBe('PAIPAI_ERR_CLOSED');
  });

  test('end with their deadline and their caller, and nothing is written', async () => {
    const { net } = await startNet(2);
    const never = (): Promise<void> => new Promise(() => {});
    const late = net.transaction(
      async (tx) => {
        tx.set('a', 1);
        await never();
      },
      { deadlineMs: 50 },
    );
    expect(await codeOf(late)).toBe('PAIPAI_ERR_DEADLINE');
    const caller = new AbortController();
    const aborted = net.transaction(
      async (tx) => {
        tx.set('a', 1);
        caller.abort();
        await never();
      },
      { signal: caller.signal },
    );
    expect(await codeOf(aborted)).toBe('PAIPAI_ERR_ABORTED');
    expect(await net.transaction((tx) => tx.get('a'))).toBeUndefined();
  });

  test('are there again after a restart, on disk', async () => {
    const folder = makeFolder();
    const start = async (): Promise<Net> => {
      const net = new Net();
      onTestFinished(() => net.close());
      for (const id of ['a', 'b']) {
        net.addNode(new Node(id, { store: { files: join(folder, id) } }));
      }
      await net.start();
      return net;
    };
    const keys = Array.from({ length: 8 }, (_, at) => `k${at}`);
    const first = await start();
    await first.transaction((tx) => {
      for (const key of keys) tx.set(key, key);
    });
    await first.close();
    const second = await start();
    const read = await second.transaction((tx) => Promise.all(keys.map((key) => tx.get(key))));
    expect(read).toEqual(keys);
  });

  test('say which node is gone that they need', async () => {
    const { net, nodes } = await startNet(2);
    await net.transaction((tx) => tx.set('a', 1));
    const [node] = nodes;
    const lost = new Promise((resolve) => {
      net.once('nodeLost', resolve);
    });
    process.kill(node!.pid!, 'SIGKILL');
    await lost;
    const keys = Array.from({ length: 30 }, (_, at) => `k${at}`);
    const failing = net.transaction((tx) => Promise.all(keys.map((key) => tx.get(key))));
    expect(await codeOf(failing)).toBeOneOf([
      'PAIPAI_ERR_NODE_LOST',
      'PAIPAI_ERR_COORDINATOR_DOWN',
    ]);
  });
});
