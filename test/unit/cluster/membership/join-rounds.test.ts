import { describe, expect, test } from 'vitest';
import { PaipaiError } from '../../../../dist/base/errors.js';
import { checkSeeds, JoinRounds } from '../../../../dist/cluster/membership/join-rounds.js';
import { codeOf, codeThrown } from '../../../support/session-pair.js';
import { ManualTime } from '../../../support/test-env.js';

const down = 'tcp://10.0.0.1:7100';
const up = 'tcp://10.0.0.2:7100';
const foreign = 'tcp://10.0.0.3:7100';

/** Seeds by what becomes of asking them. */
class Bench {
  readonly time = new ManualTime();
  readonly asked: string[] = [];
  readonly refused: string[] = [];
  readonly living = new Set<string>();
  readonly known = new Set<string>();
  readonly rounds: JoinRounds;

  constructor(seeds: readonly string[]) {
    this.rounds = new JoinRounds(this.time.env(), seeds, {
      ask: async (address) => {
        this.asked.push(address);
        if (address === foreign) throw new PaipaiError('PAIPAI_ERR_NET_NAME', 'another net');
        if (!this.living.has(address)) throw new Error('ECONNREFUSED');
      },
      isKnown: (address) => this.known.has(address),
      onRefused: ({ code }) => this.refused.push(code),
    });
  }

  /** Lets `byMs` pass, and whatever follows from it. */
  async advance(byMs: number): Promise<void> {
    this.time.advance(byMs);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('joining', () => {
  test('one answer is enough; the seeds that are down are asked on', async () => {
    const bench = new Bench([down, up]);
    bench.living.add(up);
    expect(await bench.rounds.begin()).toBe(true);
    expect(bench.rounds.problem).toBeNull();
    await bench.advance(0); // The round is over when all have been asked.
    await bench.advance(500);
    await bench.advance(1_000);
    expect(bench.asked).toEqual([down, up, down, down]);
    bench.living.add(down);
    await bench.advance(2_000);
    await bench.advance(100_000);
    expect(bench.asked).toEqual([down, up, down, down, down]);
  });

  test('with no seed up it says so, and goes on at growing distances of 30 s at most', async () => {
    const bench = new Bench([down, up]);
    expect(await bench.rounds.begin()).toBe(false);
    expect(bench.rounds.problem).toMatchObject({
      code: 'PAIPAI_ERR_NODE_START',
      address: down,
      message: expect.stringContaining('ECONNREFUSED (and 1 more)'),
    });
    const startsMs: number[] = [];
    for (let stepMs = 0; stepMs < 200_000; stepMs += 25) {
      const before = bench.asked.length;
      await bench.advance(25);
      if (bench.asked.length > before) startsMs.push(bench.time.nowMs);
    }
    const waits = startsMs.map((ms, at) => ms - (startsMs[at - 1] ?? 0));
    // The chance of this environment is 0.5: three quarters of 500 ms, 1 s …
    expect(waits.slice(0, 8)).toEqual([375, 750, 1_500, 3_000, 6_000, 12_000, 22_500, 22_500]);
    bench.living.add(up);
    await bench.advance(30_000);
    expect(bench.rounds.problem).toBeNull();
  });

  test('a seed that refuses is the end, unless another has answered', async () => {
    expect(await codeOf(new Bench([foreign, down]).rounds.begin())).toBe('PAIPAI_ERR_NET_NAME');
    const bench = new Bench([foreign, up]);
    bench.living.add(up);
    expect(await bench.rounds.begin()).toBe(true);
    await bench.advance(100_000);
    expect(bench.refused).toEqual(['PAIPAI_ERR_NET_NAME']);
    expect(bench.asked).toEqual([foreign, up]);
  });

  test('a seed that has turned out to be a member is not asked', async () => {
    const bench = new Bench([down, up]);
    expect(await bench.rounds.begin()).toBe(false);
    bench.known.add(up);
    await bench.advance(500);
    expect(bench.rounds.problem).toBeNull();
    expect(bench.asked).toEqual([down, up, down]);
  });

  test('stops when it is told to', async () => {
    const bench = new Bench([down]);
    await bench.rounds.begin();
    bench.rounds.stop();
    await bench.advance(100_000);
    expect(bench.asked).toEqual([down]);
  });
});

describe('a list of seeds', () => {
  test('comes out as members announce themselves, each once', () => {
    expect(checkSeeds(['tcp://a:1/', 'tcp://a:1', 'tcp://[::1]:2'])).toEqual([
      'tcp://a:1',
      'tcp://[::1]:2',
    ]);
    expect(checkSeeds(Array.from({ length: 64 }, (_, at) => `tcp://a:${at + 1}`))).toHaveLength(64);
  });

  test.each([
    ['nothing', [], 'PAIPAI_ERR_INVALID_ARGUMENT'],
    ['a single address', 'tcp://a:1', 'PAIPAI_ERR_INVALID_ARGUMENT'],
    [
      'too many',
      Array.from({ length: 65 }, (_, at) => `tcp://a:${at + 1}`),
      'PAIPAI_ERR_INVALID_ARGUMENT',
    ],
    ['a Unix socket', ['unix:///run/node.sock'], 'PAIPAI_ERR_INVALID_ADDRESS'],
    ['no port', ['tcp://a:0'], 'PAIPAI_ERR_INVALID_ADDRESS'],
    ['a number', [7100], 'PAIPAI_ERR_INVALID_ADDRESS'],
  ])('is refused with %s', (_what, seeds, code) => {
    expect(codeThrown(() => checkSeeds(seeds))).toBe(code);
  });
});
