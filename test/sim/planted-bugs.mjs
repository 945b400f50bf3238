import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/**
 * Mistakes that somebody could make in the shipped code, each as a replacement in one built file. A simulation that does not find them
 * would not find others either.
 */
export const membershipBugs = [
  {
    name: 'the incarnation is not compared',
    file: 'precedence.js',
    from: 'return a.incarnation - b.incarnation || a.instanceId - b.instanceId;',
    to: 'return a.instanceId - b.instanceId;',
  },
  {
    name: 'a suspicion never expires',
    file: 'suspicion.js',
    from: 'return this.#startMs + this.#lengthMs();',
    to: 'return Infinity;',
  },
  {
    name: 'an accusation is not denied',
    file: 'swim.js',
    from: 'this.#raise(rumour.incarnation);',
    to: '',
  },
  {
    name: 'a rumour is passed on for ever',
    file: 'dissemination.js',
    from: 'if (sends + 1 < limit)',
    to: 'if (limit > 0)',
  },
  {
    name: 'a node that was restarted does not go above its predecessor',
    file: 'swim.js',
    from: 'this.#raise(Math.max(claim.incarnation, this.#self.incarnation));',
    to: '',
  },
  {
    name: 'a ping is answered whoever it was meant for',
    file: 'swim.js',
    from: 'if (message.targetId !== this.#self.nodeId)',
    to: "if (message.targetId === '')",
  },
  {
    name: 'the buried are never looked up beyond a split',
    file: 'swim.js',
    from: 'this.#exchanges.push(dead);',
    to: ';',
  },
];

const dist = fileURLToPath(new URL('../../dist/', import.meta.url));

/** Loads the membership code with `bug` in it and gives `use` its Swim; the copy is gone afterwards. */
export async function withPlantedBug(bug, use) {
  const folder = mkdtempSync(join(tmpdir(), 'paipainet-planted-'));
  try {
    // The floors below come along, because the code imports them by its own place.
    for (const part of ['base', 'wire', 'cluster/membership', 'cluster/placement']) {
      cpSync(join(dist, part), join(folder, part), { recursive: true });
    }
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    const path = join(folder, 'cluster/membership', bug.file);
    const source = readFileSync(path, 'utf8');
    const pieces = source.split(bug.from);
    if (pieces.length !== 2) {
      throw new Error(`${bug.file} has ${pieces.length - 1} places for: ${bug.name}`);
    }
    writeFileSync(path, pieces.join(bug.to));
    const { Swim } = await import(pathToFileURL(join(folder, 'cluster/membership/swim.js')).href);
    return await use(Swim);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
