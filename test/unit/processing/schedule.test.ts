import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { PaipaiError } from '../../../dist/base/errors.js';
import { Balancer } from '../../../dist/cluster/balancing/balancer.js';
import { Operation } from '../../../dist/cluster/transfer/operation.js';
import { Crew } from '../../../dist/processing/crew.js';
import type { HeldCut } from '../../../dist/processing/lane.js';
import type { NodeProcessing } from '../../../dist/processing/node-processing.js';
import { Schedule } from '../../../dist/processing/schedule.js';
import { ManualTime } from '../../support/test-env.js';

/** Nodes that the test moves by hand, so that each answer and each loss comes at its moment. */
class HandNode {
  readonly link: { readonly nodeId: string };
  readonly requests: {
    readonly cuts: readonly HeldCut[];
    resolve(parts: Uint8Array[]): void;
    reject(error: Error): void;
  }[] = [];
  isThere = true;

  constructor(nodeId: string) {
    this.link = { nodeId };
  }

  request(cuts: readonly HeldCut[], signal: AbortSignal): Promise<Uint8Array[]> {
    return new Promise((resolve, reject) => {
      this.requests.push({ cuts, resolve, reject });
      signal.addEventListener('abort', () => reject(signal.reason));
    });
  }

  async keep(): Promise<void> {}

  stop(): void {}

  /** Answers what it was asked, until nothing more comes. */
  async answer(): Promise<void> {
    for (let at = 0; at < this.requests.length; at++) {
      this.requests[at]?.resolve([]);
      await turn();
    }
  }

  lose(): void {
    const { nodeId } = this.link;
    this.isThere = false;
    const error = new PaipaiError('PAIPAI_ERR_NODE_LOST', `${nodeId} is gone`, { nodeId });
    for (const { reject } of this.requests) reject(error);
  }
}

function scheduleOn(nodes: readonly HandNode[]) {
  const time = new ManualTime();
  const env = time.env();
  const operation = new Operation(env, 'the work', { deadlineMs: Infinity });
  const schedule = new Schedule({
    env,
    operation,
    crew: new Crew(env, operation),
    dataId: 'd',
    nodes: nodes as unknown as NodeProcessing[],
    balancer: new Balancer('leastInFlight', env),
    weightOf: () => 1,
    cpuLoadOf: () => undefined,
    takesOver: true,
    backups: true,
    retries: 0,
    onProcessed: () => {},
    onCopyFailure: () => {},
  });
  return { time, operation, schedule };
}

function cuts(count: number, first: number, bytes: number, holders: readonly string[]): HeldCut[] {
  return Array.from({ length: count }, (_, at) => ({
    index: first + at,
    offset: (first + at) * bytes,
    bytes,
    holders,
  }));
}

describe('a schedule', () => {
  test('ends when all holders of shards are gone that nobody was given', async () => {
    const [a, b, c] = ['a', 'b', 'c'].map((id) => new HandNode(id)) as [
      HandNode,
      HandNode,
      HandNode,
    ];
    const { operation, schedule } = scheduleOn([a, b, c]);
    const work = schedule.process([
      ...cuts(8, 0, 1, ['a', 'c']),
      ...cuts(8, 8, 1, ['b', 'c']),
      ...cuts(20, 16, 1, ['a', 'b']),
    ]);
    work.catch(() => {});
    const isBegunBy = ({ requests }: HandNode): number[] =>
      requests.flatMap((request) => request.cuts.map(({ index }) => index));
    expect(Math.max(...isBegunBy(a), ...isBegunBy(b))).toBeLessThan(16);
    a.lose();
    b.lose();
    await turn();
    await c.answer();
    expect(operation.hasFailed).toBe(true);
    expect(operation.signal.reason).toMatchObject({ code: 'PAIPAI_ERR_NODE_LOST' });
  });

  test('asks for no more than 32 MiB at once, also of what it takes over', async () => {
    const mebi = 1024 * 1024;
    const [a, b] = ['a', 'b'].map((id) => new HandNode(id)) as [HandNode, HandNode];
    const { schedule } = scheduleOn([a, b]);
    void schedule.process(cuts(64, 0, 16 * mebi, ['a', 'b']));
    await b.answer();
    expect(b.requests.length).toBeGreaterThan(10);
    for (const request of b.requests) {
      expect(request.cuts.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(
        32 * mebi,
      );
    }
  });

  test('lets a node that was late once help one that stands still', async () => {
    const [a, b] = ['a', 'b'].map((id) => new HandNode(id)) as [HandNode, HandNode];
    const { time, schedule } = scheduleOn([a, b]);
    const work = schedule.process(cuts(8, 0, 1, ['a', 'b']));
    // B does all that A has not begun, and then, for A is late, the first of A's requests.
    await b.answer();
    for (let step = 0; step < 4; step++) {
      time.advance(1_000);
      await turn();
      const fresh = b.requests.at(-1);
      fresh?.resolve([]);
      await turn();
      // From now on it is B that stands still, and A that has nothing else to do.
      await a.answer();
    }
    await work;
  });
});
