import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { DurableStore } from '../../../dist/store/durable-store.js';
import { openLmdbStore } from '../../../dist/store/lmdb-store.js';
import type { Change, Medium } from '../../../dist/store/medium.js';
import { checkStore, openDurableStore } from '../../../dist/store/open-store.js';
import type { ShardKey } from '../../../dist/store/store.js';
import {
  codeOf,
  contentOf,
  expectContent,
  keyOf,
  metaOf,
  put,
  take,
} from '../../contract/store.js';
import { makeFolder } from '../../support/folders.js';

const kinds = ['lmdb', 'files'] as const;
type Kind = (typeof kinds)[number];

async function openStore(kind: Kind, folder: string): Promise<DurableStore> {
  const store = await openDurableStore(kind === 'lmdb' ? { lmdb: folder } : { files: folder }, {});
  onTestFinished(() => store.close());
  return store;
}

/** Changes one byte in the middle of `content` where the store has it. */
function damage(kind: Kind, folder: string, content: Uint8Array): void {
  const shards = join(folder, 'shards');
  const paths =
    kind === 'lmdb'
      ? [join(folder, 'data.mdb')]
      : readdirSync(shards).map((name) => join(shards, name));
  for (const path of paths) {
    const file = readFileSync(path);
    const at = file.indexOf(content);
    if (at < 0) continue;
    file[at + (content.length >> 1)]! ^= 0x10;
    writeFileSync(path, file);
    return;
  }
  throw new Error('the content is nowhere');
}

describe.each(kinds)('a store in %s', (kind) => {
  test('never hands on what came to harm, and takes it again', async () => {
    const folder = makeFolder();
    let store = await openStore(kind, folder);
    await put(store, keyOf(0), contentOf(9000, 0));
    await put(store, keyOf(1), contentOf(9000, 1));
    await store.close();
    damage(kind, folder, contentOf(9000, 1));
    store = await openStore(kind, folder);
    await expectContent(store, keyOf(0), contentOf(9000, 0));
    await expect(store.get(keyOf(1))).rejects.toMatchObject({
      code: 'PAIPAI_ERR_SHARD_CHECKSUM',
      dataId: 'd',
      shardIndex: 1,
    });
    expect(store.usage()).toMatchObject({ damaged: 1, leases: 0, shards: 2 });
    await put(store, keyOf(1), contentOf(9000, 1));
    await expectContent(store, keyOf(1), contentOf(9000, 1));
  });

  test('of a newer release is left alone', async () => {
    const folder = makeFolder();
    await (await openStore(kind, folder)).close();
    const format = { format: 'paipainet-store', kind, version: 2 };
    writeFileSync(join(folder, 'format.json'), JSON.stringify(format));
    expect(await codeOf(() => openStore(kind, folder))).toBe('PAIPAI_ERR_STORE_FORMAT');
    writeFileSync(join(folder, 'format.json'), '{"format":"paip');
    expect(await codeOf(() => openStore(kind, folder))).toBe('PAIPAI_ERR_STORE_FORMAT');
  });

  test('is neither one of another kind nor a folder of other files', async () => {
    const folder = makeFolder();
    await (await openStore(kind, folder)).close();
    const other = kind === 'lmdb' ? 'files' : 'lmdb';
    expect(await codeOf(() => openStore(other, folder))).toBe('PAIPAI_ERR_STORE_FORMAT');
    const theirs = makeFolder();
    writeFileSync(join(theirs, 'letter.txt'), 'Dear …');
    expect(await codeOf(() => openStore(kind, theirs))).toBe('PAIPAI_ERR_STORE_FORMAT');
    expect(readdirSync(theirs)).toEqual(['letter.txt']);
  });

  test('removes what a killed process left', async () => {
    const folder = makeFolder();
    await (await openStore(kind, folder)).close();
    writeFileSync(join(folder, '77-1.tmp'), 'half');
    mkdirSync(join(folder, 'shards'), { recursive: true });
    if (kind === 'files') writeFileSync(join(folder, 'shards', '77-2.tmp'), 'half');
    // Node unlinks a socket that it closes; one that was killed leaves the file.
    const server = createServer().listen(join(folder, 'dead'));
    await new Promise((resolve) => server.once('listening', resolve));
    renameSync(join(folder, 'dead'), join(folder, 'lock-dead'));
    await new Promise((resolve) => server.close(resolve));
    expect(existsSync(join(folder, 'lock-dead'))).toBe(true);
    const store = await openStore(kind, folder);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    expect(readdirSync(join(folder, 'shards'))).toEqual([]);
    expect(readdirSync(folder).filter((name) => name.startsWith('lock-'))).toHaveLength(1);
    await store.close();
    expect(readdirSync(folder).filter((name) => name.startsWith('lock-'))).toEqual([]);
  });

  test('cannot be where there is a file, or where the path is too long for a lock', async () => {
    const folder = makeFolder();
    writeFileSync(join(folder, 'file'), '');
    expect(await codeOf(() => openStore(kind, join(folder, 'file')))).toBe(
      'PAIPAI_ERR_STORE_FAILED',
    );
    expect(await codeOf(() => openStore(kind, join(folder, 'x'.repeat(100))))).toBe(
      'PAIPAI_ERR_INVALID_ARGUMENT',
    );
  });
});

test('files: one whose record is damaged is counted, and replaced when the shard comes again', async () => {
  const folder = makeFolder();
  let store = await openStore('files', folder);
  await put(store, keyOf(0), contentOf(100, 0));
  await put(store, keyOf(1), contentOf(100, 1));
  await store.close();
  const shards = join(folder, 'shards');
  const [one = ''] = readdirSync(shards);
  const file = readFileSync(join(shards, one));
  file[20]! ^= 1;
  writeFileSync(join(shards, one), file);
  store = await openStore('files', folder);
  expect(store.usage()).toMatchObject({ shards: 1, damaged: 1 });
  for (const index of [0, 1]) await put(store, keyOf(index), contentOf(100, index));
  expect(readdirSync(shards)).toHaveLength(2);
  for (const index of [0, 1]) await expectContent(store, keyOf(index), contentOf(100, index));

  truncateSync(join(shards, one), statSync(join(shards, one)).size - 1);
  const codes = [await codeOf(() => store.get(keyOf(0))), await codeOf(() => store.get(keyOf(1)))];
  expect(codes).toContain('PAIPAI_ERR_SHARD_CHECKSUM');
});

test('lmdb that is not installed is an error with the command', async () => {
  const missing = (): Promise<never> => Promise.reject(new Error('Cannot find package lmdb'));
  await expect(openLmdbStore(makeFolder(), {}, missing)).rejects.toMatchObject({
    code: 'PAIPAI_ERR_STORE_FAILED',
    message: expect.stringContaining('npm install lmdb'),
  });
});

/** A medium in memory whose writes settle when the test says so. */
class SlowMedium implements Medium {
  readonly turns: (readonly Change[])[] = [];
  readonly contents = new Map<string, Uint8Array>();
  #finish: (() => void) | undefined;

  async load(): Promise<{ shards: []; damaged: 0 }> {
    return { shards: [], damaged: 0 };
  }

  write(changes: readonly Change[]): Promise<(Error | undefined)[]> {
    this.turns.push(changes);
    return new Promise((resolve) => {
      this.#finish = () => {
        for (const change of changes) {
          if (change.kind === 'put') {
            this.contents.set(textOf(change.shard.key), Uint8Array.from(change.content));
          } else this.contents.delete(textOf(change.key));
        }
        resolve(changes.map(() => undefined));
      };
    });
  }

  read(key: ShardKey, into: Uint8Array): boolean {
    const content = this.contents.get(textOf(key));
    if (content?.length !== into.length) return false;
    into.set(content);
    return true;
  }

  async close(): Promise<void> {}

  /** Ends the turn under way, and waits until the store has taken note. */
  async finish(): Promise<void> {
    await settled();
    this.#finish?.();
    await settled();
  }
}

function textOf({ dataId, version, index }: ShardKey): string {
  return `${dataId} ${version} ${index}`;
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test('calls that come while the disk is busy share its next turn', async () => {
  const medium = new SlowMedium();
  const store = await DurableStore.open(medium);
  const confirmed: number[] = [];
  const begin = (index: number): Promise<number> =>
    put(store, keyOf(index), contentOf(10, index)).then(() => confirmed.push(index));
  const all = [begin(0)];
  await settled();
  all.push(begin(1), begin(2), begin(3));
  await settled();
  expect(confirmed).toEqual([]);
  expect(store.list('d')).toEqual([]);
  await medium.finish();
  expect(confirmed).toEqual([0]);
  expect(store.list('d')).toHaveLength(1);
  await medium.finish();
  await Promise.all(all);
  expect(medium.turns.map((turn) => turn.length)).toEqual([1, 3]);
});

test('a shard that is being replaced is read when that is over', async () => {
  const medium = new SlowMedium();
  const store = await DurableStore.open(medium);
  const first = put(store, keyOf(0), contentOf(10, 1));
  await medium.finish();
  await first;
  const second = put(store, keyOf(0), contentOf(20, 2));
  await settled();
  medium.contents.set(textOf(keyOf(0)), contentOf(20, 2)); // On disk, but the store has not heard of it.
  const reading = take(store, keyOf(0));
  await medium.finish();
  await second;
  expect(await reading).toEqual(contentOf(20, 2));
  expect(store.usage().damaged).toBe(0);
});

test('without memory for a shard the store is overloaded, not full', async () => {
  const medium = new SlowMedium();
  const store = await DurableStore.open(medium, { memoryLimitBytes: 1024 * 1024 });
  const room = store.reserve(keyOf(0), 1_000_000);
  expect(await codeOf(() => store.reserve(keyOf(1), 1_000_000))).toBe('PAIPAI_ERR_OVERLOADED');
  const content = contentOf(1_000_000, 1);
  room.view.set(content);
  const committed = room.commit(metaOf(content));
  await medium.finish();
  await committed;
  const lease = await store.get(keyOf(0));
  expect(await codeOf(() => store.get(keyOf(0)))).toBe('PAIPAI_ERR_OVERLOADED');
  lease?.release();
  await expectContent(store, keyOf(0), content);
});

test.each([
  'disk',
  {},
  { lmdb: '' },
  { lmdb: 'a', files: 'b' },
  { files: 'a', sizeLimitBytes: 5 },
  { files: 'a', sizeLimit: 5_000_000 },
  null,
])('%j is no choice of a store', async (choice) => {
  expect(await codeOf(() => checkStore(choice))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
});

test('paths of stores are made absolute', () => {
  expect(checkStore({ files: 'a', sizeLimitBytes: 2 ** 20 })).toEqual({
    files: join(process.cwd(), 'a'),
    sizeLimitBytes: 2 ** 20,
  });
  expect(checkStore('memory')).toBe('memory');
});
