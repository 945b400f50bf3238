import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { DurableStore } from '../../dist/store/durable-store.js';
import { openDurableStore } from '../../dist/store/open-store.js';
import { makeFolder } from '../support/folders.js';
import { whyNoMount } from '../support/mounts.js';

/** Stores on disk whose process is killed, stopped or out of room. Real processes, a real disk. */

type Kind = 'lmdb' | 'files';

const child = fileURLToPath(new URL('./storing-child.mjs', import.meta.url));
const killCount = 6;

function openStore(kind: Kind, folder: string): Promise<DurableStore> {
  return openDurableStore(kind === 'lmdb' ? { lmdb: folder } : { files: folder }, {});
}

interface Worker {
  readonly process: ChildProcess;
  readonly lines: string[];
  /** Waits until the child has said so many lines. */
  said(count: number): Promise<void>;
  kill(): Promise<void>;
}

function start(kind: Kind, folder: string, ...task: string[]): Worker {
  const started = spawn(process.execPath, [child, kind, folder, ...task], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void started.kill('SIGKILL'));
  const lines: string[] = [];
  let rest = '';
  started.stdout.setEncoding('utf8');
  started.stdout.on('data', (text: string) => {
    const whole = (rest + text).split('\n');
    rest = whole.pop() ?? '';
    lines.push(...whole);
  });
  const closed = once(started, 'close');
  return {
    process: started,
    lines,
    async said(count) {
      while (lines.length < count) {
        if (started.exitCode !== null) throw new Error(`the child ended with ${started.exitCode}`);
        await Promise.race([once(started.stdout, 'data'), closed]);
      }
    },
    async kill() {
      started.kill('SIGKILL');
      await closed;
    },
  };
}

/** The last generation of each shard that a line of this kind names. */
function lastOf(lines: readonly string[], word: string): Map<number, number> {
  return new Map(
    lines
      .map((line) => line.split(' '))
      .filter(([first]) => first === word)
      .map(([, index, generation]) => [Number(index), Number(generation)]),
  );
}

/** The generation that all of the content is of. */
function generationOf(view: Uint8Array): number {
  const words = new Uint32Array(Uint8Array.from(view).buffer);
  const generation = words[0] ?? Number.NaN;
  expect(words.length).toBe(1 + ((generation * 7919) % 60_000));
  expect(words.every((word) => word === generation)).toBe(true);
  return generation;
}

describe.each<Kind>(['lmdb', 'files'])('a store in %s', (kind) => {
  test('whose process is killed while it writes has all that was confirmed, whole', async () => {
    const folder = join(makeFolder(), 's');
    const confirmed = new Map<number, number>();
    for (let round = 0; round < killCount; round++) {
      const worker = start(kind, folder, 'write', String(1 + round * 1_000_000));
      await worker.said(60 + round * 37);
      await worker.kill();
      const begun = worker.lines.filter((line) => line.startsWith('begun'));
      for (const [index, generation] of lastOf(worker.lines, 'confirmed')) {
        confirmed.set(index, generation);
      }
      const store = await openStore(kind, folder);
      expect(store.usage().damaged).toBe(0);
      for (const [index, generation] of confirmed) {
        const lease = await store.get({ dataId: 'd', version: 0n, index });
        expect(lease, `shard ${index}, confirmed as ${generation}`).toBeDefined();
        if (lease === undefined) continue;
        const found = generationOf(lease.view);
        lease.release();
        // Old or new: the last that was confirmed, or one that was begun after it.
        if (found !== generation) {
          expect(found).toBeGreaterThan(generation);
          expect(begun).toContain(`begun ${index} ${found}`);
          confirmed.set(index, found);
        }
      }
      await store.close();
    }
    expect(confirmed.size).toBeGreaterThan(16);
  });

  test('is one process’s at a time, and free when that is killed', async () => {
    const folder = join(makeFolder(), 's');
    const holder = start(kind, folder, 'hold');
    await holder.said(1);
    const inUse = expect.objectContaining({ code: 'PAIPAI_ERR_STORE_IN_USE' });
    await expect(openStore(kind, folder)).rejects.toEqual(inUse);
    holder.process.kill('SIGSTOP');
    await expect(openStore(kind, folder)).rejects.toEqual(inUse);
    await holder.kill();
    const store = await openStore(kind, folder);
    await expect(openStore(kind, folder)).rejects.toEqual(inUse);
    await store.close();
  });

  test('on a full disk says so, and works on when there is room', (context) => {
    const reason = whyNoMount();
    context.skip(reason !== undefined, reason);
    const folder = makeFolder();
    const mounted = join(folder, 'm');
    mkdirSync(mounted);
    const script = join(folder, 'run.sh');
    writeFileSync(
      script,
      'mount -t tmpfs -o size=16m none "$1" && head -c 4000000 /dev/zero > "$1/ballast" && exec "$2" "$3" "$4" "$1/s" full\n',
    );
    const { stdout, status, stderr } = spawnSync(
      'unshare',
      ['-m', 'sh', script, mounted, process.execPath, child, kind],
      { encoding: 'utf8' },
    );
    expect(status, stderr).toBe(0);
    const outcome = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
    expect(outcome).toMatchObject({
      first: { code: 'PAIPAI_ERR_STORE_FULL' },
      again: 'PAIPAI_ERR_STORE_FULL',
      isReadable: true,
      freed: [1, 1, 1],
      more: [true, true, true],
      dropped: 1,
      isReadableAgain: true,
    });
    expect(outcome.first.count).toBeGreaterThanOrEqual(5);
    expect(outcome.attempts).toBeLessThan(5);
  });
});
