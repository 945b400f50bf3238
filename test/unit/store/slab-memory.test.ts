import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SlabMemory, type Slot } from '../../../dist/store/slab-memory.js';

const kibibyte = 1024;
const mebibyte = 1024 * 1024;

interface Counted {
  memory: SlabMemory;
  /** All memory ever taken from the system. */
  made: SharedArrayBuffer[];
}

function counted(limitBytes: number): Counted {
  const made: SharedArrayBuffer[] = [];
  return { memory: new SlabMemory(limitBytes, (piece) => made.push(piece)), made };
}

function takeAll(memory: SlabMemory, count: number, bytes: number): Slot[] {
  return Array.from({ length: count }, () => {
    const slot = memory.take(bytes);
    if (slot === undefined) throw new Error(`No room for ${bytes} bytes`);
    return slot;
  });
}

function giveAll(memory: SlabMemory, slots: Slot[]): void {
  for (const slot of slots) memory.give(slot);
}

test('few small shards take little', () => {
  const { memory, made } = counted(1024 * mebibyte);
  takeAll(memory, 60, kibibyte);
  expect(memory.heldBytes).toBe(64 * kibibyte);
  expect(made.map((piece) => piece.byteLength)).toEqual([64 * kibibyte]);
});

test('a slot that came back is used again, the latest first', () => {
  const { memory } = counted(mebibyte);
  const [first, second] = takeAll(memory, 3, 5000);
  if (first === undefined || second === undefined) throw new Error('unreachable');
  memory.give(second);
  memory.give(first);
  expect([memory.take(5000)?.offset, memory.take(5000)?.offset]).toEqual([
    first.offset,
    second.offset,
  ]);
});

test('rounds of data with differing shard sizes use the same memory again', () => {
  const { memory, made } = counted(128 * mebibyte);
  const round = (turn: number): void => {
    const bytes = Math.floor((turn % 2 ? 7 : 9) * mebibyte + (turn % 16) * 1.2 * mebibyte);
    giveAll(memory, takeAll(memory, Math.floor((100 * mebibyte) / bytes), bytes));
    expect(memory.heldBytes).toBeLessThanOrEqual(128 * mebibyte);
  };
  for (let turn = 0; turn < 3; turn++) round(turn);
  const { heldBytes } = memory;
  const madeCount = made.length;
  for (let turn = 3; turn < 500; turn++) round(turn);
  expect(made).toHaveLength(madeCount);
  expect(memory.heldBytes).toBe(heldBytes);
});

test.each([4, 100, 1024])('sizes from 1 byte to the limit of %d MiB, round and round', (limit) => {
  const limitBytes = limit * mebibyte;
  const { memory, made } = counted(limitBytes);
  const round = (): void => {
    for (let bytes = 1; bytes <= Math.min(limitBytes, 64 * mebibyte); bytes *= 2) {
      const count = Math.min(2000, Math.floor(limitBytes / 2 / bytes));
      giveAll(memory, takeAll(memory, Math.max(1, count), bytes));
    }
  };
  round();
  const madeCount = made.length;
  expect(made.reduce((sum, piece) => sum + piece.byteLength, 0)).toBeLessThanOrEqual(
    2 * limitBytes,
  );
  for (let turn = 0; turn < 20; turn++) round();
  expect(made).toHaveLength(madeCount);
});

test('what passes through takes memory for what is under way only', () => {
  const { memory, made } = counted(4096 * mebibyte);
  const underWay: Slot[] = [];
  for (let index = 0; index < 4096; index++) {
    underWay.push(...takeAll(memory, 1, mebibyte - (index % 3) * 100_000));
    const oldest = underWay.length > 16 ? underWay.shift() : undefined;
    if (oldest !== undefined) memory.give(oldest);
  }
  expect(memory.heldBytes).toBeLessThanOrEqual(64 * mebibyte);
  expect(made.length).toBeLessThanOrEqual(3);
});

test('small shards of many sizes share what large ones left', () => {
  const { memory, made } = counted(8 * mebibyte);
  giveAll(memory, takeAll(memory, 8, mebibyte));
  const madeCount = made.length;
  for (let size = 1; size <= 100; size++) takeAll(memory, 1, 64 * size);
  expect(made).toHaveLength(madeCount);
});

test('at the limit empty memory too small makes place, used memory stays', () => {
  const { memory } = counted(4 * mebibyte);
  const [kept, ...others] = takeAll(memory, 1024, 4096);
  expect(memory.heldBytes).toBe(4 * mebibyte);
  giveAll(memory, others);
  expect(memory.take(4 * mebibyte)).toBeUndefined();
  expect(memory.heldBytes).toBe(4 * mebibyte);
  if (kept !== undefined) memory.give(kept);
  expect(memory.take(4 * mebibyte)?.slab.memory.byteLength).toBe(4 * mebibyte);
  expect(memory.take(1)).toBeUndefined();
  expect(memory.heldBytes).toBe(4 * mebibyte);
});

test('a limit that is no multiple of a page', () => {
  const { memory } = counted(mebibyte + 1);
  takeAll(memory, 1, mebibyte);
  expect(memory.take(1)).toBeUndefined();
});

test('trim gives up what is empty, and only that', () => {
  const { memory } = counted(512 * mebibyte);
  const small = takeAll(memory, 1, 100);
  giveAll(memory, takeAll(memory, 100, mebibyte));
  expect(memory.heldBytes).toBeGreaterThanOrEqual(100 * mebibyte);
  memory.trim();
  expect(memory.heldBytes).toBe(64 * kibibyte);
  giveAll(memory, small);
  memory.trim();
  expect(memory.heldBytes).toBe(0);
});

test('property: slots in use never overlap, the limit is kept, what came back is whole again', () => {
  const size = fc.oneof(
    fc.integer({ min: 1, max: 5000 }),
    fc.integer({ min: 4000, max: 300_000 }),
    fc.integer({ min: 300_000, max: 3 * mebibyte }),
  );
  const step = fc.oneof(
    fc.record({ take: size }),
    fc.record({ give: fc.nat(1000) }),
    fc.constant({ trim: true as const }),
  );
  fc.assert(
    fc.property(
      fc.integer({ min: mebibyte, max: 6 * mebibyte }),
      fc.array(step, { maxLength: 150 }),
      (limitBytes, steps) => {
        const { memory, made } = counted(limitBytes);
        const used: { slot: Slot; start: number; end: number }[] = [];
        for (const one of steps) {
          if ('take' in one) {
            const slot = memory.take(one.take);
            if (slot !== undefined) {
              const [start, end] = [slot.offset, slot.offset + one.take];
              expect(made).toContain(slot.slab.memory);
              expect(end).toBeLessThanOrEqual(slot.slab.memory.byteLength);
              if (one.take >= 4096) expect(start % 4096).toBe(0);
              for (const other of used) {
                if (other.slot.slab.memory !== slot.slab.memory) continue;
                expect(end <= other.start || other.end <= start).toBe(true);
              }
              used.push({ slot, start, end });
            }
          } else if ('give' in one) {
            const [given] = used.splice(one.give % (used.length + 1), 1);
            if (given !== undefined) memory.give(given.slot);
          } else memory.trim();
          expect(memory.heldBytes).toBeLessThanOrEqual(limitBytes);
          const inUse = new Set(used.map(({ slot }) => slot.slab.memory));
          const inUseBytes = [...inUse].reduce((sum, { byteLength }) => sum + byteLength, 0);
          expect(memory.heldBytes).toBeGreaterThanOrEqual(inUseBytes);
        }
        for (const { slot } of used) memory.give(slot);
        expect(memory.take(mebibyte)).toBeDefined();
      },
    ),
    { numRuns: 200 },
  );
});
