import { join } from 'node:path';
import type { Coordinator } from '../../dist/coordination/coordinator.js';
import { FilesJournal } from '../../dist/coordination/local/files-journal.js';
import type { Journal } from '../../dist/coordination/local/journal.js';
import { LocalCoordinator } from '../../dist/coordination/local/local-coordinator.js';
import { makeFolder } from '../support/folders.js';
import { seeded } from '../support/seeded.js';
import { realTimers } from '../support/test-env.js';
import { type CoordinatorWorld, coordinatorContract } from './coordinator.js';

const historyCountMax = 200;

class LocalWorld implements CoordinatorWorld {
  readonly #journal: Journal | undefined;
  #coordinator: Coordinator | undefined;

  constructor(journal?: Journal) {
    this.#journal = journal;
  }

  async connect(count: number): Promise<Coordinator[]> {
    const journal = this.#journal === undefined ? {} : { journal: this.#journal };
    const env = { timers: realTimers };
    const coordinator = await LocalCoordinator.open(env, { historyCountMax, ...journal });
    this.#coordinator = coordinator;
    return Array.from({ length: count }, () => coordinator);
  }

  /** Changes of other keys push those of the test out; the deletions are forgotten too. */
  async forgetHistory(): Promise<void> {
    for (let change = 0; change < historyCountMax; change++) {
      const { version } = (await this.#coordinator?.get('other')) ?? { version: NaN };
      const value = version === 0 ? new Uint8Array(1) : undefined;
      await this.#coordinator?.compareAndSet('other', version, value);
    }
  }

  async close(): Promise<void> {
    await this.#coordinator?.close();
  }
}

/** Keeps nothing, but takes its time. */
function slowJournal(seed: number): Journal {
  const random = seeded(seed);
  return {
    read: async () => ({ lastVersion: 0, entries: [] }),
    write: async () => {
      for (let turns = Math.floor(random.next() * 4); turns > 0; turns--) {
        await new Promise<void>((resolve) => {
          setImmediate(resolve);
        });
      }
    },
    close: async () => {},
  };
}

coordinatorContract('local', { makeWorld: () => new LocalWorld(), runs: 200 });
coordinatorContract('local with files', {
  makeWorld: () => new LocalWorld(new FilesJournal(join(makeFolder(), 'coordination'))),
  runs: 20,
});
coordinatorContract('local with a slow journal', {
  makeWorld: () => new LocalWorld(slowJournal(7)),
  runs: 200,
});
