import { existsSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { process as processCase } from '../../../dist/bench/cases/process.js';
import { peers } from '../../../dist/bench/peers/index.js';
import { settingsOf } from '../../../dist/bench/support/arguments.js';
import { placement } from '../../../dist/bench/support/rounds.js';
import { checksumOf, cutAtRows, makeTable } from '../../../dist/bench/support/table.js';
import { countAndSum, mergeGroups } from '../../../dist/bench/support/table-job.js';
import { runTrial } from '../../../dist/bench/support/trial.js';

function row(latitude: string, county: string): string {
  return `00501,${latitude},-72.6,Somewhere,NY,${county}\n`;
}

function count(text: string, hasHeader = false): ReturnType<typeof countAndSum> {
  return countAndSum(Buffer.from(text), hasHeader);
}

describe('countAndSum', () => {
  test('counts rows and sums millionths, by county', () => {
    expect(
      count(`a,b,c,d,e,f\n${row('1.5', 'X')}${row('-0.25', 'X')}${row('2', 'Y')}`, true),
    ).toEqual({
      X: { count: 2, sum: 1_250_000 },
      Y: { count: 1, sum: 2_000_000 },
    });
  });

  test('knows quotes, doubled ones, line ends between them, CRLF, and a last row without its end', () => {
    const text = `${row('1', '"a ""b"""').trimEnd()}\r\n${row('"1"', '"a\r\nb,c"')}${row('1', 'é').trimEnd()}`;
    const one = { count: 1, sum: 1e6 };
    expect(count(text)).toEqual({ 'a "b"': one, 'a\r\nb,c': one, é: one });
  });

  test('of nothing comes nothing', () => {
    expect(count('')).toEqual({});
  });
});

describe('cutAtRows', () => {
  const cell = fc.oneof(
    fc.stringMatching(/^[a-z]{0,5}$/),
    fc.stringMatching(/^[a-z\n",]{0,6}$/).map((text) => `"${text.replaceAll('"', '""')}"`),
  );
  const rows = fc.array(fc.tuple(fc.integer({ min: -9, max: 9 }), cell), { minLength: 1 });

  test('pieces are whole rows, one behind the other, and come to the same as all at once', () => {
    fc.assert(
      fc.property(rows, fc.integer({ min: 60, max: 300 }), (cells, pieceBytes) => {
        const table = Buffer.from(
          cells.map(([latitude, county]) => row(`${latitude}`, county)).join(''),
        );
        const pieces = [...cutAtRows(table, pieceBytes)];
        let end = 0;
        for (const piece of pieces) {
          expect(piece.start).toBe(end);
          expect(piece.end - piece.start).toBeLessThanOrEqual(pieceBytes);
          end = piece.end;
        }
        expect(end).toBe(table.length);
        const merged = pieces
          .map((piece) => countAndSum(table.subarray(piece.start, piece.end), false))
          .reduce(mergeGroups, {});
        expect(merged).toEqual(countAndSum(table, false));
      }),
    );
  });

  test('refuses a row that no piece holds', () => {
    expect(() => [...cutAtRows(Buffer.from(row('1', 'X').repeat(2)), 20)]).toThrow(
      'longer than 20 bytes',
    );
  });
});

test('a table is one header and rows over and over, and says what comes out', () => {
  const { bytes, expected } = makeTable(5_000_000);
  expect(bytes.length).toBeGreaterThan(3_900_000);
  expect(bytes.toString().match(/zip_code/g)).toHaveLength(1);
  expect(checksumOf(countAndSum(bytes, true))).toBe(expected);
});

describe('the case', () => {
  const players = peers.filter(({ programs }) => programs.includes(processCase.program));
  const settings = settingsOf(processCase, 'tcp', { bytes: '3000000', jobs: '2' });

  test('has no server, and leaves the placing to the system', () => {
    expect(placement(processCase, settings)).toEqual({ server: [], client: [] });
  });

  test.each(players.map((peer) => [peer.name, peer] as const))(
    '%s does the job, and says what it took',
    { timeout: 30_000 },
    async (_name, peer) => {
      expect(await peer.prepare(processCase.program)).toBeNull();
      const pinning = placement(processCase, settings);
      const trial = await runTrial(peer, processCase.program, pinning, settings, async () => {}, {
        isClientAlone: true,
      });
      expect(processCase.verify(trial, settings)).toBeNull();
      // Without /proc nothing is known of the processor time of others.
      const metrics = processCase.metrics.filter(
        ({ name }) => name !== 'CPU' || existsSync('/proc'),
      );
      for (const metric of metrics) expect(metric.of(trial)).toBeGreaterThan(0);
    },
  );

  test('tells groups that are wrong', () => {
    const trial = { run: {}, serverCpuSeconds: 0, serverUsage: { before: {}, after: {} } };
    const verified = { expected: 'a', found: 'a and b' };
    expect(processCase.verify({ ...trial, verified }, settings)).toContain('a and b');
  });
});
