import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GroupTable } from '../../../../dist/processing/map-reduce/group-table.js';

function contentOf(table: GroupTable): Map<string, unknown[]> {
  const groups = table.drain();
  return new Map(groups.keys.map((key, place) => [key, [...groups.valuesAt(place)]]));
}

describe('a table of groups', () => {
  const sum = (_key: string, values: readonly unknown[]): number =>
    values.reduce<number>((total, value) => total + Number(value), 0);
  const never = (): never => {
    throw new Error('the table is not full');
  };

  test('keeps the values of each key in order', () => {
    const table = new GroupTable(1e6, 7, undefined, never);
    for (const [key, value] of [
      ['a', 1],
      ['b', 2],
      ['a', 3],
    ] as const)
      table.add(key, value);
    expect(contentOf(table)).toEqual(
      new Map([
        ['a', [1, 3]],
        ['b', [2]],
      ]),
    );
    expect(table.isEmpty).toBe(true);
    expect(contentOf(table).size).toBe(0);
  });

  test('goes on after a fold that has failed once', () => {
    let hasFailed = false;
    const table = new GroupTable(
      64 * 1024,
      7,
      (key, values) => {
        if (hasFailed) return sum(key, values);
        hasFailed = true;
        throw new RangeError('no luck');
      },
      never,
    );
    let failures = 0;
    for (let count = 0; count < 2_000; count++) {
      try {
        table.add('a', 1);
      } catch {
        failures++;
      }
    }
    expect(failures).toBe(1);
    expect(contentOf(table).get('a')).toEqual([expect.any(Number)]);
  });

  test.each([1, 2, 16, 17, 18, 33, 34, 1_000])('folds %i values into one', (count) => {
    let longest = 0;
    const table = new GroupTable(
      1e6,
      7,
      (key, values) => {
        longest = Math.max(longest, values.length);
        return sum(key, values);
      },
      never,
    );
    for (let value = 1; value <= count; value++) table.add('a', value);
    expect([...contentOf(table)]).toEqual([['a', [(count * (count + 1)) / 2]]]);
    expect(longest).toBeLessThanOrEqual(17);
  });

  test('says when it is full: of keys, of values, of large values', () => {
    const fillings: [string, (at: number) => [string, unknown], number][] = [
      ['keys', (at) => [`key${at}`, 1], 4_000],
      ['values', () => ['one', 1], 40_000],
      ['texts', () => ['one', 'x'.repeat(1_000)], 1_000],
      ['bytes', () => ['one', new Uint8Array(1_000)], 1_000],
      ['objects', () => ['one', { list: Array(100).fill(1) }], 1_000],
    ];
    for (const [what, entryOf, countMax] of fillings) {
      let drained: unknown;
      const table: GroupTable = new GroupTable(200_000, 7, undefined, () => {
        drained ??= contentOf(table);
      });
      for (let at = 0; at < countMax; at++) table.add(...entryOf(at));
      expect([what, drained]).toEqual([what, expect.any(Map)]);
    }
  });

  test('with a fold is as large as what is folded, not as what was emitted', () => {
    const table = new GroupTable(10_000, 7, (_key, values) => values.at(-1), never);
    for (let at = 0; at < 1_000; at++) table.add('a', `${at}${'x'.repeat(100)}`);
    expect(contentOf(table).get('a')).toEqual([`999${'x'.repeat(100)}`]);
  });

  test('folds every value once, numbers and others, into numbers and others', () => {
    const key = fc.constantFrom('a', 'b', 'a key that is longer', 'ö');
    const value = fc.oneof(fc.integer(), fc.double({ noNaN: true }), fc.string({ maxLength: 3 }));
    // A fold may be given its own results; numbers stay one until there are several texts.
    const gather = (_key: string, values: readonly unknown[]): unknown => values.flat();
    const total = (_key: string, values: readonly unknown[]): unknown =>
      values.reduce<number>((sum, each) => sum + (typeof each === 'number' ? each : 1), 0);
    const entries = fc.array(fc.tuple(key, value), { maxLength: 400 });
    const wholeOf = (one: number): number => (Math.trunc(one) % 1_000) + 0; // No -0, which a sum with 0 loses.
    fc.assert(
      fc.property(entries, fc.constantFrom(30_000, 1e6), (emitted, bytesMax) => {
        const table = new GroupTable(bytesMax, 7, gather, never);
        const sums = new GroupTable(bytesMax, 7, total, never);
        for (const [each, one] of emitted) {
          table.add(each, one);
          sums.add(each, typeof one === 'number' ? wholeOf(one) : one);
        }
        const sorted = (values: readonly unknown[]): string[] =>
          values.map((one) => JSON.stringify(one)).sort();
        for (const [each, values] of contentOf(table)) {
          const own = emitted.filter(([other]) => other === each).map(([, one]) => one);
          expect(sorted(values.flat())).toEqual(sorted(own));
        }
        const sumOf = (own: readonly (number | string)[]): number =>
          own.reduce<number>((sum, one) => sum + (typeof one === 'number' ? wholeOf(one) : 1), 0);
        for (const [each, [sum]] of contentOf(sums)) {
          const own = emitted.filter(([other]) => other === each).map(([, one]) => one);
          // One text alone is no number yet.
          expect(typeof sum === 'string' ? 1 : sum).toBe(sumOf(own));
        }
      }),
    );
  });

  test('folds what waits when there is much of it, also of many keys', () => {
    const table = new GroupTable(1e8, 7, sum, never);
    const keyCount = 1_000;
    const turns = 200;
    for (let turn = 0; turn < turns; turn++) {
      for (let at = 0; at < keyCount; at++) table.add(`key${at}`, at);
    }
    const content = contentOf(table);
    expect(content.size).toBe(keyCount);
    for (let at = 0; at < keyCount; at++) expect(content.get(`key${at}`)).toEqual([at * turns]);
  });

  test('fails where a fold adds to it, rather than lose that', () => {
    const table: GroupTable = new GroupTable(
      1e6,
      7,
      (key, values) => {
        for (let more = 0; more < 100_000; more++) table.add(key, 1);
        return sum(key, values);
      },
      never,
    );
    table.add('a', 1);
    table.add('a', 1);
    expect(() => table.drain()).toThrow('a combine emits');
  });

  test('survives a value with a circle in it', () => {
    const circle: unknown[] = [1, 2];
    circle.push(circle, circle);
    const table = new GroupTable(1e9, 7, undefined, never);
    table.add('a', circle);
    expect(contentOf(table).get('a')).toEqual([circle]);
  });
});
