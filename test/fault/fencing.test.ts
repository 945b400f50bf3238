import { expect, onTestFinished, test } from 'vitest';
import { Data, Net } from '../../dist/index.js';
import { makeFolder } from '../support/folders.js';
import { NodeProcess } from '../support/node-process.mjs';
import { codeOf } from '../support/session-pair.js';

/** What holders of a lock change, when others have held it since. */

const bytes = (value: string): Uint8Array => Buffer.from(value);

async function start() {
  const nodes: NodeProcess[] = [];
  for (const id of ['a', 'b']) {
    const first = nodes[0];
    const node = await NodeProcess.start([
      ...['--id', id, '--store', `files:${makeFolder()}/s`],
      ...(first === undefined ? ['--coordinator'] : ['--join', first.address]),
    ]);
    onTestFinished(() => node.kill());
    nodes.push(node);
  }
  return async (content: string) => {
    const net = new Net({ join: nodes.map(({ address }) => address) });
    onTestFinished(() => net.close());
    await net.start();
    const data = new Data('d', bytes(content), { shardBytes: 1_024 });
    net.addData(data);
    return { net, data };
  };
}

async function contentOf({ net, data }: { net: Net; data: Data }): Promise<string> {
  const pieces: Uint8Array[] = [];
  await net.readEach(data, async (piece) => {
    pieces.push(Uint8Array.from(piece));
  });
  return Buffer.concat(pieces).toString();
}

test('who held the lock before changes nothing any more, nor does who never held it', async () => {
  const client = await start();
  const [old, next, other] = [
    await client('old '.repeat(1_000)),
    await client('next'.repeat(1_000)),
    await client('none'.repeat(1_000)),
  ];
  const stale = await old.net.coordinator.lock('d');
  await old.net.transfer(old.data, undefined, { token: stale.token });
  // It goes on with the lock of its own.
  await old.net.transfer(old.data, undefined, { token: stale.token });
  await stale.release();

  const lock = await next.net.coordinator.lock('d');
  await next.net.transfer(next.data, undefined, { token: lock.token });
  const fenced = 'PAIPAI_ERR_FENCED';
  expect(await codeOf(old.net.transfer(old.data, undefined, { token: stale.token }))).toBe(fenced);
  expect(await codeOf(old.net.drop(old.data, { token: stale.token }))).toBe(fenced);
  expect(await codeOf(other.net.transfer(other.data))).toBe(fenced);
  expect(await codeOf(other.net.drop(other.data))).toBe(fenced);
  expect(await contentOf(next)).toBe('next'.repeat(1_000));
  // What changes no content needs no lock.
  await next.net.repair(next.data);
  await next.net.drop(next.data, { token: lock.token });
  // Dropped data keep their fence.
  expect(await codeOf(old.net.transfer(old.data, undefined, { token: stale.token }))).toBe(fenced);
  await next.net.transfer(next.data, undefined, { token: lock.token });
  expect(await contentOf(next)).toBe('next'.repeat(1_000));
});

test.each([0, -1, 1.5, '1', Number.MAX_SAFE_INTEGER + 1])('%j is no token', async (token) => {
  const net = new Net();
  onTestFinished(() => net.close());
  const data = new Data('d', bytes('1'));
  net.addData(data);
  const wrong = 'PAIPAI_ERR_INVALID_ARGUMENT';
  const options = { token: token as number };
  expect(await codeOf(net.transfer(data, undefined, options))).toBe(wrong);
  expect(await codeOf(net.drop(data, options))).toBe(wrong);
});
