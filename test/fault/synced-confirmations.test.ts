import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Data, Net, Node } from '../../dist/index.js';
import { noise } from '../main-job/nets.js';
import { type Change, changedPackage } from '../support/changed-package.js';
import { makeFolder } from '../support/folders.js';
import { NodeProcess } from '../support/node-process.mjs';
import { readTrace, type SystemCall, traceCommand, whyNoTrace } from '../support/system-calls.js';

/** What a node on disk confirms would survive a loss of power: all that it wrote for it is synced by then. Seen in what it asks of the system. */

const reasonNot = whyNoTrace();

const receives = ['read', 'readv', 'recvfrom', 'recvmsg'];
const sends = ['write', 'writev', 'sendto', 'sendmsg'];
const writes = ['write', 'writev', 'pwrite64', 'pwritev', 'pwritev2', 'ftruncate'];
const syncs = ['fsync', 'fdatasync', 'msync'];
const names = ['rename', 'renameat', 'renameat2'];
const traced = [...new Set([...receives, ...sends, ...writes, ...syncs, ...names, 'openat'])];

const shardCount = 5;
const shardBytes = 200_000;

interface Traced {
  readonly calls: readonly SystemCall[];
  readonly store: string;
}

/** Has a traced node of `main` store shards, each when the one before is confirmed. */
async function storeTraced(
  kind: 'lmdb' | 'files',
  main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url)),
): Promise<Traced> {
  const folder = makeFolder();
  const store = join(folder, 's');
  const trace = join(folder, 'trace');
  const command = [...traceCommand(trace, traced), process.execPath, main];
  // With io_uring what arrives shows in no system call.
  const env = { ...process.env, PAIPAINET_IO: 'epoll' };
  const node = await NodeProcess.start(['--store', `${kind}:${store}`], { command, env });
  onTestFinished(() => node.kill());
  // The other engine would move to shared memory, where no system call shows.
  const net = new Net({ engine: 'js' }).addNode(new Node(1, { address: node.address }));
  onTestFinished(() => net.close());
  await net.start();
  for (let index = 0; index < shardCount; index++) {
    const data = new Data(index, noise(shardBytes, index + 1));
    net.addData(data);
    await net.transfer(data);
  }
  await net.close();
  await node.kill('SIGTERM');
  return { calls: readTrace(trace), store };
}

/** What had been asked between the arrival of the last byte of each shard and its confirmation. */
function shardSpans(calls: readonly SystemCall[]): SystemCall[][] {
  const ofSockets = calls.filter(({ target }) => /^(TCP|socket):/.test(target));
  const received = new Map<string, number>();
  for (const { name, target, result } of ofSockets) {
    if (receives.includes(name)) {
      received.set(target, (received.get(target) ?? 0) + Math.max(0, result));
    }
  }
  const [[session] = ['none']] = [...received].sort(([, a], [, b]) => b - a);

  const spans: SystemCall[][] = [];
  let bytes = 0;
  let arrival: SystemCall | undefined;
  for (const call of ofSockets.filter(({ target, result }) => target === session && result > 0)) {
    if (receives.includes(call.name)) {
      bytes += call.result;
      arrival = call;
    } else if (arrival !== undefined && bytes >= (spans.length + 1) * shardBytes) {
      const { cameBackAt } = arrival;
      spans.push(calls.filter((one) => one.beganAt > cameBackAt && one.cameBackAt < call.beganAt));
    }
  }
  return spans;
}

/** Writes and names among `span` that were not safe at its end. */
function unsynced(span: readonly SystemCall[], { calls, store }: Traced): string[] {
  const isSynced = (path: string, from: number): boolean =>
    span.some(
      ({ name, target, result, beganAt }) =>
        syncs.includes(name) && target === path && result === 0 && beganAt > from,
    );
  const syncsItself = ({ descriptor, target, beganAt }: SystemCall): boolean => {
    const opened = calls.findLast(
      (call) => call.name === 'openat' && call.result === descriptor && call.cameBackAt < beganAt,
    );
    return opened?.text.includes(`<${target}>`) === true && /O_D?SYNC/.test(opened.text);
  };
  return span
    .filter((call) => {
      if (names.includes(call.name)) {
        const place = [...call.text.matchAll(/"([^"]*)"/g)].at(-1)?.[1] ?? '';
        return place.startsWith(store) && !isSynced(dirname(place), call.cameBackAt);
      }
      if (!writes.includes(call.name) || !call.target.startsWith(store)) return false;
      return !syncsItself(call) && !isSynced(call.target, call.cameBackAt);
    })
    .map(({ text }) => text);
}

function bytesWritten(span: readonly SystemCall[], store: string): number {
  return span
    .filter(({ name, target }) => writes.includes(name) && target.startsWith(store))
    .reduce((sum, { result }) => sum + result, 0);
}

interface Mistake extends Change {
  readonly kind: 'lmdb' | 'files';
  readonly name: string;
}

const mistakes: readonly Mistake[] = [
  {
    kind: 'lmdb',
    name: 'commits without a sync',
    file: 'store/lmdb-store.js',
    from: 'overlappingSync: false,',
    to: 'overlappingSync: false, noSync: true,',
  },
  {
    kind: 'files',
    name: 'leaves what is in a file to the system',
    file: 'store/disk.js',
    from: 'await file.sync();',
    to: '',
  },
  {
    kind: 'files',
    name: 'leaves the names of files to the system',
    file: 'store/disk.js',
    from: 'await folder.sync();',
    to: '',
  },
];

describe('before a node confirms a shard', { timeout: 60_000 }, () => {
  test.for(['lmdb', 'files'] as const)('it is synced in %s', async (kind, context) => {
    context.skip(reasonNot !== undefined, reasonNot);
    const seen = await storeTraced(kind);
    const spans = shardSpans(seen.calls);
    expect(spans).toHaveLength(shardCount);
    for (const span of spans) {
      expect(bytesWritten(span, seen.store)).toBeGreaterThanOrEqual(shardBytes);
      expect(unsynced(span, seen)).toEqual([]);
    }
  });

  test.for(mistakes)('a build that $name in $kind is found out', async (mistake, context) => {
    context.skip(reasonNot !== undefined, reasonNot);
    const seen = await storeTraced(mistake.kind, changedPackage(mistake));
    const spans = shardSpans(seen.calls);
    expect(spans).toHaveLength(shardCount);
    for (const span of spans) expect(unsynced(span, seen)).not.toEqual([]);
  });
});
