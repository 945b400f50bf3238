import { type FileHandle, open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { PaipaiError } from '../../base/errors.js';
import { makeFolder, removeTemporaries, syncFolder, writeTemporary } from '../../store/disk.js';
import { isMissing, storeFailed } from '../../store/store-errors.js';
import { crc32c } from '../../wire/crc32c.js';
import { readU32, readU64, writeU32, writeU64 } from '../../wire/little-endian.js';
import type { AcceptorDisk } from './acceptor.js';

/**
 * A file of two slots of the same size; the valid one with the higher sequence counts, and the other is written next, in its place. So a write is one
 * piece and one sync of data alone, and one that was cut leaves what was there before.
 *
 *     | magic u32 | CRC32C of what follows u32 | sequence u64 | bytes u32 | 0 u32 | content | … |   and again
 */
const magic = 0x31515050; // The bytes `PPQ1`.
const headerBytes = 24;
const checkedFrom = 8;
const slotBytesMin = 4_096;
/** Of a slot: the largest table and what stands around it. */
const slotBytesMax = 8 * 1024 * 1024;
const fileName = 'acceptor';

/** What an acceptor keeps, in a folder that its node alone uses. */
export class SlotsFile implements AcceptorDisk {
  readonly #folder: string;
  #file: FileHandle | undefined;
  #slotBytes = 0;
  #sequence = 0;
  /** Which slot has the latest: 0 or 1. */
  #slot = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Fails: PAIPAI_ERR_STORE_FAILED, also when neither slot is whole. */
  async read(): Promise<Uint8Array | undefined> {
    try {
      await makeFolder(this.#folder);
      await removeTemporaries(this.#folder);
      this.#file = await open(this.#path, 'r+').catch((thrown: unknown) => {
        if (isMissing(thrown)) return undefined;
        throw thrown;
      });
      if (this.#file === undefined) return undefined;
      // A process that was killed may have left here what is not on disk yet, and now it counts.
      await this.#file.datasync();
      await syncFolder(this.#folder);
      return await this.#readSlots(this.#file);
    } catch (thrown) {
      throw storeFailed(`what is kept in ${this.#folder} cannot be read`, thrown);
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      const neededBytes = headerBytes + bytes.byteLength;
      if (neededBytes > this.#slotBytes) await this.#replace(bytes);
      else await this.#writeOther(bytes);
    } catch (thrown) {
      throw storeFailed('a vote cannot be kept', thrown);
    }
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }

  get #path(): string {
    return join(this.#folder, fileName);
  }

  async #readSlots(file: FileHandle): Promise<Uint8Array> {
    const { size } = await file.stat();
    if (size < 2 * slotBytesMin || size > 2 * slotBytesMax || size % 2 !== 0) throw harmed();
    const content = new Uint8Array(size);
    await file.read(content, 0, size, 0);
    this.#slotBytes = size / 2;
    const slots = [0, 1].map((slot) => {
      const bytes = content.subarray(slot * this.#slotBytes, (slot + 1) * this.#slotBytes);
      return { slot, found: parseSlot(bytes) };
    });
    const [latest] = slots.sort((a, b) => (b.found?.sequence ?? -1) - (a.found?.sequence ?? -1));
    if (latest?.found === undefined) throw harmed();
    this.#slot = latest.slot;
    this.#sequence = latest.found.sequence;
    return Uint8Array.from(latest.found.content);
  }

  async #writeOther(bytes: Uint8Array): Promise<void> {
    const file = this.#file as FileHandle; // A slot has a size when there is a file.
    const slot = 1 - this.#slot;
    const written = encodeSlot(this.#sequence + 1, bytes);
    const { bytesWritten } = await file.write(
      written,
      0,
      written.byteLength,
      slot * this.#slotBytes,
    );
    if (bytesWritten < written.byteLength) throw new Error('it was written in part');
    await file.datasync();
    this.#slot = slot;
    this.#sequence++;
  }

  /** A file with larger slots. */
  async #replace(bytes: Uint8Array): Promise<void> {
    let slotBytes = slotBytesMin;
    while (slotBytes < headerBytes + bytes.byteLength) slotBytes *= 2;
    const content = new Uint8Array(2 * slotBytes);
    content.set(encodeSlot(this.#sequence + 1, bytes));
    const path = await writeTemporary(this.#folder, [content]);
    await rename(path, this.#path);
    await syncFolder(this.#folder);
    await this.#file?.close();
    this.#file = await open(this.#path, 'r+');
    this.#slotBytes = slotBytes;
    this.#slot = 0;
    this.#sequence++;
  }
}

function encodeSlot(sequence: number, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(headerBytes + content.byteLength);
  writeU32(bytes, 0, magic);
  writeU64(bytes, 8, BigInt(sequence));
  writeU32(bytes, 16, content.byteLength);
  bytes.set(content, headerBytes);
  writeU32(bytes, 4, crc32c(bytes.subarray(checkedFrom)));
  return bytes;
}

/** Undefined when it is not whole. */
function parseSlot(bytes: Uint8Array): { sequence: number; content: Uint8Array } | undefined {
  if (readU32(bytes, 0) !== magic) return undefined;
  const byteCount = readU32(bytes, 16);
  const sequence = readU64(bytes, 8);
  if (byteCount > bytes.byteLength - headerBytes || sequence > Number.MAX_SAFE_INTEGER)
    return undefined;
  const end = headerBytes + byteCount;
  if (readU32(bytes, 4) !== crc32c(bytes.subarray(checkedFrom, end))) return undefined;
  return { sequence: Number(sequence), content: bytes.subarray(headerBytes, end) };
}

function harmed(): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_STORE_FAILED',
    'what a member of the quorum has kept came to harm',
  );
}
