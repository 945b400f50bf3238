import { describe, expect, test } from 'vitest';
import { GroupTable } from '../../../../dist/processing/map-reduce/group-table.js';

function contentOf(table: GroupTable): Map<string, unknown[]> {
  const groups = table.drain();
  return new Map(Array.from(groups, ([key, place]) => [key, [...groups.valuesAt(place)]]));
}

describe('a table of groups', () => {
  const sum = (_key: string, values: readonly unknown[]): number =>
    values.reduce<number>((total, value) => total + Number(value), 0);
  const never = (): never => {
    throw new Error('the table is not full');
  };

  test('keeps the values of each key in order', () => {
    const table = new GroupTable(1e6, undefined, never);
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

  test.each([1, 2, 16, 17, 18, 33, 34, 1_000])('folds %i values into one', (count) => {
    let longest = 0;
    const table = new GroupTable(
      1e6,
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
      const table: GroupTable = new GroupTable(200_000, undefined, () => {
        drained ??= contentOf(table);
      });
      for (let at = 0; at < countMax; at++) table.add(...entryOf(at));
      expect([what, drained]).toEqual([what, expect.any(Map)]);
    }
  });

  test('with a fold is as large as what is folded, not as what was emitted', () => {
    const table = new GroupTable(10_000, (_key, values) => values.at(-1), never);
    for (let at = 0; at < 1_000; at++) table.add('a', `${at}${'x'.repeat(100)}`);
    expect(contentOf(table).get('a')).toEqual([`999${'x'.repeat(100)}`]);
  });

  test('survives a value with a circle in it', () => {
    const circle: unknown[] = [1, 2];
    circle.push(circle, circle);
    const table = new GroupTable(1e9, undefined, never);
    table.add('a', circle);
    expect(contentOf(table).get('a')).toEqual([circle]);
  });
});
