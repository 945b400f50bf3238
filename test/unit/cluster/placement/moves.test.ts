import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type LyingShard, type Move, planMoves } from '../../../../dist/cluster/placement/moves.js';
import {
  createPlacement,
  placementStrategies,
  planShards,
} from '../../../../dist/cluster/placement/placement.js';

const nodesOf = (ids: readonly string[]) => ids.map((id) => ({ id, weight: 1 }));
const abc = ['a', 'b', 'c'];

/** Where `count` shards of 1 byte lie when they are placed on `ids`. */
function lying(
  ids: readonly string[],
  count: number,
  copies: number,
  strategy: (typeof placementStrategies)[number] = 'boundedRendezvous',
): LyingShard[] {
  const cuts = Array.from({ length: count }, (_, index) => ({ index, offset: index, bytes: 1 }));
  const placement = createPlacement(strategy, nodesOf(ids), count * copies);
  return planShards('d', cuts, placement, copies).map(({ nodeIds, ...cut }) => ({
    ...cut,
    holders: nodeIds,
  }));
}

function movesTo(
  ids: readonly string[],
  shards: readonly LyingShard[],
  copies: number,
  present: readonly string[] = [...ids, ...abc],
  strategy: (typeof placementStrategies)[number] = 'boundedRendezvous',
): Move[] {
  const placement = createPlacement(strategy, nodesOf(ids), shards.length * copies);
  return planMoves('d', shards, placement, copies, new Set(present));
}

function after(shards: readonly LyingShard[], moves: readonly Move[]): LyingShard[] {
  const byIndex = new Map(moves.map((move) => [move.index, move]));
  return shards.map((shard) => {
    const { to = [], from = [] } = byIndex.get(shard.index) ?? {};
    return { ...shard, holders: [...shard.holders.filter((id) => !from.includes(id)), ...to] };
  });
}

test.each(placementStrategies)('%s moves nothing that lies where it belongs', (strategy) => {
  const shards = lying(abc, 500, 2, strategy);
  expect(movesTo(abc, shards, 2, abc, strategy)).toEqual([]);
});

describe.each([1, 3])('of shards with %i copies', (copies) => {
  test('a node that joins nine others gets its part, and little else moves', () => {
    const nine = Array.from({ length: 9 }, (_, at) => `n${at}`);
    const ten = [...nine, 'new'];
    const shards = lying(nine, 10_000, copies);
    const moves = movesTo(ten, shards, copies, ten);
    const copied = moves.reduce((sum, { to }) => sum + to.length, 0);
    expect(copied / (10_000 * copies)).toBeLessThanOrEqual(1.5 / 10);
    expect(copied).toBe(moves.reduce((sum, { from }) => sum + from.length, 0));
  });

  test('all of a node that goes moves to the others', () => {
    const shards = lying([...abc, 'd'], 1_000, copies);
    const moves = movesTo(abc, shards, copies, [...abc, 'd']);
    for (const { holders } of after(shards, moves)) {
      expect(holders).not.toContain('d');
      expect(new Set(holders).size).toBe(copies);
    }
  });
});

test('what lies with nodes that are away is neither counted nor taken from them', () => {
  const shards = [{ index: 0, offset: 0, bytes: 1, holders: ['a', 'gone'] }];
  expect(movesTo(['a', 'b'], shards, 2, ['a', 'b'])).toEqual([
    { index: 0, bytes: 1, to: ['b'], from: [] },
  ]);
});

test('a shard of which no copy is there stays out', () => {
  const shards = [{ index: 0, offset: 0, bytes: 1, holders: ['gone'] }];
  expect(movesTo(['a', 'b'], shards, 1, ['a', 'b'])).toEqual([]);
});

test('from anywhere it ends where placement says, and a second look finds nothing', () => {
  const holders = fc.subarray(['a', 'b', 'c', 'd', 'e'], { minLength: 1 });
  const nodes = fc.subarray(['a', 'b', 'c', 'd', 'e', 'f'], { minLength: 2 });
  fc.assert(
    fc.property(
      fc.array(holders, { maxLength: 40 }),
      nodes,
      fc.integer({ min: 1, max: 2 }),
      (lists, ids, copies) => {
        const shards = lists.map((list, index) => ({
          index,
          offset: index,
          bytes: 1,
          holders: list,
        }));
        const all = ['a', 'b', 'c', 'd', 'e', 'f'];
        const moved = after(shards, movesTo(ids, shards, copies, all));
        for (const shard of moved) {
          expect(new Set(shard.holders).size).toBe(copies);
          expect(shard.holders.every((id) => ids.includes(id))).toBe(true);
        }
        expect(movesTo(ids, moved, copies, all)).toEqual([]);
      },
    ),
  );
});
