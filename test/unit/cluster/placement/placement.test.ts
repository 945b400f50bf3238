import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hashPair, hashText } from '../../../../dist/cluster/placement/hash.js';
import { loadOf } from '../../../../dist/cluster/placement/load.js';
import {
  createPlacement,
  type PlacementNode,
  type PlacementStrategy,
  placementStrategies,
  planShards,
} from '../../../../dist/cluster/placement/placement.js';

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
  return planShards(dataId, cuts, createPlacement(strategy, nodes));
}

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
    const plan = planShards('d', cuts, createPlacement(strategy, equalNodes(2)));
    expect(plan).toMatchObject(cuts);
    expect(plan.every(({ nodeId }) => /^node-[12]$/.test(nodeId))).toBe(true);
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

describe.each(['weighted', 'rendezvous'] as const)('%s', (strategy) => {
  test('weighted nodes get their share within 5 % over 10,000 keys', () => {
    const nodes = [2, 3, 5].map((weight, index) => ({ id: `node-${index + 1}`, weight }));
    const { perNode } = loadOf(place(strategy, nodes), nodes);
    for (const [index, { weight }] of perNode.entries()) {
      const share = (nodes[index]?.weight ?? 0) / 10;
      expect(Math.abs(weight / share - 1)).toBeLessThanOrEqual(0.05);
    }
  });
});

describe('rendezvous', () => {
  const nodesOf = (plan: { nodeId: string }[]) => plan.map(({ nodeId }) => nodeId);

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

  test('the order of the nodes does not matter', () => {
    const nodes = equalNodes(7);
    expect(place('rendezvous', nodes.toReversed())).toEqual(place('rendezvous', nodes));
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
