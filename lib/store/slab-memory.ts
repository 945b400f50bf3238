import { slotBytesFor } from './size-classes.js';

/** A piece of a slab. It is free, or it belongs to whoever `take` gave it to. */
export interface Slot {
  readonly slab: Slab;
  readonly offset: number;
}

export interface Slab {
  readonly memory: SharedArrayBuffer;
  readonly sizeClass: SizeClass;
  readonly slotCount: number;
  /** Offsets given back, the latest last: warm memory is used again first. */
  readonly free: number[];
  /** Slots from here on were never used, so the system need not have backed them with pages yet. */
  untouched: number;
}

/** Slabs of a class grow with the class: each new one doubles it, from a few pages up to this. */
const slabBytesMin = 64 * 1024;
const slabBytesAim = 64 * 1024 * 1024;
/** Empty slabs kept for the next shards, so that a stream that passes through does not ask the system for each. */
const spareBytesMax = 64 * 1024 * 1024;

interface SizeClass {
  readonly slotBytes: number;
  /** In all slabs of the class. */
  slotCount: number;
  readonly withRoom: Set<Slab>;
}

/**
 * Shared memory in slabs of equal slots, one size class each:
 *
 *     slab of 1 MiB slots   |used|free|used|used|    |    |    |    |
 *                                                ^ untouched
 *
 * From 4 KiB on slots begin at a multiple of 4 KiB within their slab. A slot goes back to its slab and is used again by a shard of its class; a slab whose last
 * slot came back is kept as a spare or given up. So memory follows what is stored, whatever passed through, and what is held
 * never exceeds `limitBytes`.
 */
export class SlabMemory {
  readonly #limitBytes: number;
  readonly #onSlab: ((memory: SharedArrayBuffer) => void) | undefined;
  readonly #classes = new Map<number, SizeClass>();
  /** Slabs without a used slot, the longest empty first. */
  readonly #spares = new Set<Slab>();
  #spareBytes = 0;
  #heldBytes = 0;

  /** @param onSlab gets each new slab before it is used */
  constructor(limitBytes: number, onSlab?: (memory: SharedArrayBuffer) => void) {
    this.#limitBytes = limitBytes;
    this.#onSlab = onSlab;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Room for `bytes`, or undefined when the limit leaves none. */
  take(bytes: number): Slot | undefined {
    const sizeClass = this.#classFor(slotBytesFor(bytes));
    // The first with room is the oldest, so the younger ones tend to run empty.
    const slab = firstOf(sizeClass.withRoom) ?? this.#newSlab(sizeClass);
    if (slab === undefined) return undefined;
    if (this.#spares.delete(slab)) this.#spareBytes -= slab.memory.byteLength;
    const offset = slab.free.pop() ?? slab.untouched++ * sizeClass.slotBytes;
    if (isFull(slab)) sizeClass.withRoom.delete(slab);
    return { slab, offset };
  }

  give({ slab, offset }: Slot): void {
    slab.free.push(offset);
    slab.sizeClass.withRoom.add(slab);
    if (slab.free.length < slab.untouched) return;
    this.#spares.add(slab);
    this.#spareBytes += slab.memory.byteLength;
    while (this.#spareBytes > spareBytesMax) this.#giveUpSpare();
  }

  /** Gives every empty slab up. */
  trim(): void {
    while (this.#spares.size > 0) this.#giveUpSpare();
  }

  #classFor(slotBytes: number): SizeClass {
    let sizeClass = this.#classes.get(slotBytes);
    if (sizeClass === undefined) {
      sizeClass = { slotBytes, slotCount: 0, withRoom: new Set() };
      this.#classes.set(slotBytes, sizeClass);
    }
    return sizeClass;
  }

  #newSlab(sizeClass: SizeClass): Slab | undefined {
    const { slotBytes } = sizeClass;
    while (this.#heldBytes + slotBytes > this.#limitBytes && this.#spares.size > 0) {
      this.#giveUpSpare();
    }
    const aimBytes = Math.max(slabBytesMin, sizeClass.slotCount * slotBytes);
    const slabBytes = Math.min(aimBytes, slabBytesAim, this.#limitBytes - this.#heldBytes);
    const slotCount = Math.max(1, Math.floor(slabBytes / slotBytes));
    const memoryBytes = slotCount * slotBytes;
    if (this.#heldBytes + memoryBytes > this.#limitBytes) return undefined;
    const memory = new SharedArrayBuffer(memoryBytes);
    this.#onSlab?.(memory);
    this.#heldBytes += memoryBytes;
    sizeClass.slotCount += slotCount;
    const slab: Slab = { memory, sizeClass, slotCount, free: [], untouched: 0 };
    sizeClass.withRoom.add(slab);
    return slab;
  }

  #giveUpSpare(): void {
    const slab = firstOf(this.#spares);
    if (slab === undefined) return;
    const { sizeClass, memory, slotCount } = slab;
    this.#spares.delete(slab);
    this.#spareBytes -= memory.byteLength;
    this.#heldBytes -= memory.byteLength;
    sizeClass.withRoom.delete(slab);
    sizeClass.slotCount -= slotCount;
  }
}

function isFull(slab: Slab): boolean {
  return slab.free.length === 0 && slab.untouched === slab.slotCount;
}

function firstOf<T>(set: ReadonlySet<T>): T | undefined {
  return set.values().next().value;
}
