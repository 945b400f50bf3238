import type { Change } from '../coordinator.js';
import { Entries } from '../local/entries.js';
import type { Table } from './table.js';

const historyBytesMax = 16 * 1024 * 1024;

/** What one node has seen of the table, with more of its history than travels, for those who watch there. */
export class Mirror {
  readonly #historyCountMax: number;
  #entries: Entries;

  constructor(historyCountMax: number) {
    this.#historyCountMax = historyCountMax;
    this.#entries = this.#empty();
  }

  /** Another one when something in between is not known any more. */
  get entries(): Entries {
    return this.#entries;
  }

  /** Takes up a later table; what has changed since the one before it. */
  follow(table: Table): readonly Change[] {
    const { lastVersion } = this.#entries;
    if (table.version <= lastVersion) return [];
    if (table.historyStart > lastVersion) {
      this.#entries = this.#empty();
      const entries = Array.from(table.entries, ([key, { value, version }]) => ({
        key,
        value,
        version,
      }));
      this.#entries.restore(
        table.historyStart,
        entries.filter(({ version }) => version <= table.historyStart),
      );
    }
    const changes = table.history.filter(({ version }) => version > this.#entries.lastVersion);
    for (const change of changes) this.#entries.apply(change);
    return changes;
  }

  #empty(): Entries {
    const historyCountMax = this.#historyCountMax;
    return new Entries({ bytesMax: Infinity, historyCountMax, historyBytesMax });
  }
}
