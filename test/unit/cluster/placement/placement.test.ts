import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadBound } from '../../../../dist/cluster/placement/bounded-rendezvous.js';
import { hashPair, hashText } from '../../../../dist/cluster/placement/hash.js';
import { loadOf } from '../../../../dist/cluster/placement/load.js';
import {
  createPlacement,
  type PlacementNode,
  type PlacementStrategy,
  placementStrategies,
  planShards,
} from '../../../../dist/cluster/placement/placement.js';
import { RendezvousPlacement } from '../../../../dist/cluster/placement/rendezvous.js';
import { sharesOf } from '../../../../dist/cluster/placement/shares.js';

const keyCount = 10_000;

function equalNodes(count: number): PlacementNode[] {
  return Array.from({ length: count }, (_, index) => ({ id: `node-${index + 1}`, weight: 1 }));
}

function place(
  strategy: PlacementStrategy,
  nodes: PlacementNode[],
  dataId = 'data',
  count = keyCount,
) {
  const cuts = Array.from({ length: count }, (_, index) => ({ index, offset: index, bytes: 1 }));
  const plan = planShards(dataId, cuts, createPlacement(strategy, nodes, count), 1);
  return plan.map(({ nodeIds: [nodeId = ''], ...cut }) => ({ ...cut, nodeId }));
}

const nodesOf = (plan: { nodeId: string }[]) => plan.map(({ nodeId }) => nodeId);

describe.each(placementStrategies)('%s', (strategy) => {
  test('one node gets everything', () => {
    const nodes = [{ id: 'only', weight: 0.001 }];
    expect(place(strategy, nodes, 'd', 100).every(({ nodeId }) => nodeId === 'only')).toBe(true);
  });

  test('a plan repeats the cuts in order, each on a node that there is', () => {
    const cuts = [
      { index: 0, offset: 0, bytes: 10 },
      { index: 1, offset: 10, bytes: 3 },
    ];
    const plan = planShards('d', cuts, createPlacement(strategy, equalNodes(3)), 2);
    expect(plan).toMatchObject(cuts);
    for (const { nodeIds } of plan) {
      expect(nodeIds).toEqual([
        expect.stringMatching(/^node-[123]$/),
        expect.stringMatching(/^node-[123]$/),
      ]);
      expect(new Set(nodeIds).size).toBe(2);
    }
  });

  test('the same shards are placed alike a second time', () => {
    expect(place(strategy, equalNodes(5))).toEqual(place(strategy, equalNodes(5)));
  });

  test.each([2, 3, 5, 10, 16])(
    '%i equal nodes: within 1.15 of the mean over 10,000 keys',
    (count) => {
      for (const dataId of ['data', '1', '東京']) {
        const load = loadOf(place(strategy, equalNodes(count), dataId), equalNodes(count));
        expect(load.maxToMean).toBeLessThanOrEqual(1.15);
        expect(load.fairness).toBeGreaterThan(0.99);
        expect(load.perNode.reduce((sum, node) => sum + node.weight, 0)).toBeCloseTo(1, 12);
        expect(load.totalBytes).toBe(keyCount);
      }
    },
  );
});

describe.each(['weighted', 'rendezvous', 'boundedRendezvous'] as const)('%s', (strategy) => {
  test('weighted nodes get their share within 5 % over 10,000 keys', () => {
    const nodes = [2, 3, 5].map((weight, index) => ({ id: `node-${index + 1}`, weight }));
    const { perNode } = loadOf(place(strategy, nodes), nodes);
    for (const [index, { weight }] of perNode.entries()) {
      const share = (nodes[index]?.weight ?? 0) / 10;
      expect(Math.abs(weight / share - 1)).toBeLessThanOrEqual(0.05);
    }
  });
});

describe.each(['rendezvous', 'boundedRendezvous'] as const)('%s', (strategy) => {
  test.each([2, 3, 5, 10, 20, 50])(
    'a node that joins %i, or leaves them, moves at most 1.5/N of the keys',
    (count) => {
      for (const dataId of ['data', '1', '東京']) {
        const before = nodesOf(place(strategy, equalNodes(count), dataId));
        const joined = nodesOf(place(strategy, equalNodes(count + 1), dataId));
        const left = nodesOf(place(strategy, equalNodes(count).toSpliced(1, 1), dataId));
        const movedFrom = (after: string[]) =>
          after.filter((nodeId, index) => nodeId !== before[index]).length / keyCount;
        expect(movedFrom(joined)).toBeLessThanOrEqual(1.5 / (count + 1));
        expect(movedFrom(left)).toBeLessThanOrEqual(1.5 / count);
      }
    },
  );

  test('property: the order of the nodes does not matter, and copies lie on distinct ones', () => {
    fc.assert(
      fc.property(nodesAndSizes(), fc.double({ min: 0, max: 1, noNaN: true }), (given, part) => {
        const { nodes, shuffled, sizes, totalBytes } = given;
        const count = 1 + Math.floor(part * (nodes.length - 1));
        const one = createPlacement(strategy, nodes, totalBytes);
        const other = createPlacement(strategy, shuffled, totalBytes);
        const story: string[][] = [];
        const otherStory: string[][] = [];
        for (const [index, bytes] of sizes.entries()) {
          const ids = one.placeCopies(`d/${index}`, bytes, count);
          story.push(ids);
          otherStory.push(other.placeCopies(`d/${index}`, bytes, count));
        }
        expect(otherStory).toEqual(story);
        expect(story.every((ids) => ids.length === count && new Set(ids).size === count)).toBe(
          true,
        );
      }),
      { numRuns: 200 },
    );
  });
});

/** Some nodes in two orders, and the sizes of shards, whose sum is told or not. */
function nodesAndSizes() {
  const weight = fc.oneof(
    fc.constant(1),
    fc.double({ min: 0.01, max: 100, noNaN: true }),
    fc.constantFrom(1e-6, 1e6),
  );
  return fc
    .record({
      weights: fc.array(weight, { minLength: 1, maxLength: 12 }),
      sizes: fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 200 }),
      isTotalKnown: fc.boolean(),
    })
    .chain(({ weights, sizes, isTotalKnown }) => {
      const nodes = weights.map((weight, index) => ({ id: `${index}`, weight }));
      const sum = sizes.reduce((total, bytes) => total + bytes);
      return fc.shuffledSubarray(nodes, { minLength: nodes.length }).map((shuffled) => ({
        nodes,
        shuffled,
        sizes,
        totalBytes: isTotalKnown ? sum : undefined,
      }));
    });
}

describe('boundedRendezvous', () => {
  test('where nobody is full it is rendezvous', () => {
    const nodes = equalNodes(5);
    expect(place('boundedRendezvous', nodes)).toEqual(place('rendezvous', nodes));
  });

  test('100 nodes, where chance alone would fill one to 1.3 times the mean', () => {
    const nodes = equalNodes(100);
    expect(loadOf(place('rendezvous', nodes), nodes).maxToMean).toBeGreaterThan(1.3);
    expect(loadOf(place('boundedRendezvous', nodes), nodes).maxToMean).toBeLessThanOrEqual(1.1);
  });

  test('property: at each moment no node is above its bound', () => {
    fc.assert(
      fc.property(nodesAndSizes(), ({ nodes, sizes, totalBytes }) => {
        const weightSum = nodes.reduce((sum, { weight }) => sum + weight, 0);
        const placement = createPlacement('boundedRendezvous', nodes, totalBytes);
        const held = new Map(nodes.map(({ id }) => [id, 0]));
        let placed = 0;
        let worst = 0;
        for (const [index, bytes] of sizes.entries()) {
          const id = placement.place(`d/${index}`, bytes);
          placed += bytes;
          held.set(id, (held.get(id) ?? NaN) + bytes);
          const share = (nodes[Number(id)]?.weight ?? 0) / weightSum;
          const bound = loadBound * share * Math.max(placed, totalBytes ?? 0) + bytes;
          worst = Math.max(worst, (held.get(id) ?? NaN) / bound);
        }
        expect(worst).toBeLessThanOrEqual(1 + 1e-9);
      }),
      { numRuns: 300 },
    );
  });

  test('property: copies over equal nodes stay within what distinct nodes allow', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: 1, max: 300 }),
        fc.string(),
        (count, copies, shards, dataId) => {
          fc.pre(copies <= count);
          const placement = createPlacement('boundedRendezvous', equalNodes(count));
          const held = new Map<string, number>();
          for (let index = 0; index < shards; index++) {
            for (const id of placement.placeCopies(`${dataId}/${index}`, 1, copies)) {
              held.set(id, (held.get(id) ?? 0) + 1);
            }
          }
          const mean = (shards * copies) / count;
          const bound = Math.max(loadBound, count / (count - copies + 1)) * mean + 1;
          expect(Math.max(...held.values())).toBeLessThanOrEqual(bound + 1e-9);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('three copies each over ten nodes: within 1.15, and a node that leaves moves its own', () => {
    const copiesOver = (nodes: PlacementNode[]) => {
      const placement = createPlacement('boundedRendezvous', nodes, 3 * keyCount);
      return Array.from({ length: keyCount }, (_, index) =>
        placement.placeCopies(`data/${index}`, 1, 3),
      );
    };
    const nodes = equalNodes(10);
    const before = copiesOver(nodes);
    const placed = before.flatMap((ids) => ids.map((nodeId) => ({ nodeId, bytes: 1 })));
    expect(loadOf(placed, nodes).maxToMean).toBeLessThanOrEqual(1.15);
    const after = copiesOver(nodes.toSpliced(3, 1));
    const moved = after.flatMap((ids, index) => ids.filter((id) => !before[index]?.includes(id)));
    expect(moved.length / (3 * keyCount)).toBeLessThanOrEqual(1.5 / 10);
  });

  test('a node as heavy as all others together has one copy of each of two', () => {
    const nodes = [{ id: 'big', weight: 6 }, ...equalNodes(3)];
    const placement = createPlacement('boundedRendezvous', nodes, 2 * keyCount);
    const placed = Array.from({ length: keyCount }, (_, index) =>
      placement.placeCopies(`data/${index}`, 1, 2),
    ).flatMap((ids) => ids.map((nodeId) => ({ nodeId, bytes: 1 })));
    const { perNode } = loadOf(placed, nodes);
    expect(perNode[0]?.weight).toBeGreaterThan(0.45);
    for (const { weight } of perNode.slice(1))
      expect(Math.abs(weight * 6 - 1)).toBeLessThanOrEqual(0.11);
  });
});

describe.each(placementStrategies)('%s', (strategy) => {
  test('copies are distinct, as many as there are nodes', () => {
    const placement = createPlacement(strategy, equalNodes(3));
    for (let index = 0; index < 100; index++) {
      const ids = placement.placeCopies(`d/${index}`, 1, 1 + (index % 3));
      expect(ids.length).toBe(1 + (index % 3));
      expect(new Set(ids).size).toBe(ids.length);
    }
  });

  test('copies over equal nodes: within 1.15 of the mean', () => {
    const nodes = equalNodes(7);
    const placement = createPlacement(strategy, nodes, 3 * keyCount);
    const placed = Array.from({ length: keyCount }, (_, index) =>
      placement.placeCopies(`data/${index}`, 1, 3),
    ).flatMap((ids) => ids.map((nodeId) => ({ nodeId, bytes: 1 })));
    expect(loadOf(placed, nodes).maxToMean).toBeLessThanOrEqual(1.15);
  });

  test.each([0, 4, 1.5, NaN])('%d copies over 3 nodes', (count) => {
    const placement = createPlacement(strategy, equalNodes(3));
    expect(() => placement.placeCopies('d/0', 1, count)).toThrow(
      expect.objectContaining({ code: 'PAIPAI_ERR_INVALID_ARGUMENT' }),
    );
  });
});

test.each([
  [[1, 1, 1, 1], 2, [1 / 4, 1 / 4, 1 / 4, 1 / 4]],
  [[6, 1, 1, 1], 2, [1 / 2, 1 / 6, 1 / 6, 1 / 6]],
  [[1, 8, 1], 1, [0.1, 0.8, 0.1]],
  [[1, 100, 10], 2, [1 / 22, 1 / 2, 10 / 22]],
  [[5, 1], 2, [1 / 2, 1 / 2]],
  [[1e300, 1e-300], 2, [1 / 2, 1 / 2]],
])('shares of the weights %j with %d copies', (weights, copies, expected) => {
  const shares = sharesOf(
    weights.map((weight, at) => ({ id: `${at}`, weight })),
    copies,
  );
  for (const [at, share] of shares.entries()) expect(share).toBeCloseTo(expected[at] ?? NaN, 12);
});

describe('rendezvous', () => {
  test('golden values: shards stay where they are from one release to the next', () => {
    const hex = ({ high, low }: { high: number; low: number }) =>
      high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
    expect(['', 'a', 'data/0', 'data/1', '東京/7'].map((text) => hex(hashText(text)))).toEqual([
      'faf0fc555399c89a',
      '69b44534351e9091',
      '9ae776029784abba',
      'a74680a703858f74',
      'cc39d6301ffbb5bf',
    ]);
    expect(hex(hashPair(hashText('data/0'), hashText('node-1')))).toBe('75676d6940dcf278');
    const numbers = nodesOf(place('rendezvous', equalNodes(4), 'golden', 16)).map((id) =>
      id.at(-1),
    );
    expect(numbers.join('')).toBe('3132444213113143');
  });

  test.each([2, 5, 10, 20])(
    'a node that joins %i moves at most 1.5/N of the keys, all to itself',
    (count) => {
      const before = nodesOf(place('rendezvous', equalNodes(count)));
      const after = nodesOf(place('rendezvous', equalNodes(count + 1)));
      const moved = after.filter((nodeId, index) => nodeId !== before[index]);
      expect(moved.length / keyCount).toBeLessThanOrEqual(1.5 / (count + 1));
      expect(moved.length / keyCount).toBeGreaterThan(0.5 / (count + 1));
      expect(moved.every((nodeId) => nodeId === `node-${count + 1}`)).toBe(true);
    },
  );

  test('a node that leaves gives up its keys and nobody else’s', () => {
    const nodes = equalNodes(10);
    const before = nodesOf(place('rendezvous', nodes));
    const after = nodesOf(
      place(
        'rendezvous',
        nodes.filter(({ id }) => id !== 'node-4'),
      ),
    );
    const moved = before.filter((nodeId, index) => nodeId !== after[index]);
    expect(moved.every((nodeId) => nodeId === 'node-4')).toBe(true);
    expect(moved.length / keyCount).toBeLessThanOrEqual(1.5 / 10);
  });

  test('a node that grows only wins keys', () => {
    const nodes = equalNodes(5);
    const before = nodesOf(place('rendezvous', nodes));
    const grown = nodes.map((node) => (node.id === 'node-2' ? { ...node, weight: 2 } : node));
    const after = nodesOf(place('rendezvous', grown));
    expect(after.every((nodeId, index) => nodeId === before[index] || nodeId === 'node-2')).toBe(
      true,
    );
  });

  test('ranked: the first is where the key lies, and when it leaves the others move up', () => {
    const nodes = equalNodes(7);
    const placement = new RendezvousPlacement(nodes);
    for (let index = 0; index < 100; index++) {
      const ranked = placement.ranked(`d/${index}`, 7);
      expect(new Set(ranked).size).toBe(7);
      expect(placement.place(`d/${index}`)).toBe(ranked[0]);
      expect(placement.ranked(`d/${index}`, 3)).toEqual(ranked.slice(0, 3));
      expect(placement.ranked(`d/${index}`, 9)).toEqual(ranked);
      const rest = new RendezvousPlacement(nodes.filter(({ id }) => id !== ranked[0]));
      expect(rest.ranked(`d/${index}`, 6)).toEqual(ranked.slice(1));
    }
  });
});

describe('weighted', () => {
  test('property: at each moment each node is within the largest shard of its share', () => {
    const weight = fc.oneof(
      fc.double({ min: 0.01, max: 100, noNaN: true }),
      fc.constantFrom(1, 1e-6, 1e6),
    );
    fc.assert(
      fc.property(
        fc.array(weight, { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 1, max: 1000 }),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 300 }),
        fc.boolean(),
        (weights, shardBytes, sizes, equal) => {
          const nodes = weights.map((weight, index) => ({ id: `${index}`, weight }));
          const sum = weights.reduce((total, each) => total + each, 0);
          const placement = createPlacement('weighted', nodes);
          const bytes = new Array<number>(nodes.length).fill(0);
          let total = 0;
          let worst = 0;
          let largest = 0;
          for (const [index, part] of sizes.entries()) {
            // Equal shards and a rest, or shards cut at records.
            const isWhole = equal && index < sizes.length - 1;
            const size = isWhole ? shardBytes : Math.max(1, Math.round(part * shardBytes));
            largest = Math.max(largest, size);
            bytes[Number(placement.place(`d/${index}`, size))]! += size;
            total += size;
            for (const [node, weight] of weights.entries()) {
              worst = Math.max(worst, Math.abs(bytes[node]! - (weight / sum) * total) / largest);
            }
          }
          expect(worst).toBeLessThanOrEqual(1 + 1e-9);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('equal weights take turns', () => {
    const ids = place('weighted', equalNodes(3), 'd', 6).map(({ nodeId }) => nodeId);
    expect(new Set(ids.slice(0, 3)).size).toBe(3);
    expect(new Set(ids.slice(3)).size).toBe(3);
  });
});

test('round robin goes around, whatever the weights', () => {
  const nodes = [
    { id: 'a', weight: 1 },
    { id: 'b', weight: 9 },
  ];
  const ids = place('roundRobin', nodes, 'd', 4).map(({ nodeId }) => nodeId);
  expect(ids).toEqual(['a', 'b', 'a', 'b']);
});

test('measures of a load', () => {
  const nodes = [
    { id: 'a', weight: 1 },
    { id: 'b', weight: 3 },
  ];
  const fair = loadOf(
    [
      { nodeId: 'a', bytes: 10 },
      { nodeId: 'b', bytes: 20 },
      { nodeId: 'b', bytes: 10 },
    ],
    nodes,
  );
  expect(fair).toEqual({
    totalBytes: 40,
    perNode: [
      { nodeId: 'a', shards: 1, bytes: 10, weight: 0.25 },
      { nodeId: 'b', shards: 2, bytes: 30, weight: 0.75 },
    ],
    maxToMean: 1,
    fairness: 1,
  });
  const lopsided = loadOf(
    [{ nodeId: 'a', bytes: 10 }],
    equalNodes(2).map((node, index) => ({ ...node, id: 'ab'[index] ?? '' })),
  );
  expect([lopsided.maxToMean, lopsided.fairness]).toEqual([2, 0.5]);
  expect(loadOf([], nodes)).toMatchObject({ totalBytes: 0, maxToMean: 1, fairness: 1 });
});

test.each([
  ['no node', 'INVALID_ARGUMENT', []],
  ['a weight of 0', 'INVALID_ARGUMENT', [{ id: 'a', weight: 0 }]],
  ['a negative weight', 'INVALID_ARGUMENT', [{ id: 'a', weight: -1 }]],
  ['a weight without end', 'INVALID_ARGUMENT', [{ id: 'a', weight: Infinity }]],
  ['a weight that is no number', 'INVALID_ARGUMENT', [{ id: 'a', weight: NaN }]],
  [
    'two nodes of one id',
    'DUPLICATE_ID',
    [
      { id: 'a', weight: 1 },
      { id: 'a', weight: 2 },
    ],
  ],
])('%s', (_, code, nodes) => {
  const expected = expect.objectContaining({ code: `PAIPAI_ERR_${code}` });
  expect(() => createPlacement('weighted', nodes)).toThrow(expected);
});

test('an unknown strategy', () => {
  // What a caller without types can pass.
  const strategy = 'random' as PlacementStrategy;
  expect(() => createPlacement(strategy, equalNodes(1))).toThrow(
    expect.objectContaining({ code: 'PAIPAI_ERR_INVALID_ARGUMENT' }),
  );
});
