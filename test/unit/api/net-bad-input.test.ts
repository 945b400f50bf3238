import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Data, isPaipaiError, Net, Node, type PaipaiError } from '../../../dist/index.js';
import { runNode } from '../../../dist/node/serve.js';
import { ownTmpdir, startNet } from '../../main-job/nets.js';
import { bound } from '../../support/bounds.js';

/** Each wrong use has its code, the net works on, and nothing hangs. */

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => new Error('it succeeded'),
    (thrown: unknown) => thrown,
  );
  return isPaipaiError(error) ? error.code : `no PaipaiError: ${error}`;
}

function tempModule(source: string): URL {
  const folder = mkdtempSync(join(tmpdir(), 'paipai-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'handlers.mjs');
  writeFileSync(file, source);
  return pathToFileURL(file);
}

function netOf(...nodes: Node[]): Net {
  const net = new Net();
  onTestFinished(() => net.close());
  for (const node of nodes) net.addNode(node);
  return net;
}

describe('ids', () => {
  test('a node or data id is there once; a number is its digits', () => {
    const net = new Net();
    net.addNode(new Node(1)).addData(new Data(1, 1));
    expect(() => net.addNode(new Node('1'))).toThrow(
      expect.objectContaining({ code: 'PAIPAI_ERR_DUPLICATE_ID', nodeId: '1' }),
    );
    expect(() => net.addData(new Data('1', 2))).toThrow(
      expect.objectContaining({ code: 'PAIPAI_ERR_DUPLICATE_ID', dataId: '1' }),
    );
  });

  test('a node is in one net', () => {
    const node = new Node(1);
    new Net().addNode(node);
    expect(() => new Net().addNode(node)).toThrow(
      expect.objectContaining({ code: 'PAIPAI_ERR_INVALID_STATE' }),
    );
  });

  test.each([-1, 1.5, '', 'x'.repeat(256), null, undefined, {}])('%o is no id of a node', (id) => {
    expect(() => new Node(id as string)).toThrow(
      expect.objectContaining({ code: 'PAIPAI_ERR_INVALID_ARGUMENT' }),
    );
  });
});

describe('options', () => {
  test.each([
    { name: '' },
    { secret: '' },
    { secret: 'x'.repeat(15) },
    { secret: new Uint8Array(15) },
    { handlers: 7 },
    { runAs: 'fork' },
    { placement: 'random' },
    { engine: 'c' },
    { deadlineMs: 0 },
    { deadlineMs: 2 ** 31 },
    { deadlineMS: 5_000 },
  ])('new Net(%o)', (options) => {
    expect(() => new Net(options as never)).toThrow(
      expect.objectContaining({ code: 'PAIPAI_ERR_INVALID_ARGUMENT' }),
    );
  });

  test.each([
    [{ weight: 0 }, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    [{ weight: Infinity }, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    [{ runAs: 'fork' }, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    [{ wieght: 2 }, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    [null, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    [{ address: 'http://localhost:1' }, 'PAIPAI_ERR_INVALID_ADDRESS'],
    [{ address: 'tcp://127.0.0.1:1', runAs: 'inline' }, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    [{ address: 'tcp://127.0.0.1:1', store: 'memory' }, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    [{ store: 'disk' }, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    [{ store: { lmdb: 'a', files: 'b' } }, 'PAIPAI_ERR_INVALID_ARGUMENT'],
  ])('new Node(1, %o)', (options, code) => {
    expect(() => new Node(1, options as never)).toThrow(expect.objectContaining({ code }));
  });

  test('of a call', async () => {
    const { net } = await startNet(1, { runAs: 'inline' });
    const data = new Data(1, 1);
    net.addData(data);
    const calls = [
      net.transfer(data, undefined, { deadlineMs: -1 }),
      net.transfer(data, undefined, { signal: {} as never }),
      net.transfer(data, undefined, { onProgress: 1 as never }),
      net.transfer(data, undefined, { keep: false } as never),
      net.read(data, { deadline: 5 } as never),
      net.transfer(data, 1 as never),
      net.transfer(1 as never),
      net.process(data, ''),
      net.process(data, 'x'.repeat(256)),
      net.process(data, 'length', { keep: 1 as never }),
      net.process(data, 'length', { keeps: true } as never),
      net.process(data, 'length', { args: 'x'.repeat(40 * 1024) }),
    ];
    for (const call of calls) expect(await codeOf(call)).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
    expect(await codeOf(net.process(data, 'length', { args: () => 1 }))).toBe('PAIPAI_ERR_VALUE');
  });
});

describe('state', () => {
  test('nothing moves before the start', async () => {
    const node = new Node(1);
    const net = netOf(node);
    const data = new Data(1, 10);
    net.addData(data);
    expect(await codeOf(net.transfer(data))).toBe('PAIPAI_ERR_NOT_STARTED');
    expect(await codeOf(net.process(data))).toBe('PAIPAI_ERR_NOT_STARTED');
    expect(await codeOf(net.read(data))).toBe('PAIPAI_ERR_NOT_STARTED');
    expect(await codeOf(node.process(data))).toBe('PAIPAI_ERR_NOT_STARTED');
    expect(() => net.info()).toThrow(expect.objectContaining({ code: 'PAIPAI_ERR_NOT_STARTED' }));
    expect(node.pid).toBeUndefined();
    expect((await net.plan(data)).perNode).toEqual([
      { nodeId: '1', shards: 1, bytes: 10, weight: 1 },
    ]);
  });

  test('nor after the close, which can be called again', async () => {
    const { net, nodes } = await startNet(1, { runAs: 'inline' });
    const data = new Data(1, 10);
    net.addData(data);
    await Promise.all([net.close(), net.close()]);
    await net.close();
    expect(await codeOf(net.transfer(data))).toBe('PAIPAI_ERR_CLOSED');
    expect(await codeOf(net.process(data))).toBe('PAIPAI_ERR_CLOSED');
    expect(await codeOf(net.plan(data))).toBe('PAIPAI_ERR_CLOSED');
    expect(await codeOf(net.start())).toBe('PAIPAI_ERR_CLOSED');
    expect(await codeOf(nodes[0]?.process(data) ?? Promise.resolve())).toBe('PAIPAI_ERR_CLOSED');
    expect(() => net.addData(new Data(2, 1))).toThrow(
      expect.objectContaining({ code: 'PAIPAI_ERR_CLOSED' }),
    );
  });

  test('closing before the start, and while starting', async () => {
    const unused = netOf(new Node(1));
    await unused.close();
    const net = netOf(new Node(1));
    const starting = net.start();
    await net.close();
    await starting;
    expect(() => net.info()).toThrow(expect.objectContaining({ code: 'PAIPAI_ERR_CLOSED' }));
  });

  test('a net without nodes, started twice, or given a node after the start', async () => {
    expect(await codeOf(new Net().start())).toBe('PAIPAI_ERR_INVALID_STATE');
    const { net } = await startNet(1, { runAs: 'inline' });
    expect(await codeOf(net.start())).toBe('PAIPAI_ERR_INVALID_STATE');
    expect(() => net.addNode(new Node(2))).toThrow(
      expect.objectContaining({ code: 'PAIPAI_ERR_INVALID_STATE' }),
    );
  });

  test('nodes and data that the net does not have', async () => {
    const { net } = await startNet(1, { runAs: 'inline' });
    const data = new Data(1, 10);
    const namesake = new Data(1, 20);
    net.addData(data);
    expect(await codeOf(net.transfer(namesake))).toBe('PAIPAI_ERR_UNKNOWN_DATA');
    expect(await codeOf(net.transfer(data, new Node(1)))).toBe('PAIPAI_ERR_UNKNOWN_NODE');
    expect(await codeOf(new Node(9).process(data))).toBe('PAIPAI_ERR_UNKNOWN_NODE');
    expect(await codeOf(net.read(data))).toBe('PAIPAI_ERR_UNKNOWN_DATA');
  });

  test('what is under way at the close ends with CLOSED', async () => {
    const { net } = await startNet(2, { runAs: 'inline' });
    async function* slow(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(10);
      await new Promise(() => {});
    }
    const data = new Data(1, slow(), { shardBytes: 5 });
    const waiting = new Data(2, 10);
    net.addData(data).addData(waiting);
    const codes = Promise.all([
      codeOf(net.transfer(data)),
      codeOf(net.transfer(data)),
      codeOf(net.process(waiting, 'endless')),
    ]);
    await net.close();
    expect(await codes).toEqual(['PAIPAI_ERR_CLOSED', 'PAIPAI_ERR_CLOSED', 'PAIPAI_ERR_CLOSED']);
  });
});

describe('sources', () => {
  test('no byte, a missing file, a failing stream: nothing stays on the nodes', async () => {
    const { net } = await startNet(2, { runAs: 'inline' });
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(50_000);
      throw new Error('the tap is dry');
    }
    async function* empty(): AsyncGenerator<Uint8Array> {}
    const cases: [Data, string][] = [
      [new Data('empty', empty()), 'PAIPAI_ERR_DATA_EMPTY'],
      [Data.fromFile('missing', '/nowhere/at/all'), 'PAIPAI_ERR_SOURCE_FAILED'],
      [new Data('failing', failing(), { shardBytes: 1_000 }), 'PAIPAI_ERR_SOURCE_FAILED'],
    ];
    for (const [data, code] of cases) {
      net.addData(data);
      expect(await codeOf(net.transfer(data))).toBe(code);
      expect(await codeOf(net.read(data))).toBe('PAIPAI_ERR_UNKNOWN_DATA');
    }
    const good = new Data('good', 10_000, { shardBytes: 1_000 });
    net.addData(good);
    expect((await net.process(good, 'length')).value).toHaveLength(10);
  });

  test('a stream cannot be planned, and is left unread by that', async () => {
    const { net } = await startNet(1, { runAs: 'inline' });
    async function* stream(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(10);
    }
    const data = new Data('s', stream());
    net.addData(data);
    expect(await codeOf(net.plan(data))).toBe('PAIPAI_ERR_INVALID_STATE');
    expect((await net.process(data, 'length')).value).toEqual([10]);
  });
});

describe('handlers', () => {
  test('each failure has its code, and the node works on', async () => {
    const { net } = await startNet(2, { runAs: 'inline' });
    const data = new Data('d', 40, { shardBytes: 10 });
    net.addData(data);

    const unknown = await net.process(data, 'nobody').catch((error: unknown) => error);
    expect(unknown).toMatchObject({ code: 'PAIPAI_ERR_HANDLER_UNKNOWN', handler: 'nobody' });
    expect((unknown as PaipaiError).message).toContain('byteSum');
    expect(await codeOf(net.process(data, 'notAHandler'))).toBe('PAIPAI_ERR_HANDLER_UNKNOWN');

    const threw = await net.process(data, 'throwsOnShard1').catch((error: unknown) => error);
    expect(threw).toMatchObject({
      code: 'PAIPAI_ERR_HANDLER_FAILED',
      shardIndex: 1,
      nodeId: expect.any(String),
      handler: 'throwsOnShard1',
    });
    expect((threw as PaipaiError).message).toMatch(
      /throwsOnShard1.*RangeError: no luck with this one[\s\S]*handlers\.mjs:\d+/,
    );

    for (const handler of [
      'rejects',
      'throwsNoError',
      'mergeThrows',
      'exits',
      'rejectsBehindOurBack',
    ]) {
      expect(await codeOf(net.process(data, handler))).toBe('PAIPAI_ERR_HANDLER_FAILED');
    }
    expect(await codeOf(net.process(data, 'givesFunction'))).toBe('PAIPAI_ERR_HANDLER_RESULT');
    expect((await net.process(data, 'length')).value).toEqual([10, 10, 10, 10]);
  });

  test('that fail on several nodes: all of it is kept', async () => {
    const { net } = await startNet(3, { runAs: 'inline' });
    const data = new Data('d', 60, { shardBytes: 1 });
    net.addData(data);
    await net.transfer(data);
    for (const options of [{}, { keep: false }]) {
      const error = await net.process(data, 'rejects', options).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'PAIPAI_ERR_HANDLER_FAILED', handler: 'rejects' });
      const { cause } = error as PaipaiError;
      expect(cause).toBeInstanceOf(AggregateError);
      const { errors } = cause as AggregateError;
      expect(new Set(errors.map(({ nodeId }) => nodeId))).toEqual(new Set(['1', '2', '3']));
      for (const one of errors) {
        expect(one).toMatchObject({
          code: 'PAIPAI_ERR_HANDLER_FAILED',
          shardIndex: expect.any(Number),
          message: expect.stringContaining('later, no luck'),
        });
      }
    }
  });

  test('that fail while others of the same call never end are not waited for', async () => {
    const { net } = await startNet(2, { runAs: 'inline' });
    const data = new Data('d', 40, { shardBytes: 1 });
    net.addData(data);
    const startMs = performance.now();
    expect(await codeOf(net.process(data, 'endlessButOnShard0'))).toBe('PAIPAI_ERR_HANDLER_FAILED');
    expect(performance.now() - startMs).toBeLessThan(bound(5_000));
    expect((await net.process(data, 'length')).value).toHaveLength(40);
  });

  test('without a module there is digest alone', async () => {
    const net = netOf(new Node(1, { runAs: 'inline' }));
    const data = new Data(1, 10);
    net.addData(data);
    await net.start();
    expect(await codeOf(net.process(data, 'length'))).toBe('PAIPAI_ERR_HANDLER_UNKNOWN');
    expect((await net.process(data)).value).toMatchObject({ bytes: 10, shards: 1 });
  });

  test.each([
    ['is not there', undefined],
    ['does not parse', 'export const = 1'],
    ['throws', "throw new Error('not today')"],
    ['exits', 'process.exit(0)'],
    ['exports no handler', 'export const limit = 1'],
    ['has a process that is no function', 'export const a = { process: 1 }'],
    ['has a merge that is no function', 'export function a() {}; a.merge = 1'],
    ['takes a built-in name', 'export function digest() {}'],
  ])('a module that %s fails the start', async (_how, source) => {
    const handlers = source === undefined ? '/nowhere/handlers.mjs' : tempModule(source);
    for (const runAs of ['inline', 'process'] as const) {
      const net = new Net({ handlers, runAs }).addNode(new Node(1)).addNode(new Node(2));
      onTestFinished(() => net.close());
      expect(await codeOf(net.start())).toBe('PAIPAI_ERR_HANDLER_MODULE');
    }
  });
});

describe('remote nodes', () => {
  test('one that listens elsewhere works as an embedded one does', async () => {
    const remote = await runNode({
      listen: 'tcp://127.0.0.1:0',
      name: 'n',
      secret: 's'.repeat(16),
    });
    onTestFinished(() => remote.close());
    const net = new Net({ name: 'n', secret: 's'.repeat(16) }).addNode(
      new Node('far', { address: remote.address }),
    );
    onTestFinished(() => net.close());
    const data = new Data(1, 5_000, { shardBytes: 1_000 });
    net.addData(data);
    await net.start();
    expect((await net.process(data)).value).toMatchObject({ bytes: 5_000, shards: 5 });
    expect(net.info().nodes).toMatchObject([{ id: 'far', address: remote.address, path: 'shm' }]);
    await net.close();

    // It goes on, without the data of a net that is closed.
    const next = new Net({ name: 'n', secret: 's'.repeat(16) }).addNode(
      new Node('far', { address: remote.address }),
    );
    onTestFinished(() => next.close());
    const other = new Data(1, 10);
    next.addData(other);
    await next.start();
    expect((await next.process(other)).value).toMatchObject({ bytes: 10 });
  });

  test('another name, a wrong secret, one secret too few', async () => {
    const remote = await runNode({
      listen: 'tcp://127.0.0.1:0',
      name: 'right',
      secret: 'the right secret',
    });
    onTestFinished(() => remote.close());
    const cases: [object, string][] = [
      [{ name: 'wrong', secret: 'the right secret' }, 'PAIPAI_ERR_NET_NAME'],
      [{ name: 'right', secret: 'the wrong secret' }, 'PAIPAI_ERR_SECRET'],
      [{ name: 'right' }, 'PAIPAI_ERR_SECRET'],
    ];
    for (const [options, code] of cases) {
      const net = new Net(options).addNode(new Node(1, { address: remote.address }));
      const error = await net.start().catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code, nodeId: '1', address: remote.address });
      await net.close();
    }
  });

  test('one of them under two ids, or two that call themselves alike', async () => {
    const start = async (nodeId: string): Promise<string> => {
      const node = await runNode({ listen: 'tcp://127.0.0.1:0', nodeId });
      onTestFinished(() => node.close());
      return node.address;
    };
    const address = await start('here');
    for (const second of [address, await start('here')]) {
      const net = netOf(new Node(1, { address }), new Node(2, { address: second }));
      await expect(net.start()).rejects.toMatchObject({
        code: 'PAIPAI_ERR_DUPLICATE_ID',
        nodeId: '2',
        address: second,
        message: expect.stringContaining('here'),
      });
    }
    const net = netOf(new Node(1, { address }), new Node(2, { address: await start('elsewhere') }));
    await net.start();
  });

  test('nobody there: the system says why', async () => {
    for (const address of ['tcp://127.0.0.1:1', 'unix:///nowhere/at.sock']) {
      const net = netOf(new Node('far', { address }));
      const error = await net.start().catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'PAIPAI_ERR_NODE_START', nodeId: 'far', address });
      expect((error as PaipaiError).cause).toMatchObject({
        code: expect.stringMatching(/ECONNREFUSED|ENOENT/),
      });
    }
  });

  test('an HTTP server is called what it is', async () => {
    const server = createServer((_request, response) => response.end('hello'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
    const { port } = server.address() as AddressInfo; // It listens on TCP.
    const net = netOf(new Node(1, { address: `tcp://127.0.0.1:${port}` }));
    expect(await codeOf(net.start())).toBe('PAIPAI_ERR_FRAME_MAGIC');
  });

  test('listening: an address in use, or open to others without a secret', async () => {
    const remote = await runNode({ listen: 'tcp://127.0.0.1:0' });
    onTestFinished(() => remote.close());
    await expect(runNode({ listen: remote.address })).rejects.toMatchObject({ code: 'EADDRINUSE' });
    expect(await codeOf(runNode({ listen: 'tcp://0.0.0.0:0' }))).toBe(
      'PAIPAI_ERR_INSECURE_ADDRESS',
    );
    expect(await codeOf(runNode({ listen: 'udp://127.0.0.1:0' }))).toBe(
      'PAIPAI_ERR_INVALID_ADDRESS',
    );
    expect(await codeOf(runNode({ listen: 'tcp://127.0.0.1:0', handlers: '/nowhere.mjs' }))).toBe(
      'PAIPAI_ERR_HANDLER_MODULE',
    );
  });

  test('one node that cannot be had ends the others; the net can be started again', async () => {
    const folder = ownTmpdir();
    const embedded = new Node(1);
    const remote = new Node(2, { address: 'tcp://127.0.0.1:1' });
    const net = netOf(embedded, remote);
    expect(await codeOf(net.start())).toBe('PAIPAI_ERR_NODE_START');
    expect(embedded.pid).toBeUndefined();
    expect(readdirSync(folder)).toEqual([]);
    expect(await codeOf(net.start())).toBe('PAIPAI_ERR_NODE_START');
  });
});
