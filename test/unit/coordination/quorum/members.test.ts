import { expect, onTestFinished, test } from 'vitest';
import type { AcceptorDisk } from '../../../../dist/coordination/quorum/acceptor.js';
import { QuorumCoordinator } from '../../../../dist/coordination/quorum/quorum-coordinator.js';
import { seeded } from '../../../support/seeded.js';
import { codeOf } from '../../../support/session-pair.js';
import { realTimers } from '../../../support/test-env.js';

/** Changes of the members of a quorum; `npm run test:sim -- --only quorum` has them in trouble. */

const clock = { nowMs: () => performance.now(), wallMs: () => Date.now() };
const bytes = (value: string): Uint8Array => Buffer.from(value);

/** Nodes in this process that begin a quorum, with their disks, and others that can take a place. */
class Stage {
  readonly nodes = new Map<string, QuorumCoordinator>();
  readonly #random = seeded(1);
  readonly #quorum: readonly string[];
  readonly #disks = new Map<string, Uint8Array>();

  constructor(quorum: readonly string[]) {
    this.#quorum = quorum;
  }

  static async start(names: string, quorum: string = names.slice(0, 3)): Promise<Stage> {
    const stage = new Stage([...quorum]);
    for (const nodeId of names) await stage.start(nodeId);
    onTestFinished(async () => {
      await Promise.all([...stage.nodes.values()].map((node) => node.close()));
    });
    return stage;
  }

  async start(nodeId: string): Promise<void> {
    const node = await QuorumCoordinator.open({
      env: { clock, timers: realTimers, random: this.#random },
      nodeId,
      nodeIds: this.#quorum,
      disk: this.#disk(nodeId),
      startVersion: 0,
      ask: async (to, question) => {
        // Timers have their turn too.
        await new Promise((resolve) => setImmediate(resolve));
        const found = this.nodes.get(to);
        if (found === undefined) throw new Error('it is down');
        return found.answer(question);
      },
    });
    this.nodes.set(nodeId, node);
  }

  async stop(nodeId: string): Promise<void> {
    await this.nodes.get(nodeId)?.close();
    this.nodes.delete(nodeId);
  }

  async wipe(nodeId: string): Promise<void> {
    await this.stop(nodeId);
    this.#disks.delete(nodeId);
    await this.start(nodeId);
  }

  /** Says what it holds, and takes a change. */
  async works(nodeId: string): Promise<boolean> {
    const node = this.nodes.get(nodeId)!;
    const { version } = await node.get('k');
    return (await node.compareAndSet('k', version, bytes(nodeId))).isSet;
  }

  async members(nodeId: string): Promise<string> {
    const members = await this.nodes.get(nodeId)!.members();
    return members.map((one) => `${one.nodeId} ${one.state}`).join(', ');
  }

  #disk(nodeId: string): AcceptorDisk {
    return {
      read: async () => this.#disks.get(nodeId),
      write: async (kept) => void this.#disks.set(nodeId, Uint8Array.from(kept)),
      close: async () => {},
    };
  }
}

test('a member that has lost its disk votes again in its own place', async () => {
  const stage = await Stage.start('abc');
  const one = stage.nodes.get('a')!;
  const { version } = await one.compareAndSet('k', 0, bytes('1'));
  await stage.wipe('c');
  expect(await stage.members('b')).toBe('a voting, b voting, c wiped');
  await one.replaceMember('c', 'c');
  expect(await stage.members('c')).toBe('a voting, b voting, c voting');
  await stage.stop('b');
  expect((await stage.nodes.get('c')!.get('k')).version).toBe(version);
  expect(await stage.works('a')).toBe(true);
  expect(await stage.members('c')).toBe('a voting, b silent, c voting');
});

test('another node takes the place of one that is lost; asked again, nothing changes', async () => {
  const stage = await Stage.start('abcd');
  await stage.works('a');
  await stage.stop('c');
  await stage.nodes.get('d')!.replaceMember('c', 'd');
  await stage.nodes.get('a')!.replaceMember('c', 'd');
  expect(await stage.members('a')).toBe('a voting, b voting, d voting');
  await stage.stop('a');
  expect(await stage.works('b')).toBe(true);
  // It comes back as one that is no member, and finds those who are.
  await stage.start('c');
  expect(await stage.works('c')).toBe(true);
  await stage.stop('b');
  expect(await codeOf(stage.nodes.get('c')!.get('k'))).toBe('PAIPAI_ERR_COORDINATOR_DOWN');
});

test('when all have been replaced, each that is started with those who began finds the others', async () => {
  const stage = await Stage.start('abcdef');
  await stage.works('a');
  for (const [at, oldId] of ['a', 'b', 'c'].entries()) {
    await stage.nodes.get('abc'[2 - at]!)!.replaceMember(oldId, 'def'[at]!);
  }
  for (const nodeId of 'abc') await stage.stop(nodeId);
  for (const nodeId of 'def') {
    await stage.stop(nodeId);
    await stage.start(nodeId);
    expect(await stage.works(nodeId)).toBe(true);
  }
  expect(await stage.members('f')).toBe('d voting, e voting, f voting');
  // A disk from before leads there too, for it knows some of those who came later.
  await stage.start('c');
  expect(await stage.works('c')).toBe(true);
});

test('of seven, each is replaced while the table changes', async () => {
  const stage = await Stage.start('abcdefgh', 'abcdefg');
  await stage.works('a');
  const one = stage.nodes.get('b')!;
  let isDone = false;
  const changing = async (): Promise<number> => {
    let count = 0;
    for (; !isDone; count++) await one.txn({ set: [{ key: `${count}`, value: bytes('1') }] });
    return count;
  };
  const changes = changing();
  for (const [at, oldId] of [...'abcdefg'].entries()) {
    await one.replaceMember(oldId, 'habcdef'[at]!);
  }
  isDone = true;
  expect((await one.list('')).keys).toHaveLength((await changes) + 1);
  expect(await stage.members('c')).toMatch(/^(\w voting(, )?){7}$/);
});

test('what cannot be replaced is refused, and nothing changes', async () => {
  const [stage, elsewhere] = [await Stage.start('abcd'), await Stage.start('dxy')];
  await stage.works('a');
  await elsewhere.works('x');
  const one = stage.nodes.get('a')!;
  expect(await codeOf(one.replaceMember('x', 'd'))).toBe('PAIPAI_ERR_UNKNOWN_NODE');
  expect(await codeOf(one.replaceMember('a', 'b'))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
  expect(await codeOf(one.replaceMember('a', 'e'))).toBe('PAIPAI_ERR_NODE_LOST');
  stage.nodes.set('d', elsewhere.nodes.get('d')!);
  expect(await codeOf(one.replaceMember('a', 'd'))).toBe('PAIPAI_ERR_INVALID_STATE');
  await stage.stop('b');
  await stage.stop('c');
  stage.nodes.delete('d');
  expect(await codeOf(one.replaceMember('c', 'a'))).toBe('PAIPAI_ERR_COORDINATOR_DOWN');
  expect(await stage.members('a')).toBe('a voting, b silent, c silent');
});
