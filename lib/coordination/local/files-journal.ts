import { createHash } from 'node:crypto';
import { open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PaipaiError } from '../../base/errors.js';
import { makeFolder, removeTemporaries, syncFolder, writeTemporary } from '../../store/disk.js';
import { isMissing, storeFailed } from '../../store/store-errors.js';
import { crc32c, extendCrc32c } from '../../wire/crc32c.js';
import {
  readU16,
  readU32,
  readU64,
  writeU16,
  writeU32,
  writeU64,
} from '../../wire/little-endian.js';
import { decodeText, encodeText } from '../../wire/text.js';
import { type Change, keyBytesMax, valueBytesMax } from '../coordinator.js';
import type { Journal, JournalContent } from './journal.js';

/**
 * One file for each key, replaced whole:
 *
 *     | magic u32 | CRC32C of what follows u32 | version u64 | key bytes u16 | 0 u16 | key | value |
 *
 * and one with the version of the latest deletion, of which no file tells.
 */
const magic = 0x314b5050; // The bytes `PPK1`.
const headerBytes = 20;
const entryEnding = '.entry';
const deletedName = 'deleted';
/** A version in digits, and a line end. */
const deletedBytesMax = 32;

type Entry = Change & { readonly value: Uint8Array };

/**
 * The journal of a local coordinator in a folder that its node alone uses, made with the first change. A change is kept when it is synced.
 * A failure that leaves open whether a change is kept is PAIPAI_ERR_STORE_FAILED, and nothing is written from then on: what was not heard
 * of is found when the journal is opened again, or never was.
 */
export class FilesJournal implements Journal {
  readonly #folder: string;
  #isMade = false;
  /** Why nothing can be written any more. */
  #failure: PaipaiError | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Fails: PAIPAI_ERR_STORE_FAILED, also when what lies there came to harm. */
  async read(): Promise<JournalContent> {
    try {
      const names = await readdir(this.#folder).catch((thrown: unknown): string[] => {
        if (isMissing(thrown)) return [];
        throw thrown;
      });
      if (names.length > 0) await removeTemporaries(this.#folder);
      const entries: Entry[] = [];
      for (const name of names.filter((one) => one.endsWith(entryEnding))) {
        entries.push(await this.#readEntry(name));
      }
      const deleted = names.includes(deletedName) ? await this.#readDeleted() : 0;
      const lastVersion = entries.reduce((most, { version }) => Math.max(most, version), deleted);
      return { lastVersion, entries };
    } catch (thrown) {
      throw storeFailed(`what is kept in ${this.#folder} cannot be read`, thrown);
    }
  }

  async write(change: Change): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      if (!this.#isMade) await makeFolder(this.#folder);
      this.#isMade = true;
      if (change.value === undefined) await this.#delete(change);
      else await this.#put({ ...change, value: change.value });
    } catch (thrown) {
      throw storeFailed('a change cannot be kept', thrown);
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #put({ key, version, value }: Entry): Promise<void> {
    const keyBytes = encodeText(key);
    const head = new Uint8Array(headerBytes + keyBytes.byteLength);
    writeU32(head, 0, magic);
    writeU64(head, 8, BigInt(version));
    writeU16(head, 16, keyBytes.byteLength);
    head.set(keyBytes, headerBytes);
    writeU32(head, 4, checksumOf(head, value));
    const path = await writeTemporary(this.#folder, [head, value]);
    await this.#decide(async () => {
      await rename(path, join(this.#folder, nameOf(key)));
      await syncFolder(this.#folder);
    });
  }

  async #delete({ key, version }: Change): Promise<void> {
    const path = await writeTemporary(this.#folder, [Buffer.from(`${version}\n`)]);
    await this.#decide(async () => {
      // First the version, which must not come again, then the file.
      await rename(path, join(this.#folder, deletedName));
      await syncFolder(this.#folder);
      await rm(join(this.#folder, nameOf(key)), { force: true });
      await syncFolder(this.#folder);
    });
  }

  /** Does what may have happened, or not, when it fails. */
  async #decide(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      this.#failure = new PaipaiError(
        'PAIPAI_ERR_STORE_FAILED',
        `it is not known what is kept in ${this.#folder}, and nothing is changed there any more: start the node anew`,
        { cause: thrown },
      );
      throw this.#failure;
    }
  }

  async #readEntry(name: string): Promise<Entry> {
    const bytes = await this.#readBounded(name, headerBytes + keyBytesMax + valueBytesMax);
    if (bytes.byteLength < headerBytes || readU32(bytes, 0) !== magic) throw harmed(name);
    const valueStart = headerBytes + readU16(bytes, 16);
    const version = readU64(bytes, 8);
    if (valueStart > bytes.byteLength || version > Number.MAX_SAFE_INTEGER) throw harmed(name);
    const head = bytes.subarray(0, valueStart);
    const value = new Uint8Array(bytes.subarray(valueStart));
    const key = decodeText(bytes, headerBytes, valueStart);
    if (readU32(bytes, 4) !== checksumOf(head, value)) throw harmed(name);
    if (key === undefined || nameOf(key) !== name) throw harmed(name);
    return { key, version: Number(version), value };
  }

  async #readDeleted(): Promise<number> {
    const text = Buffer.from(await this.#readBounded(deletedName, deletedBytesMax)).toString();
    const version = /^\d+\n$/.test(text) ? Number(text) : NaN;
    if (Number.isSafeInteger(version)) return version;
    throw harmed(deletedName);
  }

  async #readBounded(name: string, bytesMax: number): Promise<Uint8Array> {
    const path = join(this.#folder, name);
    const file = await open(path, 'r');
    try {
      if ((await file.stat()).size > bytesMax) throw harmed(name);
    } finally {
      await file.close();
    }
    return readFile(path);
  }
}

/** Of everything behind it. */
function checksumOf(head: Uint8Array, value: Uint8Array): number {
  return extendCrc32c(crc32c(head.subarray(8)), value);
}

/** Keys may be longer than names, and hold what names must not. */
function nameOf(key: string): string {
  return createHash('sha256').update(key).digest('hex') + entryEnding;
}

function harmed(name: string): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_STORE_FAILED', `the file ${name} came to harm`);
}
