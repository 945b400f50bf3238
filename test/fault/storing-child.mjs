// Opens a store and works on it until it is killed: node storing-child.mjs KIND FOLDER TASK [NUMBER]
//   write N   shards without end, their generations from N on; a line for each that is confirmed
//   hold      nothing but being there
//   full      shards until there is no room, then room is made; a line of JSON on what happened
import { rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { openDurableStore } from '../../dist/store/open-store.js';
import { crc32c } from '../../dist/wire/crc32c.js';

const [, , kind, folder, task, number] = process.argv;
const choice = kind === 'lmdb' ? { lmdb: folder } : { files: folder };
const mebibyte = 1024 * 1024;

/** The generation over and over, as many times as follows from it: two of them never look like one. */
function contentOf(generation) {
  const words = 1 + ((generation * 7919) % 60_000);
  return new Uint8Array(new Uint32Array(words).fill(generation).buffer);
}

function say(text) {
  writeSync(1, `${text}\n`);
}

async function put(store, index, content) {
  const room = store.reserve({ dataId: 'd', version: 0n, index }, content.length);
  room.view.set(content);
  const meta = { count: 0, offset: 0, totalBytes: 0, crc32c: crc32c(content), last: false };
  await room.commit(meta);
}

async function write(store, first) {
  let generation = first;
  // Several lines of work, each with shards of its own, so that turns of one and of several shards come about.
  const line = async (offset) => {
    for (let turn = 0; ; turn++) {
      const mine = generation++;
      const index = offset + 8 * (turn % 4);
      say(`begun ${index} ${mine}`);
      await put(store, index, contentOf(mine));
      say(`confirmed ${index} ${mine}`);
    }
  };
  await Promise.all(Array.from({ length: 8 }, (_, offset) => line(offset)));
}

async function fill(store) {
  const content = new Uint8Array(mebibyte).fill(7);
  let count = 0;
  let code;
  while (code === undefined && count < 1_000) {
    await put(store, count, content).then(
      () => count++,
      (error) => {
        code = error.code;
      },
    );
  }
  return { count, code };
}

function isStored(store, index) {
  const content = new Uint8Array(mebibyte).fill(7);
  return put(store, index, content).then(
    () => true,
    () => false,
  );
}

function drop(store, index) {
  return store.drop({ dataId: 'd', version: 0n, index });
}

async function full(store) {
  const first = await fill(store);
  const again = await fill(store);
  const isReadable = await readAll(store, first.count);
  // Room by dropping, while the disk has none; LMDB gets at it a transaction or two later.
  const freed = [await drop(store, 1), await drop(store, 2), await drop(store, 3)];
  let attempts = 1;
  while (attempts < 5 && !(await isStored(store, 1))) attempts++;
  rmSync(join(dirname(folder), 'ballast'));
  const more = [];
  for (let index = 100; index < 103; index++) {
    more.push(await isStored(store, index));
  }
  const dropped = await drop(store, 0);
  const listed = store.list('d').length;
  await store.close();
  const opened = await openDurableStore(choice, {});
  const isReadableAgain = await readAll(opened, listed);
  await opened.close();
  const all = { first, again: again.code, isReadable, freed, attempts, more, dropped };
  say(JSON.stringify({ ...all, isReadableAgain }));
}

async function readAll(store, count) {
  const shards = store.list('d');
  for (const { key } of shards) {
    const lease = await store.get(key);
    if (!lease.view.every((byte) => byte === 7)) return false;
    lease.release();
  }
  return shards.length === count;
}

const store = await openDurableStore(choice, {});
say('open');
if (task === 'write') await write(store, Number(number));
else if (task === 'hold') setInterval(() => {}, 1_000);
else if (task === 'full') await full(store);
