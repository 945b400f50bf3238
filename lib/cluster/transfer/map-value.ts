import { PaipaiError } from '../../base/errors.js';
import { shardCountMax } from '../../data/shard.js';
import { readU16, readU32, readU64, writeU16, writeU32 } from '../../wire/little-endian.js';
import { shardBytesMax } from '../../wire/shard-header.js';
import { decodeText, encodeText } from '../../wire/text.js';
import type { PlacedShard } from './shard-map.js';

/**
 * A shard map as it lies in the table of a net:
 *
 *     | layout u8 | flags u8 | nodes u16 | shards u32 | version u64 | longest shard u32 | 0 u32 |
 *     | with flag 2: the fence u64                                                               |
 *     | of each node: id bytes u8, id                                                            |
 *     | runs of shards with as many copies: copies, run                                          |
 *     | of each copy: its node, u8 up to 256 nodes, else u16                                     |
 *     | runs of shards of one length: longest - length, run                                      |
 *     | of each shard: CRC32C u32                                                                |
 *
 * Numbers without a width are varints of 7 bits a byte, the low ones first. Shards stand by index, from 0, each behind the one before.
 * Flag 1: the shards are listed; without it there are too many, or nobody knew them, and the nodes are asked.
 * Flag 2: there is a fence.
 */
export interface MapValue {
  /** Grows with each change: 1 to 2^53 - 1. */
  readonly version: number;
  /** Undefined when they are not listed. */
  readonly shards: readonly PlacedShard[] | undefined;
  /** The highest token under which the data were changed; 0: none has ever come with one. */
  readonly fence: number;
}

const layout = 1;
const listedFlag = 1;
const fencedFlag = 2;
const fenceBytes = 8;
const headerBytes = 24;
const nodesMax = 0xffff;
/** Up to here the index of a node has one byte. */
const smallNodeCount = 256;

/** Without the shards when with them it would have more than `bytesMax`, or when they are not whole: some are missing before others. */
export function encodeMapValue({ version, shards, fence }: MapValue, bytesMax: number): Uint8Array {
  const listed = shards === undefined || !isWhole(shards) ? undefined : encodeShards(shards);
  const bodyStart = headerBytes + (fence > 0 ? fenceBytes : 0);
  const isListed = listed !== undefined && bodyStart + listed.body.byteLength <= bytesMax;
  const body = isListed ? listed.body : new Uint8Array(0);
  const bytes = new Uint8Array(bodyStart + body.byteLength);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, layout);
  view.setUint8(1, (isListed ? listedFlag : 0) | (fence > 0 ? fencedFlag : 0));
  view.setUint16(2, isListed ? listed.nodeCount : 0, true);
  view.setUint32(4, isListed ? (shards?.length ?? 0) : 0, true);
  view.setBigUint64(8, BigInt(version), true);
  view.setUint32(16, isListed ? listed.longest : 0, true);
  if (fence > 0) view.setBigUint64(headerBytes, BigInt(fence), true);
  bytes.set(body, bodyStart);
  return bytes;
}

/** Whether the shards are listed in what `encodeMapValue` has made. */
export function isListing(value: Uint8Array): boolean {
  return ((value[1] ?? 0) & listedFlag) !== 0;
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL for what is no shard map. */
export function decodeMapValue(bytes: Uint8Array): MapValue {
  const reader = new Reader(bytes);
  if (reader.u8() !== layout) throw malformed('is of another layout');
  const flags = reader.u8();
  const nodeCount = reader.u16();
  const shardCount = reader.u32();
  const version = reader.u64();
  const longest = reader.u32();
  if (reader.u32() !== 0 || flags > (listedFlag | fencedFlag)) throw malformed('has unknown flags');
  if (version < 1 || version > Number.MAX_SAFE_INTEGER) throw malformed('has no version');
  const fence = (flags & fencedFlag) === 0 ? 0 : Number(reader.u64());
  if (!Number.isSafeInteger(fence)) throw malformed('has a fence beyond all numbers');
  if ((flags & listedFlag) === 0) {
    if (nodeCount + shardCount + longest + reader.left > 0)
      throw malformed('lists what it has not');
    return { version: Number(version), shards: undefined, fence };
  }
  // Each has its checksum, so that no count outgrows the bytes that are there.
  if (shardCount > shardCountMax || shardCount * 4 > reader.left) {
    throw malformed('has more shards than bytes');
  }
  const nodeIds = Array.from({ length: nodeCount }, () => reader.text());
  if (new Set(nodeIds).size !== nodeCount) throw malformed('names a node twice');
  const copies = reader.runs(shardCount, nodeCount);
  const holders = copies.map((count) => readHolders(reader, nodeIds, count));
  const shorter = reader.runs(shardCount, longest);
  let offset = 0;
  const shards = shorter.map((by, index) => {
    const bytes = longest - by;
    if (bytes < 1 || bytes > shardBytesMax) throw malformed(`has a shard of ${bytes} bytes`);
    const shard = { index, offset, bytes, crc32c: reader.u32(), holders: holders[index] ?? [] };
    offset += bytes;
    return shard;
  });
  if (reader.left > 0) throw malformed('has bytes left over');
  return { version: Number(version), shards, fence };
}

/** By index from 0, without a gap, each behind the one before. */
function isWhole(shards: readonly PlacedShard[]): boolean {
  let end = 0;
  return shards.every(({ index, offset, bytes }, at) => {
    const follows = index === at && offset === end;
    end = offset + bytes;
    return follows;
  });
}

interface Listed {
  readonly body: Uint8Array;
  readonly nodeCount: number;
  readonly longest: number;
}

/** Undefined when there are more nodes than the layout can tell apart. */
function encodeShards(shards: readonly PlacedShard[]): Listed | undefined {
  const indexes = new Map<string, number>();
  for (const { holders } of shards) {
    for (const id of holders) if (!indexes.has(id)) indexes.set(id, indexes.size);
  }
  if (indexes.size > nodesMax) return undefined;
  const longest = shards.reduce((most, { bytes }) => Math.max(most, bytes), 0);
  const writer = new Writer();
  for (const id of indexes.keys()) writer.text(id);
  writer.runs(shards.map(({ holders }) => holders.length));
  for (const { holders } of shards) {
    for (const id of holders) {
      const at = indexes.get(id) ?? 0;
      if (indexes.size > smallNodeCount) writer.u16(at);
      else writer.u8(at);
    }
  }
  writer.runs(shards.map(({ bytes }) => longest - bytes));
  for (const { crc32c } of shards) writer.u32(crc32c);
  return { body: writer.finish(), nodeCount: indexes.size, longest };
}

function readHolders(reader: Reader, nodeIds: readonly string[], count: number): string[] {
  const ids = Array.from({ length: count }, () => {
    const id = nodeIds[nodeIds.length > smallNodeCount ? reader.u16() : reader.u8()];
    if (id === undefined) throw malformed('names a node that it has not');
    return id;
  });
  if (new Set(ids).size !== count) throw malformed('has two copies on one node');
  return ids;
}

class Writer {
  #bytes = new Uint8Array(4_096);
  #length = 0;

  u8(value: number): void {
    const at = this.#grow(1);
    this.#bytes[at] = value;
  }

  u16(value: number): void {
    const at = this.#grow(2);
    writeU16(this.#bytes, at, value);
  }

  u32(value: number): void {
    const at = this.#grow(4);
    writeU32(this.#bytes, at, value);
  }

  text(text: string): void {
    const bytes = encodeText(text);
    this.u8(bytes.byteLength);
    const at = this.#grow(bytes.byteLength);
    this.#bytes.set(bytes, at);
  }

  /** Each value with how often it comes in a row. */
  runs(values: readonly number[]): void {
    for (let at = 0; at < values.length; ) {
      const value = values[at] ?? 0;
      let end = at + 1;
      while (values[end] === value) end++;
      this.#varint(value);
      this.#varint(end - at);
      at = end;
    }
  }

  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Of at most 32 bits. */
  #varint(value: number): void {
    let rest = value;
    for (; rest > 0x7f; rest >>>= 7) this.u8((rest & 0x7f) | 0x80);
    this.u8(rest);
  }

  #grow(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.byteLength) {
      const larger = new Uint8Array(Math.max(this.#length, this.#bytes.byteLength * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    return at;
  }
}

/** Each read that would pass the end throws. */
class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.byteLength - this.#at;
  }

  u8(): number {
    return this.#bytes[this.#skip(1)] ?? 0;
  }

  u16(): number {
    return readU16(this.#bytes, this.#skip(2));
  }

  u32(): number {
    return readU32(this.#bytes, this.#skip(4));
  }

  u64(): bigint {
    return readU64(this.#bytes, this.#skip(8));
  }

  text(): string {
    const byteCount = this.u8();
    const at = this.#skip(byteCount);
    const text = byteCount === 0 ? undefined : decodeText(this.#bytes, at, at + byteCount);
    if (text === undefined) throw malformed('names a node by what is no text');
    return text;
  }

  /** As many values as `count`, each at most `valueMax`. */
  runs(count: number, valueMax: number): number[] {
    const values: number[] = [];
    while (values.length < count) {
      const value = this.#varint();
      const run = this.#varint();
      if (value > valueMax || run < 1 || run > count - values.length) {
        throw malformed(`has a run of ${run} times ${value}`);
      }
      for (let left = run; left > 0; left--) values.push(value);
    }
    return values;
  }

  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 32; shift += 7) {
      const byte = this.u8();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw malformed('has a number of more than 32 bits');
  }

  #skip(count: number): number {
    const at = this.#at;
    if (count > this.left) throw malformed('is cut short');
    this.#at = at + count;
    return at;
  }
}

function malformed(why: string): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_PROTOCOL', `a shard map in the table of the net ${why}`);
}
