import { createHash } from 'node:crypto';
import { open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PaipaiError } from '../../base/errors.js';
import { makeFolder, removeTemporaries, syncFolder, writeTemporary } from '../../store/disk.js';
import { isMissing, storeFailed } from '../../store/store-errors.js';
import { changesBytesMax, decodeChanges, encodeChanges, oneChangeBytesMax } from './entry-file.js';
import type { Journal, JournalContent, StoredChange } from './journal.js';

/**
 * One file for each key, replaced whole; one with the version of the latest deletion, of which no file tells; and, while several keys are
 * changed at once, one with all these changes: it is there from the moment when they count until all of them are in their files.
 */
const entryEnding = '.entry';
const deletedName = 'deleted';
const changesName = 'changes';
/** A version in digits, and a line end. */
const deletedBytesMax = 32;

type Entry = StoredChange & { readonly value: Uint8Array };

/** Undefined stands for no file. */
interface Placement {
  readonly name: string;
  readonly path: string | undefined;
}

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
      const isThere = await this.#finish();
      const names = isThere ? await readdir(this.#folder) : [];
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

  async write(changes: readonly StoredChange[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const written: string[] = [];
    try {
      if (!this.#isMade) await makeFolder(this.#folder);
      this.#isMade = true;
      // Whatever takes room is written before the changes count.
      const placements = await this.#prepare(changes, written);
      // A deletion has two places: its version and the file that goes.
      const path =
        placements.length > 1 ? await this.#write(encodeChanges(changes), written) : undefined;
      await this.#decide(() => this.#commit(path, placements));
    } catch (thrown) {
      if (this.#failure === undefined) {
        for (const path of written) await rm(path, { force: true }).catch(() => {}); // Opening the journal does it too.
      }
      throw storeFailed('a change cannot be kept', thrown);
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** @param written takes the paths of what was made */
  async #prepare(changes: readonly StoredChange[], written: string[]): Promise<Placement[]> {
    const placements: Placement[] = [];
    const deletion = changes.find(({ value }) => value === undefined);
    if (deletion !== undefined) {
      const path = await this.#write(Buffer.from(`${deletion.version}\n`), written);
      placements.push({ name: deletedName, path });
    }
    for (const change of changes) {
      const isDeletion = change.value === undefined;
      const path = isDeletion ? undefined : await this.#write(encodeChanges([change]), written);
      placements.push({ name: nameOf(change.key), path });
    }
    return placements;
  }

  async #write(bytes: Uint8Array, written: string[]): Promise<string> {
    const path = await writeTemporary(this.#folder, [bytes]);
    written.push(path);
    return path;
  }

  /** @param path of all changes, where there are several places */
  async #commit(path: string | undefined, placements: readonly Placement[]): Promise<void> {
    if (path !== undefined) {
      await rename(path, join(this.#folder, changesName));
      await syncFolder(this.#folder);
    }
    for (const placement of placements) await this.#place(placement);
    await syncFolder(this.#folder);
    // It need not be gone for sure: its changes are made once more then, and they are the latest.
    if (path !== undefined) await rm(join(this.#folder, changesName));
  }

  async #place({ name, path }: Placement): Promise<void> {
    const place = join(this.#folder, name);
    if (path === undefined) await rm(place, { force: true });
    else await rename(path, place);
  }

  /** Brings to its end what a process that died has left. Whether there is a folder. */
  async #finish(): Promise<boolean> {
    const names = await readdir(this.#folder).catch((thrown: unknown): undefined => {
      if (!isMissing(thrown)) throw thrown;
    });
    if (names === undefined) return false;
    await removeTemporaries(this.#folder);
    if (!names.includes(changesName)) return true;
    const changes = decodeChanges(await this.#readBounded(changesName, changesBytesMax));
    if (changes === undefined) throw harmed(changesName);
    for (const placement of await this.#prepare(changes, [])) await this.#place(placement);
    await syncFolder(this.#folder);
    await rm(join(this.#folder, changesName));
    await syncFolder(this.#folder);
    return true;
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
    const changes = decodeChanges(await this.#readBounded(name, oneChangeBytesMax));
    const [entry] = changes ?? [];
    if (entry?.value === undefined || changes?.length !== 1) throw harmed(name);
    if (nameOf(entry.key) !== name) throw harmed(name);
    return { ...entry, value: entry.value };
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

/** Keys may be longer than names, and hold what names must not. */
function nameOf(key: string): string {
  return createHash('sha256').update(key).digest('hex') + entryEnding;
}

function harmed(name: string): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_STORE_FAILED', `the file ${name} came to harm`);
}
