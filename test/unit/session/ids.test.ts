import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Chained, IdTable } from '../../../dist/session/id-table.js';
import {
  hasUsed,
  idAfter,
  idBeforeFirst,
  mayFollow,
  type Role,
} from '../../../dist/session/ids.js';

/** The ids of one side, as a session keeps them. */
class IdSequence {
  #last: number;

  constructor(role: Role) {
    this.#last = idBeforeFirst(role);
  }

  get next(): number {
    return idAfter(this.#last);
  }

  accept(id: number): boolean {
    if (!mayFollow(this.#last, id)) return false;
    this.#last = id | 0;
    return true;
  }

  hasUsed(id: number): boolean {
    return hasUsed(this.#last, id);
  }
}

describe('ids', () => {
  test('the side that connected counts 1, 3, 5, the other 2, 4, 6', () => {
    for (const [role, expected] of [
      ['connect', [1, 3, 5]],
      ['listen', [2, 4, 6]],
    ] as const) {
      const ids = new IdSequence(role);
      const given = expected.map(() => {
        const id = ids.next;
        expect(ids.accept(id)).toBe(true);
        return id;
      });
      expect(given).toEqual(expected);
    }
  });

  test('an id must be of the right parity and increase; gaps are fine', () => {
    const ids = new IdSequence('connect');
    expect(ids.accept(0)).toBe(false);
    expect(ids.accept(2)).toBe(false);
    expect(ids.accept(5)).toBe(true);
    expect(ids.accept(5)).toBe(false);
    expect(ids.accept(3)).toBe(false);
    expect(ids.accept(7)).toBe(true);
  });

  test('only ids up to the last count as used', () => {
    const ids = new IdSequence('listen');
    expect(ids.hasUsed(2)).toBe(false);
    ids.accept(8);
    expect([0, 2, 8, 7, 10].map((id) => ids.hasUsed(id))).toEqual([
      false,
      true,
      true,
      false,
      false,
    ]);
  });

  test('counting goes on past 2^32, and never gives 0', () => {
    for (const [role, last, first] of [
      ['connect', 0xffff_ffff, 1],
      ['listen', 0xffff_fffe, 2],
    ] as const) {
      const ids = new IdSequence(role);
      for (const step of [0x4000_0000, 0x8000_0000, 0xc000_0000]) {
        expect(ids.accept(step + (last & 1))).toBe(true);
      }
      expect(ids.accept(last)).toBe(true);
      expect(ids.next).toBe(first);
      expect(ids.accept(first)).toBe(true);
      expect(ids.hasUsed(last)).toBe(true);
      expect(ids.accept(last)).toBe(false);
    }
  });
});

class Entry implements Chained<Entry> {
  readonly id: number;
  nextInChain: Entry | null = null;
  constructor(id: number) {
    this.id = id;
  }
}

describe('id table', () => {
  test('gives back what was put in, once', () => {
    const table = new IdTable<Entry>();
    const entry = new Entry(7);
    table.add(entry);
    expect(table.get(7)).toBe(entry);
    expect(table.take(7)).toBe(entry);
    expect(table.take(7)).toBeNull();
    expect(table.size).toBe(0);
  });

  test('behaves as a Map under any use', () => {
    const command = fc.tuple(
      fc.constantFrom('add', 'take', 'get'),
      fc.integer({ min: 1, max: 400 }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 600 }), (commands) => {
        const table = new IdTable<Entry>();
        const model = new Map<number, Entry>();
        for (const [name, id] of commands) {
          if (name === 'add' && !model.has(id)) {
            const entry = new Entry(id);
            table.add(entry);
            model.set(id, entry);
          } else if (name === 'take') {
            expect(table.take(id)).toBe(model.get(id) ?? null);
            model.delete(id);
          } else {
            expect(table.get(id)).toBe(model.get(id) ?? null);
          }
          expect(table.size).toBe(model.size);
        }
        expect(table.takeAll()).toEqual([...model.values()].sort((a, b) => a.id - b.id));
        expect(table.size).toBe(0);
      }),
    );
  });
});
