import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ShardKey, ShardLease, ShardMeta, ShardStore } from '../../dist/store/store.js';
import { crc32c } from '../../dist/wire/crc32c.js';

/** What every store promises, on whatever it keeps its shards. */

export interface StoreKit {
  /** An empty store, with this limit. */
  make(sizeLimitBytes: number): Promise<ShardStore>;
  /** The store that `make` made last, closed by now, once more. Absent where closing is the end. */
  reopen?(): Promise<ShardStore>;
}

const mebibyte = 1024 * 1024;
const limitBytes = 256 * mebibyte;

export function keyOf(index: number, dataId = 'd', version = 0n): ShardKey {
  return { dataId, version, index };
}

/** Bytes that nobody mistakes for those of another seed. */
export function contentOf(bytes: number, seed: number): Uint8Array {
  const content = new Uint8Array(bytes);
  let state = seed + 1;
  for (let at = 0; at < bytes; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    content[at] = state >>> 16;
  }
  return content;
}

export function metaOf(content: Uint8Array, rest: Partial<ShardMeta> = {}): ShardMeta {
  return { count: 0, offset: 0, totalBytes: 0, last: false, ...rest, crc32c: crc32c(content) };
}

export async function put(store: ShardStore, key: ShardKey, content: Uint8Array): Promise<void> {
  const room = store.reserve(key, content.length);
  room.view.set(content);
  await room.commit(metaOf(content));
}

/** A copy of what is stored. */
export async function take(store: ShardStore, key: ShardKey): Promise<Uint8Array | undefined> {
  const lease = await store.get(key);
  if (lease === undefined) return undefined;
  const content = Uint8Array.from(lease.view);
  lease.release();
  return content;
}

/** Without the matchers, which take seconds for a mebibyte. */
export async function expectContent(
  store: ShardStore,
  key: ShardKey,
  content: Uint8Array,
): Promise<void> {
  const taken = await take(store, key);
  expect(taken?.length).toBe(content.length);
  expect(Buffer.compare(taken ?? new Uint8Array(0), content)).toBe(0);
}

export async function codeOf(work: () => unknown): Promise<unknown> {
  try {
    await work();
  } catch (thrown) {
    return (thrown as { code?: unknown }).code;
  }
  return undefined;
}

async function leased(store: ShardStore, key: ShardKey): Promise<ShardLease> {
  const lease = await store.get(key);
  if (lease === undefined) throw new Error(`shard ${key.index} is missing`);
  return lease;
}

export function storeContract(name: string, kit: StoreKit): void {
  describe(`${name}: the store`, () => {
    let store: ShardStore;
    beforeEach(async () => {
      store = await kit.make(limitBytes);
    });
    afterEach(() => store.close());

    test('gives back what was committed, with what came in its header', async () => {
      const content = contentOf(1000, 1);
      const room = store.reserve(keyOf(3), 1000);
      expect(room.view.byteLength).toBe(1000);
      expect(room.view.buffer).toBeInstanceOf(SharedArrayBuffer);
      room.view.set(content);
      expect(await store.get(keyOf(3))).toBeUndefined();
      expect(store.usage()).toMatchObject({ shards: 0, bytes: 0, reservedBytes: 1000 });
      const meta = metaOf(content, { count: 7, offset: 2 ** 40, totalBytes: 2 ** 41, last: true });
      await room.commit(meta);
      const lease = await leased(store, keyOf(3));
      expect(lease).toMatchObject({ key: keyOf(3), meta, bytes: 1000 });
      expect(lease.view.buffer).toBeInstanceOf(SharedArrayBuffer);
      expect(Buffer.compare(lease.view, content)).toBe(0);
      expect(store.usage()).toMatchObject({ shards: 1, bytes: 1000, reservedBytes: 0, leases: 1 });
      lease.release();
      lease.release();
      expect(store.usage()).toMatchObject({ leases: 0, damaged: 0 });
    });

    test('forgets a reservation that was given back', async () => {
      const room = store.reserve(keyOf(0), mebibyte);
      room.abort();
      room.abort();
      expect(await store.get(keyOf(0))).toBeUndefined();
      expect(await codeOf(() => room.commit(metaOf(room.view)))).toBe('PAIPAI_ERR_INVALID_STATE');
      expect(store.usage()).toMatchObject({ shards: 0, reservedBytes: 0 });
    });

    test('goes on with a commit whose reservation is given back behind it', async () => {
      const content = contentOf(100, 2);
      const room = store.reserve(keyOf(0), 100);
      room.view.set(content);
      const committed = room.commit(metaOf(content));
      room.abort();
      await committed;
      await expectContent(store, keyOf(0), content);
      expect(store.usage()).toMatchObject({ shards: 1, reservedBytes: 0 });
    });

    test('keeps data and versions apart, and lists in order', async () => {
      for (const index of [2, 0, 1]) await put(store, keyOf(index), contentOf(10, index));
      await put(store, keyOf(0, 'd', 2n ** 64n - 1n), contentOf(20, 3));
      await put(store, keyOf(0xffff_ffff, 'd', 2n ** 63n), contentOf(20, 3));
      await put(store, keyOf(0, 'other'), contentOf(30, 4));
      expect(store.list('d').map((shard) => [shard.key.version, shard.key.index])).toEqual([
        [0n, 0],
        [0n, 1],
        [0n, 2],
        [2n ** 63n, 0xffff_ffff],
        [2n ** 64n - 1n, 0],
      ]);
      expect(store.list('d', 0n)).toHaveLength(3);
      expect(store.list('missing')).toEqual([]);
      const ofD = [
        { dataId: 'd', version: 0n, shards: 3, bytes: 30 },
        { dataId: 'd', version: 2n ** 63n, shards: 1, bytes: 20 },
        { dataId: 'd', version: 2n ** 64n - 1n, shards: 1, bytes: 20 },
      ];
      const other = { dataId: 'other', version: 0n, shards: 1, bytes: 30 };
      expect(store.contents()).toEqual([...ofD, other]);
      expect(store.contents({ dataId: 'd' })).toEqual(ofD);
      expect(store.contents({ dataId: 'missing' })).toEqual([]);
      expect(store.contents({ countMax: 2 })).toEqual(ofD.slice(0, 2));
      const behind = { dataId: 'd', version: 2n ** 63n };
      expect(store.contents({ behind })).toEqual([...ofD.slice(2), other]);
      expect(store.contents({ behind, dataId: 'd' })).toEqual(ofD.slice(2));
      expect(store.contents({ behind: { dataId: 'e', version: 7n } })).toEqual([other]);
      await put(store, keyOf(1), contentOf(15, 1));
      expect(store.contents({ countMax: 1 })).toEqual([{ ...ofD[0], bytes: 35 }]);
      await put(store, keyOf(0, 'a'), contentOf(1, 1));
      expect(store.contents().map(({ dataId }) => dataId)).toEqual(['a', 'd', 'd', 'd', 'other']);
      await store.drop({ dataId: 'a' });
      expect(store.contents()).toEqual([{ ...ofD[0], bytes: 35 }, ...ofD.slice(1), other]);
      expect(await store.drop(keyOf(1))).toBe(1);
      expect(await store.drop(keyOf(1))).toBe(0);
      expect(await store.drop({ dataId: 'd', version: 0n })).toBe(2);
      expect(await store.drop({ dataId: 'd' })).toBe(2);
      expect(await store.drop({ dataId: 'd' })).toBe(0);
      expect(store.usage()).toMatchObject({ shards: 1, bytes: 30 });
    });

    test('takes any data id', async () => {
      const ids = [
        '.',
        '..',
        '/',
        'a/../b',
        'a\0b',
        'ä'.repeat(127),
        'x'.repeat(255),
        '\u{1f4e6}',
        ' ',
      ];
      for (const [at, id] of ids.entries()) await put(store, keyOf(at, id), contentOf(50, at));
      for (const [at, id] of ids.entries()) {
        await expectContent(store, keyOf(at, id), contentOf(50, at));
        expect(store.list(id)).toHaveLength(1);
      }
    });

    test('has the last of two commits, and leases stay good', async () => {
      await put(store, keyOf(0), contentOf(100, 1));
      const first = await leased(store, keyOf(0));
      await put(store, keyOf(0), contentOf(300, 2));
      expect(Buffer.compare(first.view, contentOf(100, 1))).toBe(0);
      await expectContent(store, keyOf(0), contentOf(300, 2));
      expect(store.usage()).toMatchObject({ shards: 1, bytes: 300 });
      await store.drop(keyOf(0));
      expect(Buffer.compare(first.view, contentOf(100, 1))).toBe(0);
      first.release();
    });

    test('keeps to the order of calls that nobody waits for', async () => {
      const one = store.reserve(keyOf(0), 50);
      const two = store.reserve(keyOf(0), 60);
      one.view.set(contentOf(50, 1));
      two.view.set(contentOf(60, 2));
      const commits = [two.commit(metaOf(two.view)), one.commit(metaOf(one.view))];
      await Promise.all(commits);
      await expectContent(store, keyOf(0), contentOf(50, 1));

      const room = store.reserve(keyOf(1), 70);
      room.view.set(contentOf(70, 3));
      const settled = await Promise.all([
        room.commit(metaOf(room.view)),
        store.drop({ dataId: 'd', version: 0n }),
        put(store, keyOf(2), contentOf(80, 4)),
        store.drop({ dataId: 'd', index: 7 }),
      ]);
      expect(settled[1]).toBe(2);
      expect(settled[3]).toBe(0);
      expect(store.list('d').map(({ key }) => key.index)).toEqual([2]);
    });

    test('gives old or new while it changes', async () => {
      await put(store, keyOf(0), contentOf(5000, 0));
      const valid = new Set(
        Array.from(
          { length: 20 },
          (_, seed) => `${5000 + seed}:${crc32c(contentOf(5000 + seed, seed))}`,
        ),
      );
      let isWriting = true;
      const writing = (async () => {
        for (let seed = 1; seed < 20; seed++) {
          await put(store, keyOf(0), contentOf(5000 + seed, seed));
        }
      })().finally(() => {
        isWriting = false;
      });
      while (isWriting) {
        const content = await take(store, keyOf(0));
        expect(valid).toContain(`${content?.length}:${crc32c(content ?? new Uint8Array(0))}`);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await writing;
    });

    test.each([0, -1, 1.5, 64 * mebibyte + 1])('refuses a shard of %d bytes', async (bytes) => {
      expect(await codeOf(() => store.reserve(keyOf(0), bytes))).toBe('PAIPAI_ERR_SHARD_SIZE');
    });

    test('takes shards of 1 byte and of 64 MiB', async () => {
      const large = contentOf(64 * mebibyte, 1);
      await put(store, keyOf(0), contentOf(1, 0));
      await put(store, keyOf(1), large);
      await expectContent(store, keyOf(0), contentOf(1, 0));
      expect(crc32c((await take(store, keyOf(1))) ?? new Uint8Array(0))).toBe(crc32c(large));
      expect(store.usage()).toMatchObject({ shards: 2, bytes: 64 * mebibyte + 1 });
    });

    test('takes nothing once it is closed', async () => {
      const room = store.reserve(keyOf(0), 10);
      await store.close();
      await store.close();
      expect(await codeOf(() => store.reserve(keyOf(1), 1))).toBe('PAIPAI_ERR_CLOSED');
      await codeOf(() => room.commit(metaOf(room.view)));
      expect(store.usage()).toMatchObject({ shards: 0, reservedBytes: 0 });
    });
  });

  describe(`${name}: the limit`, () => {
    test('is kept, and there is room again when something is dropped', async () => {
      const store = await kit.make(4 * mebibyte);
      let count = 0;
      const fill = async (): Promise<unknown> => {
        for (;;) {
          const code = await codeOf(() => put(store, keyOf(count), contentOf(500_000, count)));
          if (code !== undefined) return code;
          count++;
        }
      };
      expect(await fill()).toBe('PAIPAI_ERR_STORE_FULL');
      expect(count).toBeGreaterThanOrEqual(4);
      expect(count).toBeLessThanOrEqual(8);
      expect(store.usage().bytes).toBe(count * 500_000);
      expect(await store.drop(keyOf(1))).toBe(1);
      await put(store, keyOf(1), contentOf(500_000, 99));
      await expectContent(store, keyOf(1), contentOf(500_000, 99));
      await expectContent(store, keyOf(0), contentOf(500_000, 0));
      expect(await fill()).toBe('PAIPAI_ERR_STORE_FULL');
      await store.close();
    });

    test('counts what is reserved', async () => {
      const store = await kit.make(4 * mebibyte);
      const rooms = [store.reserve(keyOf(0), 1_500_000), store.reserve(keyOf(1), 1_500_000)];
      expect(await codeOf(() => store.reserve(keyOf(2), 1_500_000))).toBe('PAIPAI_ERR_STORE_FULL');
      for (const room of rooms) room.abort();
      store.reserve(keyOf(2), 1_500_000).abort();
      await store.close();
    });
  });

  const { reopen } = kit;
  if (reopen === undefined) return;
  describe(`${name}: opened again`, () => {
    test('has all that was confirmed', async () => {
      let store = await kit.make(limitBytes);
      expect(store.isDurable).toBe(true);
      const puts = Array.from({ length: 40 }, (_, index) =>
        put(
          store,
          keyOf(index, `d${index % 3}`, BigInt(index % 2)),
          contentOf(1 + index * 997, index),
        ),
      );
      await Promise.all(puts);
      await put(store, keyOf(0, 'd0', 0n), contentOf(12, 99));
      await store.drop(keyOf(1, 'd1', 1n));
      const before = [store.usage(), ...['d0', 'd1', 'd2'].map((id) => store.list(id))];
      await store.close();

      store = await reopen();
      const after = [store.usage(), ...['d0', 'd1', 'd2'].map((id) => store.list(id))];
      expect(after.slice(1)).toEqual(before.slice(1));
      expect(store.usage()).toMatchObject({ shards: 39, leases: 0, reservedBytes: 0, damaged: 0 });
      expect(store.contents().reduce((sum, { shards }) => sum + shards, 0)).toBe(39);
      await expectContent(store, keyOf(0, 'd0', 0n), contentOf(12, 99));
      expect(await store.get(keyOf(1, 'd1', 1n))).toBeUndefined();
      for (let index = 2; index < 40; index++) {
        const key = keyOf(index, `d${index % 3}`, BigInt(index % 2));
        await expectContent(store, key, contentOf(1 + index * 997, index));
      }
      expect(await store.drop({ dataId: 'd0' })).toBe(14);
      await put(store, keyOf(5), contentOf(5, 5));
      await store.close();
      store = await reopen();
      expect(store.usage()).toMatchObject({ shards: 26 });
      await expectContent(store, keyOf(5), contentOf(5, 5));
      await store.close();
    });

    test('has nothing of what was not committed', async () => {
      let store = await kit.make(limitBytes);
      store.reserve(keyOf(0), 1000).view.fill(1);
      await put(store, keyOf(1), contentOf(10, 1));
      await store.close();
      store = await reopen();
      expect(store.list('d').map(({ key }) => key.index)).toEqual([1]);
      await store.close();
    });

    test('counts what it holds towards the limit', async () => {
      let store = await kit.make(4 * mebibyte);
      for (let index = 0; index < 7; index++) await put(store, keyOf(index), contentOf(500_000, 1));
      await store.close();
      store = await reopen();
      expect(await codeOf(() => store.reserve(keyOf(9), 800_000))).toBe('PAIPAI_ERR_STORE_FULL');
      await store.close();
    });

    test('is closed only when the commits under way are safe', async () => {
      let store = await kit.make(limitBytes);
      const confirmed = put(store, keyOf(0), contentOf(mebibyte, 1));
      await Promise.all([store.close(), confirmed]);
      store = await reopen();
      await expectContent(store, keyOf(0), contentOf(mebibyte, 1));
      await store.close();
    });
  });
}
