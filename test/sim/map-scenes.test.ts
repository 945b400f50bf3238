import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deferred } from '../../dist/base/deferred.js';
import type { ShardContext } from '../../dist/index.js';
import { noise } from '../main-job/nets.js';
import { type Code, loadCode } from './cluster-scenario.mjs';
import { MapStage } from './map-stage.mjs';
import type { PlantedBug } from './planted-bugs.mjs';
import { withShippedCode } from './shipped-code.mjs';

/** What clients of the same nodes may do to each other, one scene each; `maps.test.ts` has them do anything. */

const content = noise(3_000, 5);
const shards = 15;
const timeout = 60_000;

type Handlers = ConstructorParameters<typeof MapStage>[1];

function staged(edit?: PlantedBug): {
  stage: (handlers?: Handlers) => Promise<MapStage>;
} {
  let code: Code;
  let end = (): void => {};
  let over: Promise<void>;
  beforeAll(async () => {
    await new Promise<void>((ready, refuse) => {
      over = withShippedCode(edit === undefined ? {} : { bug: edit }, async (load) => {
        code = await loadCode(load);
        ready();
        await new Promise<void>((resolve) => {
          end = resolve;
        });
      });
      over.catch(refuse);
    });
  });
  afterAll(async () => {
    end();
    await over;
  });
  return {
    async stage(handlers = {}) {
      const stage = new MapStage(code, handlers);
      await stage.open();
      return stage;
    },
  };
}

/** A handler that waits until it is let go. */
function gated() {
  const gate = deferred<void>();
  /** Indexes of shards. */
  const seen = new Set<number>();
  return {
    seen,
    open: () => gate.resolve(),
    handler: async (_: Uint8Array, { shardIndex }: ShardContext) => {
      seen.add(shardIndex);
      await gate.promise;
      return null;
    },
  };
}

/** For MapReduce: how many bytes there are. */
const counting = {
  counting: (shard: Uint8Array, { emit }: { emit(key: string, value: number): void }) =>
    emit('bytes', shard.length),
  summing: (_: unknown, values: Iterable<number>) => [...values].reduce((sum, one) => sum + one, 0),
};

describe('with maps that are listed', () => {
  const { stage } = staged();

  test('what others have brought to a node while its data were processed there is not dropped', {
    timeout,
  }, async () => {
    const gate = gated();
    const scene = await stage({ gated: gate.handler });
    const one = await scene.client('one', ['node-1', 'node-2', 'node-0']);
    const data = scene.data(one, content);
    await scene.run(one.transfer(data));
    const other = await scene.client('other');
    const same = scene.data(other);
    await scene.run(other.read(same));
    const working = other.node('node-1').process(same, 'gated', { keep: false });
    working.catch(() => {});
    await scene.until(() => gate.seen.size > 0);
    await scene.run(one.removeNode(one.node('node-2')));
    gate.open();
    await scene.run(working);
    const last = await scene.client('last');
    const { shards: left } = await scene.run(last.shardsOf(scene.data(last)));
    const others = Array.from({ length: shards }, (_, at) => at).filter((at) => !gate.seen.has(at));
    expect(others.length).toBeGreaterThan(0);
    expect(left.map(({ index }) => index)).toEqual(expect.arrayContaining(others));
    const { shards: named = [] } = (await scene.map(last)) ?? {};
    expect(named.filter(({ holders }) => holders.length > 0).length).toBe(left.length);
    expect(await scene.gone(last)).toEqual([]);
  });

  test('a transfer that is confirmed is in the map, though others left a mixture', {
    timeout,
  }, async () => {
    const scene = await stage();
    const one = await scene.client('one');
    const data = scene.data(one, content);
    await scene.run(one.transfer(data));
    await scene.run(one.drop(data));
    const other = await scene.client('other');
    const mixed = scene.data(other, content, { shardBytes: 70 });
    let stored = 0;
    const transfer = one.transfer(data, undefined, {
      onProgress: () => {
        if (++stored === shards) scene.stall('one', 2_000);
      },
    });
    await scene.until(() => stored === shards);
    let hasBegun = false;
    other
      .transfer(mixed, undefined, {
        onProgress: () => {
          hasBegun = true;
        },
      })
      .catch(() => {});
    await scene.until(() => hasBegun);
    scene.crash('other');
    await scene.run(transfer);
    const last = await scene.client('last');
    expect(await scene.run(last.read(scene.data(last)))).toEqual(content);
    expect(await scene.gone(last)).toEqual([]);
  });

  test('data whose last copies are gone are not taken for data that nobody transferred', {
    timeout,
  }, async () => {
    const scene = await stage();
    const one = await scene.client('one');
    const data = scene.data(one, content);
    await scene.run(one.transfer(data, one.node('node-1')));
    scene.crash('node-1');
    scene.disk('node-1').synced.clear();
    scene.startNode('node-1');
    await scene.pass(5_000);
    const lost = { code: 'PAIPAI_ERR_NODE_LOST' };
    await expect(scene.run(one.repair(data))).rejects.toMatchObject(lost);
    const other = await scene.client('other');
    await expect(scene.run(other.read(scene.data(other)))).rejects.toMatchObject(lost);
  });

  test('a copy that one client could not use keeps its name', { timeout }, async () => {
    const scene = await stage();
    const one = await scene.client('one', ['node-0', 'node-1']);
    const data = scene.data(one, content);
    await scene.run(one.transfer(data));
    const disk = scene.disk('node-1');
    const [[key, first] = ['', undefined]] = disk.synced;
    disk.synced.delete(key);
    await expect(scene.run(one.process(data))).rejects.toThrow();
    disk.synced.set(key, first);
    scene.crash('node-1');
    scene.startNode('node-1');
    await scene.pass(5_000);
    await scene.run(one.joinNode(scene.node('node-2')));
    await scene.run(one.rebalance());
    const last = await scene.client('last');
    expect(await scene.run(last.read(scene.data(last)))).toEqual(content);
  });

  test('a rebalancing that waits for a first transfer publishes what it moves', {
    timeout,
  }, async () => {
    const scene = await stage();
    const one = await scene.client('one', ['node-0']);
    const joining = deferred<void>();
    // Of no size that is known, and whole only when another node is there.
    const data = scene.data(
      one,
      (async function* () {
        yield content.subarray(0, 1_000);
        await joining.promise;
        yield content.subarray(1_000);
      })(),
    );
    const transfer = one.transfer(data);
    const moving = one.rebalance();
    await scene.run(one.joinNode(scene.node('node-1')));
    joining.resolve();
    await scene.run(transfer);
    const { copies, dropped } = await scene.run(moving);
    expect(copies).toBeGreaterThan(0);
    expect(dropped).toBe(copies);
    expect(await scene.gone(one)).toEqual([]);
    const last = await scene.client('last');
    expect(await scene.run(last.read(scene.data(last)))).toEqual(content);
  });

  test('who has dropped data and processes them anew takes what others have brought', {
    timeout,
  }, async () => {
    const scene = await stage();
    const one = await scene.client('one');
    const data = scene.data(one, content);
    await scene.run(one.transfer(data));
    await scene.run(one.drop(data));
    const other = await scene.client('other');
    await scene.run(other.transfer(scene.data(other, content)));
    const result = await scene.run(one.node('node-1').process(data, 'digest', { keep: false }));
    expect(result.report.shards).toBe(5);
    expect(await scene.gone(one)).toEqual([]);
  });

  test('who has seen data dropped finds what others have brought since, and moved', {
    timeout,
  }, async () => {
    const scene = await stage(counting);
    const one = await scene.client('one');
    const stored = scene.data(one);
    expect(await scene.run(one.find(stored))).toBeUndefined();
    await scene.run(one.drop(stored));
    expect(await scene.run(one.find(stored))).toBeUndefined();
    const other = await scene.client('other');
    const data = scene.data(other, content);
    await scene.run(other.transfer(data));
    expect(await scene.run(one.find(stored))).toMatchObject({ shards });
    // And where they lie when they have been moved.
    await scene.run(other.removeNode(other.node('node-2')));
    const job = one.mapReduce(stored, { map: 'counting', reduce: 'summing' });
    expect((await scene.run(job)).value).toEqual(new Map([['bytes', content.length]]));
  });

  test('a node that stands still does not keep data from others', { timeout }, async () => {
    const scene = await stage();
    const one = await scene.client('one');
    const data = scene.data(one, content);
    scene.stall('node-2', 25_000);
    await scene.run(one.transfer(data, one.node('node-1')));
    expect(await scene.run(one.read(data))).toEqual(content);
  });

  test('a coordinator that stands still does not keep known data from being read', {
    timeout,
  }, async () => {
    const scene = await stage();
    const one = await scene.client('one');
    const data = scene.data(one, content);
    await scene.run(one.transfer(data, one.node('node-1')));
    scene.stall('node-0', 25_000);
    expect(await scene.run(one.read(data))).toEqual(content);
  });

  test('a rebalancing that is overtaken in the middle goes on', { timeout }, async () => {
    const scene = await stage();
    const one = await scene.client('one', ['node-0']);
    const data = scene.data(one, content);
    await scene.run(one.transfer(data));
    await scene.run(one.joinNode(scene.node('node-1')));
    const other = await scene.client('other');
    const same = scene.data(other);
    let steps = 0;
    const moving = one.rebalance({
      bytesPerSecond: 1_024,
      onProgress: () => {
        steps++;
      },
    });
    moving.catch(() => {});
    await scene.until(() => steps > 0);
    await scene.run(other.repair(same));
    expect((await scene.run(moving)).copies).toBeGreaterThan(0);
    expect(await scene.gone(one)).toEqual([]);
    expect(await scene.run(other.read(same))).toEqual(content);
  });

  test.each([
    [200, 70],
    [70, 200],
  ])('shards of %i bytes give way to those of %i', { timeout }, async (before, after) => {
    const scene = await stage();
    const one = await scene.client('one');
    const data = scene.data(one, content, { shardBytes: before });
    await scene.run(one.transfer(data));
    const other = await scene.client('other');
    const again = scene.data(other, content, { shardBytes: after });
    await scene.run(other.transfer(again));
    const { shards: listed = [] } = (await scene.map(other)) ?? {};
    expect(listed.map(({ bytes }) => bytes)).toEqual(
      Array.from({ length: Math.ceil(3_000 / after) }, (_, at) =>
        Math.min(after, 3_000 - at * after),
      ),
    );
    expect(await scene.gone(other)).toEqual([]);
    expect(await scene.run(one.read(data))).toEqual(content);
    expect((await scene.run(one.process(data))).value).toMatchObject({ bytes: 3_000 });
  });

  test('a node that others know by the id of another one here is not taken for that', {
    timeout,
  }, async () => {
    const scene = await stage();
    const one = await scene.client('one');
    const data = scene.data(one, content);
    await scene.run(one.transfer(data, one.node('node-2')));
    const other = await scene.client('other', ['node-0']);
    await scene.run(other.joinNode(scene.node('node-2', 'node-1')));
    const stored = scene.data(other);
    const lost = { code: 'PAIPAI_ERR_NODE_LOST' };
    await expect(scene.run(other.read(stored))).rejects.toMatchObject(lost);
    await expect(scene.run(other.repair(stored))).rejects.toMatchObject(lost);
    expect((await scene.map(one))?.shards?.every(({ holders }) => holders.includes('node-2'))).toBe(
      true,
    );
  });

  test('a stream that was read is not read again, and its transfer says why', {
    timeout,
  }, async () => {
    const scene = await stage();
    const one = await scene.client('one');
    const other = await scene.client('other');
    const same = scene.data(other, content);
    await scene.run(other.transfer(same));
    const begun = deferred<void>();
    const data = scene.data(
      one,
      (async function* () {
        yield content.subarray(0, 1_000);
        await begun.promise;
        yield content.subarray(1_000);
      })(),
    );
    const transfer = one.transfer(data);
    transfer.catch(() => {});
    await scene.pass(2_000);
    await scene.run(other.transfer(same));
    begun.resolve();
    await expect(scene.run(transfer)).rejects.toMatchObject({ code: 'PAIPAI_ERR_STALE_MAP' });
  });

  test('a table from an old backup is not believed', { timeout }, async () => {
    const scene = await stage();
    const one = await scene.client('one', ['node-1', 'node-2', 'node-0']);
    const data = scene.data(one, content);
    await scene.run(one.transfer(data));
    const { journals } = scene.disk('node-0');
    const backup = new Map(journals.get('coordination'));
    await scene.run(one.removeNode(one.node('node-2')));
    // Nodes have heard of different versions.
    await scene.run(one.repair(data));
    scene.crash('node-0');
    journals.set('coordination', backup);
    scene.startNode('node-0');
    await scene.pass(5_000);
    const other = await scene.client('other');
    const same = scene.data(other);
    expect((await scene.run(other.process(same))).report.shards).toBe(shards);
    await scene.run(other.repair(same));
    expect(await scene.gone(other)).toEqual([]);
    expect(await scene.run(other.read(same))).toEqual(content);
  });
});

describe('with maps that are too large to be listed', () => {
  const { stage } = staged({
    name: 'no map is listed',
    file: 'api/shard-maps.js',
    from: 'shards, fence }, valueBytesMax)',
    to: 'shards, fence }, 24)',
  });

  test('who knows where shards were looks anew when others have moved them', {
    timeout,
  }, async () => {
    const scene = await stage();
    const one = await scene.client('one');
    const data = scene.data(one, content);
    await scene.run(one.transfer(data));
    const reading = await scene.client('reading');
    const read = scene.data(reading);
    expect(await scene.run(reading.read(read))).toEqual(content);
    const working = await scene.client('working');
    const stored = scene.data(working);
    // Nobody has told it where they are.
    expect((await scene.run(working.process(stored))).report.shards).toBe(shards);
    await scene.run(one.removeNode(one.node('node-2')));
    expect(await scene.run(reading.read(read))).toEqual(content);
    // Also who has changed them before.
    await scene.run(working.repair(stored));
    expect(await scene.run(one.read(data))).toEqual(content);
    expect((await scene.run(working.process(stored))).report.shards).toBe(shards);
  });
});
