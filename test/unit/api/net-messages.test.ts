import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Net, type NetOptions } from '../../../dist/index.js';
import { ownTmpdir, reached, type StartedNet, startNet } from '../../main-job/nets.js';
import { linesOf } from '../../support/notes.js';
import { codeOf } from '../../support/session-pair.js';

/** Messages from a net to its nodes, and what their handlers answer. */

const handlers = new URL('../../main-job/message-handlers.mjs', import.meta.url);

function startInline(nodeCount: number, options: NetOptions = {}): Promise<StartedNet> {
  return startNet(nodeCount, { handlers, runAs: 'inline', ...options });
}

describe('send', () => {
  test('settles with what the handler of the node returned', async () => {
    const { net } = await startInline(2);
    const value = { text: 'ä', list: [1, null, 2n ** 60n], bytes: new Uint8Array([1, 2]) };
    expect(await net.send(1, 'echo', value)).toEqual(value);
    expect(await net.send('2', 'nothing')).toBeNull();
    expect(await net.send(2, 'echo')).toBeNull();
    expect(await net.send(1, 'context')).toEqual({
      topic: 'context',
      from: expect.stringMatching(/^client-[0-9a-f]{16}$/),
      nodeId: '1',
      aborted: false,
    });
    expect(await net.send(1, 'is.on.a.worker')).toBe(true);
  });

  test('leaves a node answering others while a handler works', async () => {
    const { net } = await startInline(1);
    const stop = new AbortController();
    const file = join(ownTmpdir(), 'notes');
    const waiting = net.send(1, 'noteAbort', { file }, { signal: stop.signal });
    expect(await reached(10_000, () => linesOf(file).length === 1)).toBe(true);
    expect(await net.send(1, 'echo', 'meanwhile')).toBe('meanwhile');
    stop.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'PAIPAI_ERR_ABORTED', nodeId: '1' });
    // The handler hears of it.
    expect(await reached(10_000, () => linesOf(file).length === 2)).toBe(true);
  });

  test('ends a handler that never returns at the deadline, and the node goes on', async () => {
    const { net } = await startInline(1);
    await expect(net.send(1, 'endless', null, { deadlineMs: 200 })).rejects.toMatchObject({
      code: 'PAIPAI_ERR_DEADLINE',
      nodeId: '1',
    });
    expect(await net.send(1, 'echo', 7)).toBe(7);
  });

  test.each([
    ['a handler that throws', 'throws', 'PAIPAI_ERR_HANDLER_FAILED', 'no such thing'],
    ['an answer that cannot be sent', 'answersAFunction', 'PAIPAI_ERR_HANDLER_RESULT', 'function'],
    ['an answer beyond 1 MiB', 'answersTooMuch', 'PAIPAI_ERR_HANDLER_RESULT', '1048581 bytes'],
    ['a topic nobody takes', 'nowhere', 'PAIPAI_ERR_HANDLER_UNKNOWN', 'echo, nothing'],
    ['the name of a handler of shards', 'length', 'PAIPAI_ERR_HANDLER_UNKNOWN', 'echo, nothing'],
  ])('%s is a typed error of the node', async (_what, topic, code, words) => {
    const { net } = await startInline(1);
    await expect(net.send(1, topic)).rejects.toMatchObject({
      code,
      nodeId: '1',
      handler: topic,
      message: expect.stringContaining(words),
    });
  });

  test('refuses what is no message before anything is sent', async () => {
    const { net } = await startInline(1);
    expect(await codeOf(net.send(7, 'echo'))).toBe('PAIPAI_ERR_UNKNOWN_NODE');
    expect(await codeOf(net.send(1, 'echo', () => {}))).toBe('PAIPAI_ERR_VALUE');
    const largest = 'x'.repeat(1024 * 1024 - 5);
    expect(await net.send(1, 'echo', largest)).toBe(largest);
    expect(await codeOf(net.send(1, 'echo', `${largest}x`))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
    for (const topic of ['', 'x'.repeat(256), 7]) {
      expect(await codeOf(net.send(1, topic as string))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
    }
    for (const nodeId of ['', -1, null]) {
      expect(await codeOf(net.send(nodeId as string, 'echo'))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
    }
    for (const options of [{ deadlineMs: 0 }, { signal: 7 }, { onProgress() {} }, null]) {
      expect(await codeOf(net.send(1, 'echo', 1, options as never))).toBe(
        'PAIPAI_ERR_INVALID_ARGUMENT',
      );
    }
  });

  test('needs a net that is started and not closed', async () => {
    const net = new Net();
    onTestFinished(() => net.close());
    expect(await codeOf(net.send(1, 'echo'))).toBe('PAIPAI_ERR_NOT_STARTED');
    expect(await codeOf(net.broadcast('echo'))).toBe('PAIPAI_ERR_NOT_STARTED');
    await net.close();
    expect(await codeOf(net.send(1, 'echo'))).toBe('PAIPAI_ERR_CLOSED');
    expect(await codeOf(net.broadcast('echo'))).toBe('PAIPAI_ERR_CLOSED');
  });

  test('under way at a close fails with it', async () => {
    const { net } = await startInline(1);
    const file = join(ownTmpdir(), 'notes');
    const waiting = net.send(1, 'noteAbort', { file });
    const all = net.broadcast('noteAbort', { file });
    expect(await reached(10_000, () => linesOf(file).length >= 1)).toBe(true);
    const [sent, heard] = await Promise.all([codeOf(waiting), all, net.close()]);
    expect(sent).toBe('PAIPAI_ERR_CLOSED');
    expect(heard).toMatchObject({
      confirmed: [],
      failed: [{ nodeId: '1', error: { code: 'PAIPAI_ERR_CLOSED' } }],
    });
  });
});

describe('broadcast', () => {
  test('reaches each node once, and says what each answered', async () => {
    const { net } = await startInline(3);
    const file = join(ownTmpdir(), 'notes');
    const { confirmed, failed } = await net.broadcast('note', { file, what: 'news' });
    expect(confirmed).toEqual(['1', '2', '3'].map((id) => ({ nodeId: id, value: id })));
    expect(failed).toEqual([]);
    expect(linesOf(file)).toEqual(['1 news', '2 news', '3 news']);
  });

  test('says which node failed, and with what', async () => {
    const { net } = await startInline(3);
    const file = join(ownTmpdir(), 'notes');
    const value = { file, what: 'news', hangsOn: '2' };
    const { confirmed, failed } = await net.broadcast('noteAndHang', value, { deadlineMs: 1_000 });
    expect(confirmed.map(({ nodeId }) => nodeId)).toEqual(['1', '3']);
    expect(failed).toMatchObject([
      { nodeId: '2', error: { code: 'PAIPAI_ERR_DEADLINE', nodeId: '2' } },
    ]);
    expect(linesOf(file)).toEqual(['1 news', '2 news', '3 news']);
    const unknown = await net.broadcast('nowhere');
    expect(unknown.failed.map(({ error }) => error.code)).toEqual(
      Array(3).fill('PAIPAI_ERR_HANDLER_UNKNOWN'),
    );
  });
});
