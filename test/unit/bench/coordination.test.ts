import { describe, expect, test } from 'vitest';
import { coordination } from '../../../dist/bench/cases/coordination.js';
import { peers } from '../../../dist/bench/peers/index.js';
import { settingsOf } from '../../../dist/bench/support/arguments.js';
import { compare, summarise, textOf } from '../../../dist/bench/support/report.js';
import { placement } from '../../../dist/bench/support/rounds.js';
import { runTrial } from '../../../dist/bench/support/trial.js';
import type { Trial } from '../../../dist/bench/support/types.js';
import { withoutEtcd } from '../../support/etcd.js';

const options = { seconds: '0.1', 'in-flight': '2', 'value-bytes': '8' };
const settings = coordination.fit?.(settingsOf(coordination, 'tcp', options)) ?? {};
const players = peers.filter(({ programs }) => programs.includes(coordination.program));

function runOf(milliseconds: Record<string, number>): Trial {
  const run = Object.fromEntries(
    Object.entries(milliseconds).map(([name, each]) => [`${name}P50Microseconds`, each * 1e3]),
  );
  return { run, serverCpuSeconds: 0, serverUsage: { before: {}, after: {} }, verified: {} };
}

describe('the case', () => {
  test('has the quorum as ours, and leaves the placing to the system', () => {
    expect(players.map(({ name }) => name)).toEqual(['quorum', 'local', 'etcd']);
    expect(placement(coordination, settings)).toEqual({ server: [], client: [] });
  });

  for (const peer of players) {
    const reason = peer.name === 'etcd' ? withoutEtcd : '';
    test.skipIf(reason)(
      `${peer.name} does all operations, and says what they took${reason}`,
      { timeout: 120_000 },
      async () => {
        expect(await peer.prepare(coordination.program)).toBeNull();
        const pinning = placement(coordination, settings);
        const { program } = coordination;
        const trial = await runTrial(peer, program, pinning, settings, async () => {}, {
          isClientAlone: true,
        });
        expect(coordination.verify(trial, settings)).toBeNull();
        const latencies = coordination.metrics.filter(({ name }) => !name.endsWith('CPU'));
        expect(latencies).toHaveLength(16);
        for (const metric of latencies) expect(metric.of(trial)).toBeGreaterThan(0);
      },
    );
  }

  test('tells a table that is wrong, and an operation that nobody did', () => {
    const run = { compareAndSetCount: 1, putCount: 1, lockCount: 1, electionCount: 1 };
    const trial = { ...runOf({}), run, verified: { expected: '1', found: '1 a' } };
    expect(coordination.verify(trial, settings)).toContain('1 a');
    expect(coordination.verify({ ...trial, run: { ...run, lockCount: 0 } }, settings)).toContain(
      'lock',
    );
  });
});

describe('what is compared', () => {
  const quorum = [runOf({ compareAndSet: 1, put: 9 }), runOf({ compareAndSet: 4, put: 9 })];
  const etcd = [runOf({ compareAndSet: 9, put: 2 }), runOf({ compareAndSet: 9, put: 2 })];

  test('is one figure against another, round by round', () => {
    const trials = new Map([
      ['quorum', quorum],
      ['etcd', etcd],
    ]);
    const compared = compare(coordination, trials);
    expect(compared.map(({ ratio }) => ratio)).toEqual([{ median: 1.25, min: 0.5, max: 2 }]);
    const text = textOf(coordination, {
      case: coordination.name,
      settings,
      rounds: 2,
      pinning: { server: [], client: [] },
      machine: {
        date: '',
        system: '',
        cpu: '',
        cpuCount: 1,
        memoryGiB: 1,
        node: '',
        commit: '',
        loadAverage: [],
        hugePages: '',
      },
      peers: summarise(coordination, trials, new Map()),
      comparisons: compared,
    });
    expect(text).toContain('local: one member by design');
    expect(text).toMatch(/^compareAndSet p50, ms .*2\.50 \(1\.00–4\.00\).*9\.00 \(9\.00–9\.00\)/m);
    expect(text).toContain('÷ etcd put p50: 1.25 (0.50–2.00); goal at most 1');
  });

  test('is nothing when one of them was not there', () => {
    expect(compare(coordination, new Map([['quorum', quorum]]))).toEqual([]);
  });
});
