import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ownTmpdir, reached, startNet } from '../main-job/nets.js';
import { linesOf } from '../support/notes.js';

/** Messages to node processes, of which some are killed or stand still. */

const handlers = new URL('../main-job/message-handlers.mjs', import.meta.url);
const timeout = 60_000;

describe('broadcast to five node processes', { timeout }, () => {
  test('one killed in the middle fails alone; each of the others took it once', async () => {
    const { net, pids } = await startNet(5, { handlers });
    const file = join(ownTmpdir(), 'notes');
    const broadcast = net.broadcast('noteAndHang', { file, what: 'news', hangsOn: '3' });
    expect(await reached(30_000, () => linesOf(file).length === 5)).toBe(true);
    process.kill(pids[2] ?? 0, 'SIGKILL');
    const { confirmed, failed } = await broadcast;
    expect(confirmed.map(({ nodeId, value }) => [nodeId, value])).toEqual(
      ['1', '2', '4', '5'].map((id) => [id, id]),
    );
    expect(failed).toMatchObject([
      { nodeId: '3', error: { code: 'PAIPAI_ERR_NODE_LOST', nodeId: '3' } },
    ]);
    // The dead one is not there for the next, nor was anything sent twice for its sake.
    const next = await net.broadcast('note', { file, what: 'more' });
    expect(next.confirmed.map(({ nodeId }) => nodeId)).toEqual(['1', '2', '4', '5']);
    expect(next.failed).toEqual([]);
    expect(linesOf(file)).toEqual([
      ...['1 more', '1 news', '2 more', '2 news', '3 news'],
      ...['4 more', '4 news', '5 more', '5 news'],
    ]);
    await expect(net.send(3, 'echo')).rejects.toMatchObject({ code: 'PAIPAI_ERR_NODE_LOST' });
  });

  test('one that stands still misses the deadline, and holds up nobody', async () => {
    const { net, pids } = await startNet(5, { handlers });
    const stopped = pids[4] ?? 0;
    expect((await net.broadcast('echo')).confirmed).toHaveLength(5);
    process.kill(stopped, 'SIGSTOP');
    onTestFinished(() => void process.kill(stopped, 'SIGCONT'));
    const { confirmed, failed } = await net.broadcast('echo', 1, { deadlineMs: 2_000 });
    expect(confirmed.map(({ nodeId }) => nodeId)).toEqual(['1', '2', '3', '4']);
    expect(failed).toMatchObject([{ nodeId: '5', error: { code: 'PAIPAI_ERR_DEADLINE' } }]);
    process.kill(stopped, 'SIGCONT');
    expect(await net.send(5, 'echo', 'again')).toBe('again');
  });
});
