import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type BalancedNode,
  Balancer,
  type BalancingStrategy,
  balancingStrategies,
} from '../../../../dist/cluster/balancing/balancer.js';
import { PeakEwma } from '../../../../dist/cluster/balancing/peak-ewma.js';
import { seeded } from '../../../support/seeded.js';
import { ManualTime } from '../../../support/test-env.js';

function equalNodes(count: number): BalancedNode[] {
  return Array.from({ length: count }, (_, index) => ({ id: `node-${index + 1}`, weight: 1 }));
}

function make(strategy: BalancingStrategy, seed = 1) {
  const time = new ManualTime();
  const balancer = new Balancer(strategy, { clock: time.env().clock, random: seeded(seed) });
  return { time, balancer };
}

/** Gives away `count` tasks, each of which ends before the next. */
function counts(balancer: Balancer, nodes: BalancedNode[], count: number): number[] {
  const sums = new Map(nodes.map(({ id }) => [id, 0]));
  for (let task = 0; task < count; task++) {
    const { nodeId, end } = balancer.assign(nodes);
    sums.set(nodeId, (sums.get(nodeId) ?? NaN) + 1);
    end('done');
  }
  return [...sums.values()];
}

describe.each(balancingStrategies)('%s', (strategy) => {
  test('one node gets everything', () => {
    const { balancer } = make(strategy);
    expect(counts(balancer, equalNodes(1), 10)).toEqual([10]);
  });

  test('10,000 tasks over equal nodes: within 1.15 of the mean', () => {
    const nodes = equalNodes(5);
    const { balancer } = make(strategy);
    counts(balancer, nodes, 10_000);
    const { maxToMean, fairness, totalTasks } = balancer.spread(nodes);
    expect(totalTasks).toBe(10_000);
    expect(maxToMean).toBeLessThanOrEqual(1.15);
    expect(fairness).toBeGreaterThan(0.99);
  });

  test('a node that is not among those that live gets nothing', () => {
    const nodes = equalNodes(3);
    const { balancer } = make(strategy);
    counts(balancer, nodes, 100);
    const rest = nodes.slice(1);
    for (let task = 0; task < 100; task++) {
      expect(balancer.assign(rest).nodeId).not.toBe('node-1');
    }
  });

  test('property: the same story with the same seed, whatever the order of the nodes', () => {
    const step = fc.record({
      takesMs: fc.integer({ min: 0, max: 100 }),
      outcome: fc.constantFrom('done' as const, 'failed' as const, 'cancelled' as const),
      endsLater: fc.boolean(),
      cpuLoad: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.1, max: 10, noNaN: true }), { minLength: 1, maxLength: 8 }),
        fc.array(step, { maxLength: 60 }),
        fc.integer(),
        (weights, steps, seed) => {
          const nodes = weights.map((weight, at) => ({ id: `${at}`, weight }));
          const tell = (order: BalancedNode[]) => {
            const { time, balancer } = make(strategy, seed);
            return steps.map(({ takesMs, outcome, endsLater, cpuLoad }, at) => {
              const { nodeId, end } = balancer.assign(order);
              time.advance(takesMs);
              if (!endsLater) end(outcome);
              balancer.reportCpuLoad(String(at % nodes.length), cpuLoad);
              return nodeId;
            });
          };
          const story = tell(nodes);
          expect(tell(nodes.toReversed())).toEqual(story);
          expect(story.every((id) => nodes.some((node) => node.id === id))).toBe(true);
        },
      ),
      { numRuns: 100 },
    );
  });

  test('no node at all', () => {
    expect(() => make(strategy).balancer.assign([])).toThrow(
      expect.objectContaining({ code: 'PAIPAI_ERR_INVALID_ARGUMENT' }),
    );
  });
});

test('an unknown strategy', () => {
  expect(() => make('fastest' as BalancingStrategy)).toThrow(
    expect.objectContaining({ code: 'PAIPAI_ERR_INVALID_ARGUMENT' }),
  );
});

describe('roundRobin', () => {
  test('goes around by id, also when nodes come and go', () => {
    const { balancer } = make('roundRobin');
    const [a, b, c] = ['a', 'b', 'c'].map((id) => ({ id, weight: 1 })) as [
      BalancedNode,
      BalancedNode,
      BalancedNode,
    ];
    const ids = [
      [a, b, c],
      [a, b, c],
      [a, c],
      [b, a],
      [b, c],
    ].map((nodes) => balancer.assign(nodes).nodeId);
    expect(ids).toEqual(['a', 'b', 'c', 'a', 'b']);
  });
});

describe('leastInFlight', () => {
  test('tasks that stay fill the nodes by their weights', () => {
    const nodes = [
      { id: 'a', weight: 1 },
      { id: 'b', weight: 3 },
    ];
    const { balancer } = make('leastInFlight');
    for (let task = 0; task < 40; task++) balancer.assign(nodes);
    expect(balancer.spread(nodes).perNode.map(({ tasks }) => tasks)).toEqual([10, 30]);
  });

  test('a task that ends makes room, once', () => {
    const nodes = equalNodes(2);
    const { balancer } = make('leastInFlight');
    const first = balancer.assign(nodes);
    balancer.assign(nodes);
    first.end('done');
    first.end('failed');
    expect(balancer.assign(nodes).nodeId).toBe(first.nodeId);
    // Both have one again, so it is the turn of the one behind.
    expect(balancer.assign(nodes).nodeId).toBe('node-2');
    expect(balancer.assign(nodes).nodeId).toBe('node-1');
  });
});

describe('p2cEwma', () => {
  test('a node of unknown latency is tried with one task, and no more until that ends', () => {
    const nodes = equalNodes(2);
    const { time, balancer } = make('p2cEwma');
    const trials = [balancer.assign(nodes), balancer.assign(nodes)];
    expect(trials.map(({ nodeId }) => nodeId).sort()).toEqual(['node-1', 'node-2']);
    time.advance(5);
    const known = trials.find(({ nodeId }) => nodeId === 'node-2');
    known?.end('done');
    for (let task = 0; task < 50; task++) expect(balancer.assign(nodes).nodeId).toBe('node-2');
  });

  test('a node that refuses at once is not the fastest one', () => {
    const nodes = equalNodes(3);
    const { time, balancer } = make('p2cEwma');
    let refused = 0;
    for (let task = 0; task < 1_000; task++) {
      const { nodeId, end } = balancer.assign(nodes);
      if (nodeId === 'node-2') {
        refused++;
        end('failed');
      } else {
        time.advance(1);
        end('done');
      }
    }
    expect(refused).toBeLessThanOrEqual(5);
  });

  test('a node that was slow is tried again after a while', () => {
    const nodes = equalNodes(2);
    const { time, balancer } = make('p2cEwma');
    for (const tookMs of [100, 1]) {
      const { end } = balancer.assign(nodes);
      time.advance(tookMs);
      end('done');
    }
    const slow = balancer.spread(nodes).perNode.find(({ inFlightMean }) => inFlightMean > 0.5);
    expect(slow).toBeDefined();
    let triedMs: number | undefined;
    while (triedMs === undefined && time.nowMs < 120_000) {
      const { nodeId, end } = balancer.assign(nodes);
      time.advance(1);
      end('done');
      if (nodeId === slow?.nodeId) triedMs = time.nowMs;
    }
    // ln(100) · 5 s is when 100 ms have faded to the other node's 1 ms.
    expect(triedMs).toBeGreaterThan(15_000);
    expect(triedMs).toBeLessThan(30_000);
  });
});

describe('cpuLoad', () => {
  test('tasks go by what is idle, and a full node is not given up', () => {
    const nodes = equalNodes(3);
    const { balancer } = make('cpuLoad');
    for (const [at, load] of [0.2, 0.6, 1].entries()) {
      balancer.reportCpuLoad(`node-${at + 1}`, load);
    }
    const [a = 0, b = 0, c = 0] = counts(balancer, nodes, 10_000);
    expect(a / b).toBeGreaterThan(1.8);
    expect(a / b).toBeLessThan(2.2);
    expect(c).toBeGreaterThan(50);
    expect(c).toBeLessThan(350);
  });

  test('weights count, and who says nothing is taken for the average', () => {
    const nodes = [
      { id: 'a', weight: 2 },
      { id: 'b', weight: 1 },
      { id: 'c', weight: 1 },
    ];
    const { balancer } = make('cpuLoad');
    balancer.reportCpuLoad('a', 0.5);
    balancer.reportCpuLoad('b', 0.5);
    const [a = 0, b = 0, c = 0] = counts(balancer, nodes, 10_000);
    expect(Math.abs(a / 5_000 - 1)).toBeLessThan(0.05);
    expect(Math.abs(b / 2_500 - 1)).toBeLessThan(0.1);
    expect(Math.abs(c / 2_500 - 1)).toBeLessThan(0.1);
  });

  test('a figure is forgotten after 30 s', () => {
    const nodes = equalNodes(2);
    const { time, balancer } = make('cpuLoad');
    balancer.reportCpuLoad('node-1', 1);
    balancer.reportCpuLoad('node-2', 0);
    expect(counts(balancer, nodes, 1_000)[0]).toBeLessThan(60);
    time.advance(30_001);
    expect(counts(balancer, nodes, 1_000)[0]).toBeGreaterThan(400);
  });
});

describe('peak EWMA', () => {
  test('rises at once, falls with time', () => {
    const latency = new PeakEwma();
    expect([latency.isKnown, latency.valueAt(0)]).toEqual([false, 0]);
    latency.add(10, 0);
    expect(latency.valueAt(0)).toBe(10);
    latency.add(50, 1);
    expect(latency.valueAt(1)).toBe(50);
    expect(latency.valueAt(5_001)).toBeCloseTo(50 / Math.E, 9);
    latency.add(10, 1);
    expect(latency.valueAt(1)).toBe(50);
    latency.add(10, 5_001);
    expect(latency.valueAt(5_001)).toBeCloseTo(10 + 40 / Math.E, 9);
  });

  test('a sample that is too low never lowers it', () => {
    const latency = new PeakEwma();
    latency.add(50, 0);
    latency.addAtLeast(10, 0);
    expect(latency.valueAt(0)).toBe(50);
    latency.addAtLeast(60, 0);
    expect(latency.valueAt(0)).toBe(60);
  });

  test('property: never below 0, never above the largest sample', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.double({ min: 0, max: 1e6, noNaN: true }),
            fc.double({ min: 0, max: 1e5, noNaN: true }),
          ),
        ),
        (samples) => {
          const latency = new PeakEwma();
          let nowMs = 0;
          let largest = 0;
          for (const [sampleMs, laterMs] of samples) {
            nowMs += laterMs;
            largest = Math.max(largest, sampleMs);
            latency.add(sampleMs, nowMs);
            expect(latency.valueAt(nowMs)).toBeGreaterThanOrEqual(sampleMs);
            expect(latency.valueAt(nowMs)).toBeLessThanOrEqual(largest * (1 + 1e-12));
          }
        },
      ),
    );
  });
});

test('measures: tasks, w_i, tasks in flight on average, total requests / mean load', () => {
  const nodes = equalNodes(2);
  const { time, balancer } = make('roundRobin');
  balancer.spread(nodes); // From here on they are heard of.
  const [first, second] = [balancer.assign(nodes), balancer.assign(nodes)];
  time.advance(5);
  first.end('done');
  time.advance(5);
  second.end('done');
  expect(balancer.spread(nodes)).toEqual({
    totalTasks: 2,
    perNode: [
      { nodeId: 'node-1', tasks: 1, weight: 0.5, inFlightMean: 0.5 },
      { nodeId: 'node-2', tasks: 1, weight: 0.5, inFlightMean: 1 },
    ],
    maxToMean: 1,
    fairness: 1,
    meanLoad: 0.75,
    tasksPerLoad: 2 / 0.75,
  });
  balancer.forget('node-2');
  second.end('done');
  expect(balancer.spread(nodes).perNode[1]).toMatchObject({ tasks: 0, inFlightMean: 0 });
});
