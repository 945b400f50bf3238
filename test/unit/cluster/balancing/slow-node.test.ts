import { describe, expect, test } from 'vitest';
import {
  Balancer,
  type BalancingStrategy,
  type TaskSpread,
} from '../../../../dist/cluster/balancing/balancer.js';
import { seeded } from '../../../support/seeded.js';

/**
 * Ten nodes in virtual time, one of which is ten times slower; tasks arrive by chance (Poisson) and take by chance (exponential,
 * 1 ms on the others), one after the other on each node. All strategies get the same tasks at the same moments.
 */

const nodeCount = 10;
const taskCount = 20_000;
const slowNode = 'node-04';
const nodes = Array.from({ length: nodeCount }, (_, at) => ({
  id: `node-${String(at).padStart(2, '0')}`,
  weight: 1,
}));

interface Task {
  readonly arrivalMs: number;
  /** On a node that is not slow. */
  readonly workMs: number;
}

interface Outcome {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly spread: TaskSpread;
}

function tasksOf(seed: number, perMs: number): Task[] {
  const random = seeded(seed);
  const exponential = (mean: number): number => -Math.log(1 - random.next()) * mean;
  let arrivalMs = 0;
  return Array.from({ length: taskCount }, () => {
    arrivalMs += exponential(1 / perMs);
    return { arrivalMs, workMs: exponential(1) };
  });
}

function simulate(strategy: BalancingStrategy, tasks: readonly Task[], seed: number): Outcome {
  let nowMs = 0;
  const balancer = new Balancer(strategy, {
    clock: { nowMs: () => nowMs, wallMs: () => nowMs },
    random: seeded(seed),
  });
  balancer.spread(nodes);
  const freeMs = new Map(nodes.map(({ id }) => [id, 0]));
  const busyMs = new Map(nodes.map(({ id }) => [id, 0]));
  const running: { endMs: number; end: () => void }[] = []; // By the moment of their end.
  const latencies: number[] = [];
  let gossipMs = 1_000;
  const endUntil = (untilMs: number): void => {
    while (running[0] !== undefined && running[0].endMs <= untilMs) {
      const { endMs, end } = running.shift()!;
      nowMs = endMs;
      end();
    }
    nowMs = untilMs;
  };
  for (const { arrivalMs, workMs } of tasks) {
    while (gossipMs <= arrivalMs) {
      endUntil(gossipMs);
      for (const { id } of nodes) {
        balancer.reportCpuLoad(id, Math.min(1, (busyMs.get(id) ?? 0) / 1_000));
        busyMs.set(id, 0);
      }
      gossipMs += 1_000;
    }
    endUntil(arrivalMs);
    const { nodeId, end } = balancer.assign(nodes);
    const tookMs = nodeId === slowNode ? 10 * workMs : workMs;
    const endMs = Math.max(freeMs.get(nodeId) ?? 0, arrivalMs) + tookMs;
    freeMs.set(nodeId, endMs);
    busyMs.set(nodeId, (busyMs.get(nodeId) ?? 0) + tookMs);
    latencies.push(endMs - arrivalMs);
    const behind = running.findLastIndex((other) => other.endMs <= endMs) + 1;
    running.splice(behind, 0, { endMs, end: () => end('done') });
  }
  endUntil(Infinity);
  nowMs = Math.max(...freeMs.values());
  latencies.sort((a, b) => a - b);
  const quantile = (part: number): number => latencies[Math.floor(part * taskCount)] ?? NaN;
  return { p50Ms: quantile(0.5), p99Ms: quantile(0.99), spread: balancer.spread(nodes) };
}

// Round robin gives the slow node a tenth of the tasks: with 0.5 a millisecond it is half busy, with 0.9 nearly full.
describe.each([0.5, 0.9])('one node ten times slower, %d tasks a millisecond', (perMs) => {
  test.each([1, 2, 3])('p99 under EWMA at most half of round robin’s, seed %d', (seed) => {
    const tasks = tasksOf(seed, perMs);
    const turns = simulate('roundRobin', tasks, seed);
    const inFlight = simulate('leastInFlight', tasks, seed);
    const ewma = simulate('p2cEwma', tasks, seed);
    expect(ewma.p99Ms).toBeLessThanOrEqual(turns.p99Ms / 2);
    // It sees only that the node is busy, not that it is slow, and gives it a task whenever it is idle.
    expect(inFlight.p99Ms).toBeLessThan(turns.p99Ms);
    for (const { spread } of [inFlight, ewma]) {
      expect(spread.tasksPerLoad).toBeGreaterThan(turns.spread.tasksPerLoad);
    }
  });
});
