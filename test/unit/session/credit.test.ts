import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CreditBudget, type Grantee } from '../../../dist/session/credit.js';

const kibi = 1024;
const mebi = 1024 * kibi;

class Reader implements Grantee {
  outstandingBytes = 0;
  leftBytes: number;
  granted: number[] = [];

  constructor(wantedBytes: number) {
    this.leftBytes = wantedBytes;
  }

  get wantedBytes(): number {
    return this.leftBytes;
  }

  grant(byteCount: number): void {
    this.leftBytes -= byteCount;
    this.granted.push(byteCount);
  }
}

/** What one stream may take of 4 MiB for 64 streams: three quarters are shared, 16 KiB are its own. */
const sharedBytes = 3 * mebi;
const floorBytes = 16 * kibi;

describe('credit budget', () => {
  test('grants at once what there is room for', () => {
    const budget = new CreditBudget(4 * mebi, 64);
    const reader = new Reader(mebi);
    budget.ask(reader);
    expect(reader.granted).toEqual([mebi]);
  });

  test('the rest of a large wish follows as bytes are taken', () => {
    const budget = new CreditBudget(4 * mebi, 64);
    const reader = new Reader(10 * mebi);
    budget.ask(reader);
    expect(reader.outstandingBytes).toBe(sharedBytes + floorBytes);
    while (reader.outstandingBytes > 0)
      budget.giveBack(reader, Math.min(reader.outstandingBytes, 256 * kibi));
    expect(reader.leftBytes).toBe(0);
  });

  test('waiting streams are served in the order in which they came', () => {
    const budget = new CreditBudget(4 * mebi, 64);
    const [first, second, third] = [
      new Reader(sharedBytes + floorBytes),
      new Reader(mebi),
      new Reader(mebi),
    ];
    for (const reader of [first, second, third]) budget.ask(reader);
    expect(second.granted).toEqual([floorBytes]);
    budget.giveBack(first, mebi);
    expect(second.leftBytes).toBe(0);
    expect(third.granted.slice(1).reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(floorBytes);
    budget.giveBack(first, mebi);
    expect(third.leftBytes).toBe(0);
  });

  test('a stream moves on although others hold all that is shared', () => {
    const budget = new CreditBudget(4 * mebi, 64);
    const hog = new Reader(100 * mebi);
    budget.ask(hog);
    const small = new Reader(mebi);
    budget.ask(small);
    while (small.leftBytes > 0) {
      expect(small.outstandingBytes).toBeGreaterThan(0);
      budget.giveBack(small, small.outstandingBytes);
      budget.ask(small);
    }
  });

  test('what leaves makes room for the others', () => {
    const budget = new CreditBudget(4 * mebi, 64);
    const [hog, waiting] = [new Reader(100 * mebi), new Reader(mebi)];
    budget.ask(hog);
    budget.ask(waiting);
    budget.leave(hog);
    expect(hog.outstandingBytes).toBe(0);
    expect(waiting.leftBytes).toBe(0);
  });

  test('closed, nobody gets what others leave', () => {
    const budget = new CreditBudget(4 * mebi, 64);
    const [first, second, third] = [new Reader(4 * mebi), new Reader(mebi), new Reader(1)];
    budget.ask(first);
    budget.ask(second);
    const before = [...second.granted];
    budget.close();
    budget.leave(first);
    budget.ask(third);
    expect(second.granted).toEqual(before);
    expect(third.granted).toEqual([]);
  });

  test('never more than the whole is outstanding, and every wish ends granted', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 8 * mebi }), { minLength: 1, maxLength: 64 }),
        fc.infiniteStream(fc.nat()),
        (wishes, chance) => {
          const budget = new CreditBudget(4 * mebi, 64);
          const readers = wishes.map((wish) => new Reader(wish));
          const total = (): number => readers.reduce((sum, r) => sum + r.outstandingBytes, 0);
          for (const reader of readers) budget.ask(reader);
          for (let live = readers; live.length > 0; ) {
            expect(total()).toBeLessThanOrEqual(4 * mebi);
            const holding = live.filter((r) => r.outstandingBytes > 0);
            expect(holding.length).toBeGreaterThan(0);
            const reader = holding[(chance.next().value as number) % holding.length] as Reader;
            budget.giveBack(reader, Math.min(reader.outstandingBytes, 256 * kibi));
            if (reader.leftBytes > 0) budget.ask(reader);
            live = live.filter((r) => r.leftBytes > 0 || r.outstandingBytes > 0);
          }
        },
      ),
      { numRuns: 50 },
    );
  });
});
