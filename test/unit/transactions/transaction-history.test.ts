import { describe, expect, test } from 'vitest';
import { flawOfTransactions, type TriedTransaction } from '../../sim/transaction-history.mjs';

/** The check of the simulation itself: what it lets pass, and what it must not. */

function tried(
  tag: string,
  [startedAt, endedAt]: readonly [number, number],
  reads: Record<string, string | null>,
  writes: readonly string[],
  outcome: TriedTransaction['outcome'] = 'committed',
): TriedTransaction {
  const list = Object.entries(reads).map(([key, of]) => ({ key, tag: of }));
  return { tag, startedAt, endedAt, outcome, reads: list, writes };
}

function flaw(
  all: readonly TriedTransaction[],
  histories: Record<string, readonly string[]>,
): string | undefined {
  const entries = Object.entries(histories).map(
    ([key, tags]) => [key, tags.map((tag) => ({ tag, isThere: true }))] as const,
  );
  return flawOfTransactions(all, new Map(entries));
}

const first = tried('t0', [0, 1], {}, ['x', 'y']);

describe('the check of what transactions have done', () => {
  test('lets an order pass that fits, also with outcomes that nobody heard', () => {
    const one = tried('t1', [2, 9], { x: 't0' }, ['x']);
    const other = tried('t2', [3, 8], { x: 't1', y: 't0' }, ['y']);
    const unheard = tried('t3', [4, Infinity], { x: 't1' }, ['x'], 'unknown');
    const nothing = tried('t4', [5, 6], { x: 't0' }, ['x'], 'aborted');
    const never = tried('t5', [5, Infinity], { x: 't0' }, ['x'], 'unknown');
    expect(
      flaw([first, one, other, unheard, nothing, never], {
        x: ['t0', 't1', 't3'],
        y: ['t0', 't2'],
      }),
    ).toBeUndefined();
  });

  test.each([
    ['a part is missing', [tried('t1', [2, 3], {}, ['x', 'y'])], { x: ['t0', 't1'], y: ['t0'] }],
    ['one is done twice', [tried('t1', [2, 3], {}, ['x'])], { x: ['t0', 't1', 't1'], y: ['t0'] }],
    [
      'one that was said not to be is done',
      [tried('t1', [2, 3], {}, ['x'], 'aborted')],
      { x: ['t0', 't1'], y: ['t0'] },
    ],
    ['one that was said to be is not', [tried('t1', [2, 3], {}, ['x'])], { x: ['t0'], y: ['t0'] }],
    [
      'an update is lost',
      [tried('t1', [2, 5], { x: 't0' }, ['x']), tried('t2', [3, 4], { x: 't0' }, ['x'])],
      { x: ['t0', 't1', 't2'], y: ['t0'] },
    ],
    [
      'two have each read what the other replaces',
      [tried('t1', [2, 5], { y: 't0' }, ['x']), tried('t2', [3, 4], { x: 't0' }, ['y'])],
      { x: ['t0', 't1'], y: ['t0', 't2'] },
    ],
    [
      'one has read a mixture',
      [tried('t1', [2, 9], {}, ['x', 'y']), tried('t2', [3, 8], { x: 't1', y: 't0' }, [])],
      { x: ['t0', 't1'], y: ['t0', 't1'] },
    ],
    [
      'one has read what was replaced before it began',
      [tried('t1', [2, 3], {}, ['x']), tried('t2', [4, 5], { x: 't0' }, [])],
      { x: ['t0', 't1'], y: ['t0'] },
    ],
    [
      'one has read what never counted',
      [tried('t1', [2, 3], {}, ['x'], 'aborted'), tried('t2', [4, 5], { x: 't1' }, [])],
      { x: ['t0'], y: ['t0'] },
    ],
  ] as const)('finds out that %s', (_, others, histories) => {
    expect(flaw([first, ...others], histories)).toBeDefined();
  });
});
