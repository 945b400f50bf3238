import { expect, test } from 'vitest';
import { Acceptor, type AcceptorDisk } from '../../../../dist/coordination/quorum/acceptor.js';
import { OutcomeUnknown, Register } from '../../../../dist/coordination/quorum/register.js';
import type { Table } from '../../../../dist/coordination/quorum/table.js';
import { seeded } from '../../../support/seeded.js';
import { realTimers } from '../../../support/test-env.js';

const nodeIds = ['a', 'b', 'c'];
const clock = { nowMs: () => performance.now(), wallMs: () => Date.now() };

/** Three disks in memory, and proposers that reach them or do not. */
class Stage {
  /** Of a proposer and a node, as `p a`: where nothing comes through. */
  readonly cuts = new Set<string>();
  readonly #acceptors = new Map<string, Promise<Acceptor>>();
  readonly #random = seeded(1);

  register(name: string, proposer: number): Register {
    const env = { clock, timers: realTimers, random: this.#random };
    return new Register({
      env,
      nodeId: name,
      nodeIds,
      proposer,
      firstVersion: () => 0,
      ask: async (nodeId, question) => {
        if (this.cuts.has(`${name} ${nodeId}`)) throw new Error('it is cut off');
        return (await this.#acceptor(nodeId)).answer(question);
      },
    });
  }

  #acceptor(nodeId: string): Promise<Acceptor> {
    const known = this.#acceptors.get(nodeId) ?? Acceptor.open(this.#random, disk(), () => {});
    this.#acceptors.set(nodeId, known);
    return known;
  }
}

function disk(): AcceptorDisk {
  return { read: async () => undefined, write: async () => {}, close: async () => {} };
}

function set(value: string): (table: Table) => Table {
  return (table) => table.with([{ key: 'k', value: Buffer.from(value) }]);
}

function valueIn(table: Table): string {
  return Buffer.from(table.entries.get('k')?.value ?? []).toString();
}

test('what is refused is told also where somebody else has left a change half made', async () => {
  const stage = new Stage();
  const [one, other] = [stage.register('one', 1), stage.register('other', 2)];
  await one.update(set('1'));
  const halfMade = other.update((table) => {
    stage.cuts.add('other b').add('other c');
    return set('2')(table);
  });
  await expect(halfMade).rejects.toBeInstanceOf(OutcomeUnknown);
  stage.cuts.add('one c');
  // Those who are left have accepted different values.
  expect(valueIn(await one.update((table) => table))).toBe('2');
});
