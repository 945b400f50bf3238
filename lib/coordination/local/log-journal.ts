import { type FileHandle, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { PaipaiError } from '../../base/errors.js';
import { makeFolder, removeTemporaries, syncFolder, writeTemporary } from '../../store/disk.js';
import { isMissing, storeFailed } from '../../store/store-errors.js';
import type { Journal, JournalContent, StoredChange } from './journal.js';
import { decodeLog, encodeBatch, encodeHeader, headerBytes } from './log-file.js';

const logName = 'log';
/** A log is written anew when it is longer than this, and so many times what it still says. */
const logBytesLeast: number = 4 * 1024 * 1024;
const wasteMost = 4;
/** Of one batch of a log that is written anew. */
const batchValuesMax: number = 512 * 1024;
const batchChangesMax = 1_000;
const entryBytes = 64;

type Entry = StoredChange & { readonly value: Uint8Array };

/**
 * The journal of a local coordinator, or of the records of a node, in a folder that its node alone uses, made with the first change. A change is kept when it is
 * synced, at the end of one file; that is written anew, whole, when most of it is outdated.
 * A failure that leaves open whether a change is kept is PAIPAI_ERR_STORE_FAILED, and nothing is written from then on: what was not heard
 * of is found when the journal is opened again, or never was.
 */
export class LogJournal implements Journal {
  readonly #folder: string;
  readonly #entries = new Map<string, Entry>();
  #liveBytes = 0;
  #lastVersion = 0;
  #file: FileHandle | undefined;
  #endsAt = headerBytes;
  /** After an attempt that had no room: not before it is so long. */
  #anewAt = 0;
  /** The header says how far the file is synced; that it does is of use, and nobody waits for it. Never rejects. */
  #confirming: Promise<unknown> = Promise.resolve();
  /** Why nothing can be written any more. */
  #failure: PaipaiError | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Fails: PAIPAI_ERR_STORE_FAILED, also when what lies there came to harm. */
  async read(): Promise<JournalContent> {
    try {
      await this.#open();
      return { lastVersion: this.#lastVersion, entries: [...this.#entries.values()] };
    } catch (thrown) {
      await this.#file?.close();
      this.#file = undefined;
      throw storeFailed(`what is kept in ${this.#folder} cannot be read`, thrown);
    }
  }

  async write(changes: readonly StoredChange[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      const version = changes.reduce((most, one) => Math.max(most, one.version), 0);
      this.#file ??= await this.#make();
      await this.#append(this.#file, encodeBatch({ version, changes }));
      this.#apply(version, changes);
      const most = Math.max(logBytesLeast, wasteMost * this.#liveBytes, this.#anewAt);
      if (this.#endsAt > most) await this.#writeAnew();
    } catch (thrown) {
      throw storeFailed('a change cannot be kept', thrown);
    }
  }

  async close(): Promise<void> {
    await this.#confirming;
    await this.#file?.close();
    this.#file = undefined;
  }

  async #open(): Promise<void> {
    const path = join(this.#folder, logName);
    try {
      this.#file = await open(path, 'r+');
    } catch (thrown) {
      if (isMissing(thrown)) return;
      throw thrown;
    }
    await removeTemporaries(this.#folder);
    // A process that was killed may have left here what is not on disk yet, and now it counts.
    await this.#file.datasync();
    await syncFolder(this.#folder);
    const bytes = await readFile(path);
    const content = decodeLog(bytes);
    if (content === undefined) {
      throw new PaipaiError('PAIPAI_ERR_STORE_FAILED', `the file ${logName} came to harm`);
    }
    for (const { version, changes } of content.batches) this.#apply(version, changes);
    this.#endsAt = content.endsAt;
    if (bytes.byteLength === content.endsAt) return;
    await this.#file.truncate(content.endsAt);
    await this.#file.datasync();
  }

  async #make(): Promise<FileHandle> {
    await makeFolder(this.#folder);
    return this.#place(await writeTemporary(this.#folder, [encodeHeader(headerBytes)]));
  }

  async #append(file: FileHandle, bytes: Uint8Array): Promise<void> {
    await this.#confirming;
    const endsAt = this.#endsAt;
    try {
      await writeAll(file, bytes, endsAt);
    } catch (thrown) {
      // Half of it may stand there, which nobody counts.
      await this.#decide(() => file.truncate(endsAt));
      throw thrown;
    }
    await this.#decide(() => file.datasync());
    this.#endsAt += bytes.byteLength;
    const header = encodeHeader(this.#endsAt);
    this.#confirming = writeAll(file, header, 0).catch(() => {}); // It goes to disk with the next change, if it does.
  }

  #apply(version: number, changes: readonly StoredChange[]): void {
    this.#lastVersion = Math.max(this.#lastVersion, version);
    for (const change of changes) {
      const before = this.#entries.get(change.key);
      if (before !== undefined) this.#liveBytes -= bytesOf(before);
      this.#entries.delete(change.key);
      if (change.value === undefined) continue;
      const entry = { ...change, value: change.value };
      this.#entries.set(change.key, entry);
      this.#liveBytes += bytesOf(entry);
    }
  }

  /** Without what is outdated. Where there is no room for it the log stays as it is, for now. */
  async #writeAnew(): Promise<void> {
    const { parts, endsAt } = this.#parts();
    let path: string;
    try {
      path = await writeTemporary(this.#folder, parts);
    } catch {
      this.#anewAt = 2 * this.#endsAt;
      return;
    }
    await this.#confirming;
    await this.#decide(async () => {
      const before = this.#file;
      this.#file = await this.#place(path);
      this.#endsAt = endsAt;
      await before?.close();
    });
    this.#anewAt = 0;
  }

  /** Of a log that says what this one does. */
  #parts(): { parts: Uint8Array[]; endsAt: number } {
    const parts: Uint8Array[] = [];
    let batch: Entry[] = [];
    let batchBytes = 0;
    const version = this.#lastVersion;
    const flush = (): void => {
      parts.push(encodeBatch({ version, changes: batch }));
      batch = [];
      batchBytes = 0;
    };
    for (const entry of this.#entries.values()) {
      batch.push(entry);
      batchBytes += entry.value.byteLength;
      if (batchBytes > batchValuesMax || batch.length >= batchChangesMax) flush();
    }
    flush();
    const endsAt = parts.reduce((sum, { byteLength }) => sum + byteLength, headerBytes);
    return { parts: [encodeHeader(endsAt), ...parts], endsAt };
  }

  async #place(temporary: string): Promise<FileHandle> {
    const path = join(this.#folder, logName);
    await rename(temporary, path);
    await syncFolder(this.#folder);
    return open(path, 'r+');
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
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.byteLength; ) {
    const { bytesWritten } = await file.write(bytes, at, bytes.byteLength - at, position + at);
    at += bytesWritten;
  }
}

function bytesOf({ key, value }: Entry): number {
  return key.length + value.byteLength + entryBytes;
}
