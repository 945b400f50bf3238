import { PaipaiError, toError } from '../base/errors.js';
import type { Journal } from '../coordination/local/journal.js';

/** A change of one key of the journal; undefined deletes it. */
export interface JournalChange {
  readonly key: string;
  readonly value: Uint8Array | undefined;
}

interface Write {
  readonly changes: readonly JournalChange[];
  readonly settle: (version: number) => void;
  readonly fail: (error: Error) => void;
}

/** What one write of a journal takes. */
const changesMax = 256;
const bytesMax: number = 768 * 1024;

/**
 * Gives writes their versions and brings them to a journal one after the other; those that wait together are one write there. In memory alone
 * there is none, and what is written counts at once.
 */
export class RecordJournal {
  readonly #journal: Journal | undefined;
  #version: number;
  #writes: Write[] = [];
  #writing: Promise<void> | undefined;
  #isClosed = false;

  /** @param version of the latest change there was */
  constructor(journal: Journal | undefined, version: number) {
    this.#journal = journal;
    this.#version = version;
  }

  /**
   * Settles with the version of these changes, which no others of the same keys have, when all of them will be there after a crash.
   * Fails, and then none of them is: PAIPAI_ERR_STORE_FULL, _CLOSED; PAIPAI_ERR_STORE_FAILED leaves that open, and nothing is written from then on.
   */
  write(changes: readonly JournalChange[]): Promise<number> {
    if (this.#isClosed) {
      return Promise.reject(new PaipaiError('PAIPAI_ERR_CLOSED', 'the node is being closed'));
    }
    return new Promise((settle, fail) => {
      this.#writes.push({ changes, settle, fail });
      this.#writing ??= this.#writeAll();
    });
  }

  /** After what is under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#writing;
    await this.#journal?.close();
  }

  /** It never rejects. */
  async #writeAll(): Promise<void> {
    // What the same turn of the loop brings along comes into the first write too.
    await Promise.resolve();
    while (this.#writes.length > 0) {
      const batch = this.#writes.splice(0, this.#batchLength());
      const version = ++this.#version;
      try {
        await this.#journal?.write(
          batch.flatMap(({ changes }) => changes.map((change) => ({ ...change, version }))),
        );
        for (const { settle } of batch) settle(version);
      } catch (thrown) {
        for (const { fail } of batch) fail(toError(thrown));
      }
    }
    this.#writing = undefined;
  }

  /** How many of those that wait fit one write: one at least, and none that changes a key which another of them changes. */
  #batchLength(): number {
    const keys = new Set<string>();
    let bytes = 0;
    for (const [at, { changes }] of this.#writes.entries()) {
      const isApart = changes.every(({ key }) => !keys.has(key));
      for (const { key, value } of changes) {
        keys.add(key);
        bytes += value?.byteLength ?? 0;
      }
      const fits = isApart && keys.size <= changesMax && bytes <= bytesMax;
      if (!fits && at > 0) return at;
    }
    return this.#writes.length;
  }
}
