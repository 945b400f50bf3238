import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { MemoryStore } from '../../../dist/store/memory-store.js';
import type { ShardKey, ShardMeta } from '../../../dist/store/store.js';

const mebibyte = 1024 * 1024;
const meta: ShardMeta = { count: 0, offset: 0, totalBytes: 0, crc32c: 7, last: false };

let store: MemoryStore;
beforeEach(() => {
  store = new MemoryStore({ sizeLimitBytes: 256 * mebibyte });
});

function key(index: number, dataId = 'd', version = 0n): ShardKey {
  return { dataId, version, index };
}

function put(shard: ShardKey, bytes: number, fill = shard.index, into = store): void {
  const room = into.reserve(shard, bytes);
  room.view.fill(fill);
  room.commit(meta);
}

function codeOf(work: () => unknown): unknown {
  try {
    work();
  } catch (thrown) {
    return (thrown as { code?: unknown }).code;
  }
  return undefined;
}

const identities = new WeakMap<object, number>();
let identityCount = 0;

function identify(memory: object = {}): number {
  const known = identities.get(memory) ?? ++identityCount;
  identities.set(memory, known);
  return known;
}

test('what is reserved, filled and committed can be read', () => {
  const room = store.reserve(key(3), 1000);
  expect(room.view.byteLength).toBe(1000);
  expect(room.view.buffer).toBeInstanceOf(SharedArrayBuffer);
  room.view.fill(9);
  expect(store.get(key(3))).toBeUndefined();
  expect(store.usage()).toMatchObject({ shards: 0, bytes: 0, reservedBytes: 1000 });
  room.commit(meta);
  const lease = store.get(key(3));
  expect(lease).toMatchObject({ key: key(3), meta, bytes: 1000 });
  expect(lease?.view.every((byte) => byte === 9)).toBe(true);
  expect(store.usage()).toMatchObject({ shards: 1, bytes: 1000, reservedBytes: 0, leases: 1 });
  lease?.release();
  lease?.release();
  expect(store.usage().leases).toBe(0);
});

test('an aborted reservation leaves nothing behind', () => {
  const room = store.reserve(key(0), mebibyte);
  room.abort();
  room.abort();
  expect(store.get(key(0))).toBeUndefined();
  expect(store.usage()).toMatchObject({ shards: 0, reservedBytes: 0 });
  expect(codeOf(() => room.commit(meta))).toBe('PAIPAI_ERR_INVALID_STATE');
  expect(store.usage()).toMatchObject({ shards: 0, reservedBytes: 0 });
});

test('versions and data are apart; lists are in order', () => {
  for (const index of [2, 0, 1]) put(key(index), 10);
  put(key(0, 'd', 2n ** 63n), 20);
  put(key(0, 'other'), 30);
  expect(store.list('d').map((shard) => [shard.key.version, shard.key.index])).toEqual([
    [0n, 0],
    [0n, 1],
    [0n, 2],
    [2n ** 63n, 0],
  ]);
  expect(store.list('d', 0n)).toHaveLength(3);
  expect(store.list('missing')).toEqual([]);
  expect(store.drop(key(1))).toBe(1);
  expect(store.drop(key(1))).toBe(0);
  expect(store.drop({ dataId: 'd', version: 0n })).toBe(2);
  expect(store.list('d')).toHaveLength(1);
  expect(store.drop({ dataId: 'd' })).toBe(1);
  expect(store.list('other')).toHaveLength(1);
  expect(store.usage()).toMatchObject({ shards: 1, bytes: 30 });
});

test('a shard that comes again replaces the first, whose leases stay good', () => {
  put(key(0), 100, 1);
  const first = store.get(key(0));
  put(key(0), 100, 2);
  put(key(1), 100, 3);
  const second = store.get(key(0));
  expect([first?.view[0], second?.view[0]]).toEqual([1, 2]);
  expect(store.usage()).toMatchObject({ shards: 2, bytes: 200 });
});

test('two reservations of one key at once', () => {
  const one = store.reserve(key(0), 50);
  const two = store.reserve(key(0), 50);
  one.view.fill(1);
  two.view.fill(2);
  two.commit(meta);
  one.abort();
  expect(store.get(key(0))?.view.every((byte) => byte === 2)).toBe(true);
});

test('a leased shard that is dropped keeps its memory until the last lease ends', () => {
  put(key(0), mebibyte, 5);
  const lease = store.get(key(0));
  const another = store.get(key(0));
  store.drop(key(0));
  expect(store.get(key(0))).toBeUndefined();
  for (let index = 1; index < 20; index++) put(key(index), mebibyte, 6);
  expect(lease?.view.every((byte) => byte === 5)).toBe(true);
  lease?.release();
  lease?.release();
  put(key(20), mebibyte, 6);
  expect(another?.view.every((byte) => byte === 5)).toBe(true);
  another?.release();
  const heldBytes = store.usage().heldBytes;
  const places = new Set<string>();
  const place = (view?: Uint8Array) => `${identify(view?.buffer)}+${view?.byteOffset}`;
  while (store.usage().heldBytes === heldBytes) {
    places.add(place(store.reserve(key(21), mebibyte).view));
  }
  expect(places).toContain(place(lease?.view));
});

test.each([0, -1, 1.5, 64 * mebibyte + 1])('a shard of %d bytes is refused', (bytes) => {
  expect(codeOf(() => store.reserve(key(0), bytes))).toBe('PAIPAI_ERR_SHARD_SIZE');
});

test('shards of 1 byte and of 64 MiB', () => {
  put(key(0), 1);
  put(key(1), 64 * mebibyte);
  expect(store.get(key(1))?.view.byteLength).toBe(64 * mebibyte);
  expect(store.usage().bytes).toBe(64 * mebibyte + 1);
});

test('many shards of 1 MiB lie in few slabs, at multiples of 4 KiB', () => {
  const views = Array.from({ length: 64 }, (_, index) => store.reserve(key(index), mebibyte).view);
  expect(new Set(views.map((view) => view.buffer)).size).toBeLessThanOrEqual(11);
  expect(views.every((view) => view.byteOffset % 4096 === 0)).toBe(true);
});

describe('the limit', () => {
  beforeEach(() => {
    store = new MemoryStore({ sizeLimitBytes: 4 * mebibyte });
  });

  test('is reached exactly, and then the store is full', () => {
    for (let index = 0; index < 4; index++) put(key(index), mebibyte);
    expect(store.usage().heldBytes).toBe(4 * mebibyte);
    expect(codeOf(() => store.reserve(key(4), 1))).toBe('PAIPAI_ERR_STORE_FULL');
    store.drop(key(2));
    put(key(4), mebibyte);
    expect(store.get(key(4))?.view[0]).toBe(4);
  });

  test('counts reservations and leased shards that were dropped', () => {
    const room = store.reserve(key(0), 2 * mebibyte);
    put(key(1), 2 * mebibyte);
    const lease = store.get(key(1));
    store.drop(key(1));
    expect(codeOf(() => store.reserve(key(2), mebibyte))).toBe('PAIPAI_ERR_STORE_FULL');
    lease?.release();
    room.abort();
    put(key(2), 4 * mebibyte);
  });

  test('memory of small shards that are gone serves large ones, and the other way round', () => {
    for (let round = 0; round < 3; round++) {
      for (let index = 0; index < 1000; index++) put(key(index), 4096);
      expect(store.drop({ dataId: 'd' })).toBe(1000);
      put(key(0), 4 * mebibyte);
      expect(codeOf(() => store.reserve(key(1), 4096))).toBe('PAIPAI_ERR_STORE_FULL');
      store.drop(key(0));
    }
  });

  test('is checked', () => {
    expect(codeOf(() => new MemoryStore({ sizeLimitBytes: mebibyte - 1 }))).toBe(
      'PAIPAI_ERR_INVALID_ARGUMENT',
    );
  });
});

test('what passes through leaves the memory flat', () => {
  const window = 8;
  let heldBytes = 0;
  for (let index = 0; index < 20_000; index++) {
    // Cut at records, shards have about one size; every tenth piece of data ends with a short one.
    const bytes =
      index % 10 === 9 ? 1 + ((index * 7919) % 900_000) : 900_000 + ((index * 7919) % 148_576);
    store.reserve(key(index), bytes).commit(meta);
    store.drop(key(index - window));
    heldBytes = Math.max(heldBytes, store.usage().heldBytes);
  }
  expect(store.usage().shards).toBe(window);
  expect(heldBytes).toBeLessThanOrEqual((64 + 2 * window) * mebibyte);
});

test('memory that is empty serves what comes next', () => {
  const fill = (bytes: number): void => {
    for (let at = 0; at < 100; at++) store.reserve(key(at), bytes).commit(meta);
  };
  fill(mebibyte);
  const { heldBytes } = store.usage();
  for (const bytes of [mebibyte, 700_000, 4096]) {
    store.drop({ dataId: 'd' });
    fill(bytes);
    expect(store.usage().heldBytes).toBe(heldBytes);
  }
});

test('a full store holds at most twice what is in it, whatever the size', () => {
  for (const bytes of [1, 65, 1000, 4095, 4097, 5000, 70_000, 1_048_577, 9_000_000]) {
    const one = new MemoryStore();
    for (let index = 0; index < 3000 && index * bytes < 100 * mebibyte; index++) {
      one.reserve(key(index), bytes);
    }
    const { reservedBytes, heldBytes } = one.usage();
    // Whole lines of 64 bytes and whole pages are the least that is handed out.
    const unit = bytes < 4096 ? 64 : 4096;
    const rounded = reservedBytes * Math.max(1.125, (Math.ceil(bytes / unit) * unit) / bytes);
    expect(heldBytes).toBeLessThanOrEqual(2 * rounded);
  }
});

test('a closed store gives memory back with the last lease, and takes nothing', () => {
  put(key(0), mebibyte, 3);
  put(key(1), mebibyte, 4);
  const lease = store.get(key(0));
  const room = store.reserve(key(2), 10);
  store.close();
  expect(lease?.view[0]).toBe(3);
  expect(store.get(key(1))).toBeUndefined();
  expect(codeOf(() => store.reserve(key(3), 1))).toBe('PAIPAI_ERR_CLOSED');
  room.commit(meta);
  expect(store.get(key(2))).toBeUndefined();
  lease?.release();
  expect(store.usage()).toEqual({
    shards: 0,
    bytes: 0,
    reservedBytes: 0,
    heldBytes: 0,
    leases: 0,
    damaged: 0,
  });
});

test('property: no two shards in use share a byte, and nothing is lost', () => {
  const command = fc.oneof(
    fc.record({
      kind: fc.constant('put' as const),
      index: fc.nat(12),
      bytes: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 4000, max: 40_000 })),
    }),
    fc.record({ kind: fc.constantFrom('drop', 'lease', 'release'), index: fc.nat(12) }),
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 120 }), (commands) => {
      const model = new Map<number, { bytes: number; fill: number }>();
      const small = new MemoryStore({ sizeLimitBytes: 4 * mebibyte });
      const leases: { view: Uint8Array; fill: number; release(): void }[] = [];
      const whole = (view: Uint8Array, fill: number) => view.every((byte) => byte === fill);
      for (const [turn, step] of commands.entries()) {
        const fill = turn % 256;
        if (step.kind === 'put') {
          put(key(step.index), step.bytes, fill, small);
          model.set(step.index, { bytes: step.bytes, fill });
        } else if (step.kind === 'drop') {
          expect(small.drop(key(step.index))).toBe(Number(model.delete(step.index)));
        } else if (step.kind === 'lease') {
          const lease = small.get(key(step.index));
          const stored = model.get(step.index);
          expect(lease?.bytes).toBe(stored?.bytes);
          if (lease !== undefined && stored !== undefined && leases.length < 8) {
            leases.push({ view: lease.view, fill: stored.fill, release: lease.release });
          } else lease?.release();
        } else leases.shift()?.release();
        for (const lease of leases) expect(whole(lease.view, lease.fill)).toBe(true);
      }
      for (const [index, { fill }] of model) {
        const lease = small.get(key(index));
        expect(lease !== undefined && whole(lease.view, fill)).toBe(true);
        lease?.release();
      }
      expect(small.usage()).toMatchObject({ shards: model.size, leases: leases.length });
      for (const lease of leases) lease.release();
      small.close();
      expect(small.usage()).toMatchObject({ heldBytes: 0, leases: 0 });
    }),
    { numRuns: 200 },
  );
});

describe('a part', () => {
  test('has keys and an end of its own, and shares the memory', () => {
    const [one, other] = [store.part(), store.part()];
    put(key(0), 100, 1, one);
    put(key(0), 200, 2, other);
    expect(one.list('d')).toMatchObject([{ bytes: 100 }]);
    expect(store.list('d')).toEqual([]);
    expect(one.usage().heldBytes).toBe(other.usage().heldBytes);

    const coming = one.reserve(key(1), 50);
    const lease = one.get(key(0));
    one.close();
    coming.commit(meta);
    expect(one.usage()).toMatchObject({ shards: 0, bytes: 0, reservedBytes: 0, leases: 1 });
    expect(lease?.view).toEqual(new Uint8Array(100).fill(1));
    expect(codeOf(() => one.reserve(key(0), 1))).toBe('PAIPAI_ERR_CLOSED');
    lease?.release();
    expect(other.get(key(0))?.view).toEqual(new Uint8Array(200).fill(2));
  });

  test('finds no room that another has taken', () => {
    const small = new MemoryStore({ sizeLimitBytes: mebibyte });
    const [one, other] = [small.part(), small.part()];
    const taken = one.reserve(key(0), mebibyte);
    expect(codeOf(() => other.reserve(key(0), mebibyte))).toBe('PAIPAI_ERR_STORE_FULL');
    taken.abort();
    other.reserve(key(0), mebibyte).abort();
  });
});
