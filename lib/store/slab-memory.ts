import { pageBytes, slotBytesFor } from './size-classes.js';

/** A piece of a slab. It is free, or it belongs to whoever `take` gave it to. */
export interface Slot {
  readonly slab: Slab;
  /** In the memory of the slab. */
  readonly offset: number;
}

/** A range of an arena, cut into slots of one size class for as long as one of them is used. */
export interface Slab {
  readonly memory: SharedArrayBuffer;
  readonly arena: Arena;
  readonly range: Range;
  readonly sizeClass: SizeClass;
  readonly slotCount: number;
  /** Offsets given back, the latest last: warm memory is used again first. */
  readonly free: number[];
  /** Slots from here on were not used yet. */
  untouched: number;
}

interface Range {
  readonly offset: number;
  readonly bytes: number;
}

interface SizeClass {
  readonly slotBytes: number;
  /** In all slabs of the class. */
  slotCount: number;
  readonly withRoom: Set<Slab>;
}

/** Each new slab doubles its class, from a few pages up to this; a larger slot has a slab of its own. */
const slabBytesMin = 64 * 1024;
const slabBytesAim = 4 * 1024 * 1024;

/** Each new arena doubles the memory, up to this. */
const arenaBytesMin = 64 * 1024;
const arenaBytesAim = 64 * 1024 * 1024;
/** An arena starts with room for so many slots of the size it is needed for, so that little is lost at its end. */
const arenaSlotsAim = 16;
/** As many of them as an arena is made for even if it grows beyond `arenaBytesAim`. */
const arenaSlotsMin = 4;

/**
 * Shared memory in arenas, which are taken from the system; slabs are cut from them, and equal slots from each slab:
 *
 *     arena                    |slab of 1 MiB slots    |slab of 72 KiB slots|free       |
 *     slab of 1 MiB slots      |used|free|used|    |
 *                                          ^ untouched
 *
 * From 4 KiB on slots begin at a multiple of 4 KiB within their arena. A slot goes back to its slab; a slab whose last used slot
 * came back goes back to its arena, where its range can be cut for any other size. An arena is kept even if it is empty: the
 * system gets memory that is no longer referenced back only when the garbage collector comes by, and shared memory does not make
 * it come. Only when the limit leaves no other room, empty arenas too small for what is asked make place for a larger one. What
 * is held never exceeds `limitBytes`.
 */
export class SlabMemory {
  readonly #limitBytes: number;
  readonly #onSlab: ((memory: SharedArrayBuffer) => void) | undefined;
  readonly #classes = new Map<number, SizeClass>();
  /** The oldest first: slabs are cut from the first with room, so the younger ones tend to run empty. */
  readonly #arenas = new Set<Arena>();
  #heldBytes = 0;

  /** @param onSlab gets each piece of memory taken from the system before it is used */
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
    const slab = firstOf(sizeClass.withRoom) ?? this.#newSlab(sizeClass);
    if (slab === undefined) return undefined;
    const offset = slab.free.pop() ?? slab.range.offset + slab.untouched++ * sizeClass.slotBytes;
    if (isFull(slab)) sizeClass.withRoom.delete(slab);
    return { slab, offset };
  }

  give({ slab, offset }: Slot): void {
    const { sizeClass } = slab;
    slab.free.push(offset);
    sizeClass.withRoom.add(slab);
    if (slab.free.length < slab.untouched) return;
    sizeClass.withRoom.delete(slab);
    sizeClass.slotCount -= slab.slotCount;
    slab.arena.give(slab.range);
  }

  /** Gives every empty arena up. */
  trim(): void {
    for (const arena of this.#arenas) if (arena.isEmpty) this.#giveUp(arena);
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
    const aimBytes = Math.max(slabBytesMin, sizeClass.slotCount * slotBytes);
    const aimCount = Math.floor(Math.min(aimBytes, slabBytesAim) / slotBytes);
    const bytesMax = wholePages(Math.max(1, aimCount) * slotBytes);
    const bytesMin = wholePages(slotBytes);
    const cut =
      this.#cut(bytesMax, bytesMax) ??
      this.#cut(bytesMin, bytesMax) ??
      (this.#newArena(bytesMin) ? this.#cut(bytesMin, bytesMax) : undefined);
    if (cut === undefined) return undefined;
    const { arena, range } = cut;
    const slotCount = Math.floor(range.bytes / slotBytes);
    const { memory } = arena;
    const slab: Slab = { memory, arena, range, sizeClass, slotCount, free: [], untouched: 0 };
    sizeClass.slotCount += slotCount;
    sizeClass.withRoom.add(slab);
    return slab;
  }

  #cut(bytesMin: number, bytesMax: number): { arena: Arena; range: Range } | undefined {
    for (const arena of this.#arenas) {
      const range = arena.take(bytesMin, bytesMax);
      if (range !== undefined) return { arena, range };
    }
    return undefined;
  }

  /** Takes an arena from the system with at least `bytesMin`, or returns false when the limit leaves no room for it. */
  #newArena(bytesMin: number): boolean {
    if (!this.#makeRoom(bytesMin)) return false;
    const growBytes = Math.max(this.#heldBytes, arenaBytesMin, arenaSlotsAim * bytesMin);
    const aimBytes = Math.max(Math.min(growBytes, arenaBytesAim), arenaSlotsMin * bytesMin);
    const roomBytes = this.#limitBytes - this.#heldBytes;
    const memory = new SharedArrayBuffer(Math.min(aimBytes, roomBytes - (roomBytes % pageBytes)));
    this.#onSlab?.(memory);
    this.#heldBytes += memory.byteLength;
    this.#arenas.add(new Arena(memory));
    return true;
  }

  /** Called when no arena has room for `bytes`: so each that is empty is smaller than that. */
  #makeRoom(bytes: number): boolean {
    let missingBytes = this.#heldBytes + bytes - this.#limitBytes;
    if (missingBytes <= 0) return true;
    const empty = [...this.#arenas]
      .filter((arena) => arena.isEmpty)
      .sort((a, b) => a.memory.byteLength - b.memory.byteLength);
    const emptyBytes = empty.reduce((sum, arena) => sum + arena.memory.byteLength, 0);
    if (emptyBytes < missingBytes) return false;
    for (const arena of empty) {
      if (missingBytes <= 0) break;
      missingBytes -= arena.memory.byteLength;
      this.#giveUp(arena);
    }
    return true;
  }

  #giveUp(arena: Arena): void {
    this.#arenas.delete(arena);
    this.#heldBytes -= arena.memory.byteLength;
  }
}

/** One piece of memory from the system, and which ranges of it are free. */
class Arena {
  readonly memory: SharedArrayBuffer;
  /** By offset; no two of them touch. */
  readonly #free: Range[];
  #freeBytes: number;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#free = [{ offset: 0, bytes: memory.byteLength }];
    this.#freeBytes = memory.byteLength;
  }

  get isEmpty(): boolean {
    return this.#freeBytes === this.memory.byteLength;
  }

  /** The start of the first free range of `bytesMin` or more, `bytesMax` of it at most. */
  take(bytesMin: number, bytesMax: number): Range | undefined {
    if (this.#freeBytes < bytesMin) return undefined;
    const index = this.#free.findIndex((range) => range.bytes >= bytesMin);
    const found = this.#free[index];
    if (found === undefined) return undefined;
    const bytes = Math.min(found.bytes, bytesMax);
    const rest = { offset: found.offset + bytes, bytes: found.bytes - bytes };
    this.#free.splice(index, 1, ...(rest.bytes > 0 ? [rest] : []));
    this.#freeBytes -= bytes;
    return { offset: found.offset, bytes };
  }

  give({ offset, bytes }: Range): void {
    const index = this.#indexAfter(offset);
    const before = this.#free[index - 1];
    const after = this.#free[index];
    const joinsBefore = before !== undefined && before.offset + before.bytes === offset;
    const joinsAfter = after !== undefined && offset + bytes === after.offset;
    const start = joinsBefore ? before.offset : offset;
    const end = joinsAfter ? after.offset + after.bytes : offset + bytes;
    const joined = Number(joinsBefore) + Number(joinsAfter);
    this.#free.splice(joinsBefore ? index - 1 : index, joined, {
      offset: start,
      bytes: end - start,
    });
    this.#freeBytes += bytes;
  }

  /** Index of the first free range that begins after `offset`. */
  #indexAfter(offset: number): number {
    let low = 0;
    let high = this.#free.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#free[middle]?.offset ?? 0) < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function wholePages(bytes: number): number {
  return Math.ceil(bytes / pageBytes) * pageBytes;
}

function isFull(slab: Slab): boolean {
  return slab.free.length === 0 && slab.untouched === slab.slotCount;
}

function firstOf<T>(set: ReadonlySet<T>): T | undefined {
  return set.values().next().value;
}
