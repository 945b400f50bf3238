import { expect, test } from 'vitest';
import type { NodeLoadFigures } from '../../../dist/cluster/membership/metadata.js';
import { LoadMeter } from '../../../dist/node/load-meter.js';
import { ManualTime } from '../../support/test-env.js';

/** A meter of a process with two CPUs, and what the test sets in it. */
function meterOf(): {
  time: ManualTime;
  state: { cpuMs: number; storedBytes: number };
  meter: LoadMeter;
} {
  const time = new ManualTime();
  const state = { cpuMs: 0, storedBytes: 0 };
  const { clock, timers } = time.env();
  const meter = new LoadMeter({
    clock,
    timers,
    cpuMs: () => state.cpuMs,
    cpuCount: 2,
    storedBytes: () => state.storedBytes,
  });
  return { time, state, meter };
}

test('it counts what is under way, how long it takes, and the share of the CPUs since the last look', async () => {
  const { time, state, meter } = meterOf();
  let end = (): void => {};
  const work = meter.during(
    () =>
      new Promise<string>((resolve) => {
        end = () => resolve('done');
      }),
  );
  time.advance(1_000);
  state.cpuMs = 500;
  state.storedBytes = 7;
  expect(meter.figures()).toEqual({ inFlight: 1, latencyMs: 0, cpu: 0.25, storedBytes: 7 });
  end();
  expect(await work).toBe('done');
  expect(meter.figures()).toMatchObject({ inFlight: 0, latencyMs: 1_000, cpu: 0 });
});

test('work that fails is counted, and fails', async () => {
  const { meter } = meterOf();
  await expect(
    meter.during(() => {
      throw new Error('on purpose');
    }),
  ).rejects.toThrow('on purpose');
  expect(meter.figures().inFlight).toBe(0);
});

test('it tells what has moved, and is silent at rest', () => {
  const { time, state, meter } = meterOf();
  const told: NodeLoadFigures[] = [];
  meter.start((load) => told.push(load));
  time.advance(5_000);
  expect(told).toEqual([{ inFlight: 0, latencyMs: 0, cpu: 0, storedBytes: 0 }]);
  time.advance(60_000);
  expect(told).toHaveLength(1);
  state.storedBytes = 10_000_000;
  time.advance(5_000);
  expect(told.at(-1)).toMatchObject({ storedBytes: 10_000_000 });
  state.storedBytes = 11_000_000; // Less than a fifth more.
  time.advance(5_000);
  expect(told).toHaveLength(2);
  state.cpuMs = 5_000; // Half of two CPUs.
  time.advance(5_000);
  expect(told.at(-1)).toMatchObject({ cpu: 0.5, storedBytes: 11_000_000 });
  meter.stop();
  state.cpuMs = 50_000;
  time.advance(60_000);
  expect(told).toHaveLength(3);
});
