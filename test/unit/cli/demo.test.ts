import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DemoOutcome } from '../../../dist/cli/demo-outcome.js';
import { isAlive, runCli, startCli } from './run-cli.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'paipainet-demo-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

async function outcomeOf(...args: string[]): Promise<DemoOutcome> {
  const { end, out, err } = await runCli(['demo', '--json', ...args]);
  expect({ end, err }).toEqual({ end: 0, err: '' });
  expect(out).toMatch(/^[^\n]+\n$/);
  return JSON.parse(out);
}

const timeout = 30_000;

describe('paipainet demo', () => {
  test('runs the main job on its own table, over three processes', { timeout }, async () => {
    const { pids, equal, result, skipped, report } = await outcomeOf();
    expect(equal).toBe(true);
    expect(new Set(pids).size).toBe(3);
    expect(pids).not.toContain(process.pid);
    expect(pids.filter((pid) => pid !== undefined && isAlive(pid))).toEqual([]);
    expect(skipped).toBe(0);
    expect(result).toHaveLength(59);
    expect(result.reduce((rows, { count }) => rows + count, 0)).toBe(42_049);
    expect(result.map(({ key }) => key)).toEqual(result.map(({ key }) => key).sort());
    expect(result[0]).toEqual({
      key: 'AK',
      count: 269,
      mean: expect.closeTo(61.438854),
      min: 53.85513,
      max: 70.494693,
    });

    const sum = (pick: (node: (typeof report.perNode)[0]) => number): number =>
      report.perNode.reduce((so, node) => so + pick(node), 0);
    expect(report).toMatchObject({
      bytes: 2_018_388,
      shardBytes: 65_536,
      sums: { bytes: 2_018_388 },
    });
    expect(sum(({ bytes }) => bytes)).toBe(report.bytes);
    expect(sum(({ shards }) => shards)).toBe(report.shards);
    expect(sum(({ weight }) => weight)).toBeCloseTo(1);
    expect(sum(({ transferMs }) => transferMs)).toBeCloseTo(report.sums.transferMs);
    expect(sum(({ processMs }) => processMs)).toBeCloseTo(report.sums.processMs);
  });

  test('gives the same result on the portable engine', { timeout }, async () => {
    const [native, js] = await Promise.all([
      runCli(['demo', '--json']),
      runCli(['demo', '--json'], { PAIPAINET_ENGINE: 'js' }),
    ]);
    const portable = JSON.parse(js.out);
    expect(portable).toMatchObject({ engine: 'js', equal: true });
    expect(portable.result).toEqual(JSON.parse(native.out).result);
  });

  test('takes a table of somebody else, with all that CSV allows', { timeout }, async () => {
    const path = file(
      'own.csv',
      '\uFEFF"name","how much",note\r\n' +
        'b,2,"line one\r\nline two"\r\n' +
        '"a, ""quoted""",1.5,\r\n' +
        'b,none,x\r\n' +
        '\r\n' +
        'b,-4,"""x"""\r\n' +
        'b\r\n' +
        '__proto__,1e2,last',
    );
    const options = ['--key', 'name', '--value', 'how much', '--nodes', '2', '--shard-bytes', '40'];
    const { result, skipped, equal, pids, report } = await outcomeOf(path, ...options);
    expect(equal).toBe(true);
    expect(result).toEqual([
      { key: '__proto__', count: 1, mean: 100, min: 100, max: 100 },
      { key: 'a, "quoted"', count: 1, mean: 1.5, min: 1.5, max: 1.5 },
      { key: 'b', count: 2, mean: -1, min: -4, max: 2 },
    ]);
    expect(skipped).toBe(2);
    expect(pids).toHaveLength(2);
    expect(report.shards).toBeGreaterThan(1);
  });

  test('adds exactly, however the rows are spread', { timeout }, async () => {
    const values = ['1e300', '0.1', '-1e300', '0.2', '1e-300', '5e-324', '1e16', '1', '-1e16'];
    const rows = values.flatMap((value) => [`x,${value}`, `y,${value}`, `y,-${value}`]);
    const path = file('exact.csv', `k,v\n${rows.join('\n').replaceAll('--', '')}\n`);
    const options = ['--key', 'k', '--value', 'v', '--nodes', '4', '--shard-bytes', '16'];
    const { equal, result } = await outcomeOf(path, ...options);
    expect(equal).toBe(true);
    expect(result[0]).toMatchObject({ key: 'x', count: 9, mean: 1.3 / 9 });
  });

  test('shows plan, progress, result, nodes and verdict within 80 columns', {
    timeout,
  }, async () => {
    const { end, out, err } = await runCli(['demo'], { LANG: 'C.UTF-8', LC_ALL: '' });
    expect({ end, err }).toEqual({ end: 0, err: '' });
    expect(out).toMatch(/^PaiPaiNet .*engine (native|js)/);
    for (const part of [
      'Plan ',
      'Transfer ',
      'Process ',
      'Result ',
      'Nodes ',
      '█',
      'w_i',
      't_i',
      'h_i',
    ]) {
      expect(out).toContain(part);
    }
    for (const part of [/^ {2}P /m, /^ {2}T /m, /^ {2}H /m, /^Equal to a one-thread reference/m]) {
      expect(out).toMatch(part);
    }
    expect(out).toMatch(/and 47 more/);
    expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    // Not a screen: no colours, nothing redrawn.
    for (const control of ['\x1b', '\r']) expect(out).not.toContain(control);
  });

  test.each([
    ['no such file', () => [join(folder, 'nope.csv')], /SOURCE_FAILED: .*nope\.csv.*no such file/],
    ['a folder', () => [folder], /SOURCE_FAILED: .*not a regular file/],
    ['an empty file', () => [file('empty.csv', '')], /DATA_EMPTY: .*empty\.csv/],
    ['no such key', () => ['--key', 'nope'], /CSV_COLUMN: .*"nope".*"zip_code", "latitude"/],
    ['no such value', () => ['--value', 'nope'], /CSV_COLUMN: .*"nope".*"zip_code", "latitude"/],
    [
      'no columns for a file',
      () => [file('t.csv', 'a,b\n1,2\n')],
      /INVALID_ARGUMENT: .*--key and --value.*"a", "b"/,
    ],
  ])('refuses %s in one line and with exit code 2', { timeout }, async (_name, args, line) => {
    const { end, out, err } = await runCli(['demo', ...args()]);
    expect({ end, out }).toEqual({ end: 2, out: '' });
    expect(err).toMatch(/^error PAIPAI_ERR_[^\n]+\n$/);
    expect(err).toMatch(line);
  });

  test('says what is wrong with a damaged table, and leaves no node behind', {
    timeout,
  }, async () => {
    const path = file('open-quote.csv', `k,v\n${'x,1\n'.repeat(100)}"x,1\n${'x,1\n'.repeat(100)}`);
    const { end, out, err } = await runCli(['demo', path, '--key', 'k', '--value', 'v', '--json']);
    expect({ end, out }).toEqual({ end: 1, out: '' });
    expect(err).toMatch(/^error PAIPAI_ERR_CSV_SYNTAX: /);
  });

  test('closes its nodes on Ctrl-C', { timeout }, async () => {
    const rows = Array.from({ length: 400_000 }, (_, index) => `key-${index % 7},${index}\n`);
    const path = file('long.csv', `k,v\n${rows.join('')}`);
    const options = ['--key', 'k', '--value', 'v', '--shard-bytes', '2000'];
    const demo = startCli(['demo', path, ...options]);
    const [, pids = ''] = await demo.seen(/pids ([\d, ]+)\).*Plan/s);
    demo.child.kill('SIGINT');
    const { end, err } = await demo.ended;
    expect({ end, err }).toEqual({ end: 130, err: '' });
    expect(pids.split(', ').filter((pid) => isAlive(Number(pid)))).toEqual([]);
  });
});
