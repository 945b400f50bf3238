import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { Net } from '../../dist/index.js';
import { makeFolder } from '../support/folders.js';
import { NodeProcess } from '../support/node-process.mjs';

/** Locks and leases while processes are killed, stand still, and come back. */

const program = fileURLToPath(new URL('./lock-holder.mjs', import.meta.url));

async function startTable(): Promise<NodeProcess> {
  const table = await NodeProcess.start([
    ...['--store', `files:${makeFolder()}/s`],
    ...['--coordinator', '--id', 'table'],
  ]);
  onTestFinished(() => table.kill());
  return table;
}

async function joined(table: NodeProcess): Promise<Net> {
  const net = new Net({ join: [table.address] });
  onTestFinished(() => net.close());
  await net.start();
  return net;
}

interface Holder {
  readonly process: ChildProcess;
  readonly token: number;
  /** The next line that it prints. */
  readonly line: () => Promise<string>;
}

/** A process that holds the lock. */
async function startHolder(table: NodeProcess, name: string, ttlMs: number): Promise<Holder> {
  const child = spawn(process.execPath, [program, table.address, name, `${ttlMs}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const line = async (): Promise<string> => String((await lines.next()).value);
  const [word, token] = (await line()).split(' ');
  expect(word).toBe('held');
  return { process: child, token: Number(token), line };
}

test('the lock of a process that is killed is the next one’s when its time is over', async () => {
  const table = await startTable();
  const net = await joined(table);
  const holder = await startHolder(table, 'a', 1_000);
  const locking = net.coordinator.lock('a');
  holder.process.kill('SIGKILL');
  const lock = await locking;
  expect(lock.token).toBeGreaterThan(holder.token);
});

test('a holder that stood still too long finds that it holds nothing, before it does anything', async () => {
  const table = await startTable();
  const net = await joined(table);
  const holder = await startHolder(table, 'a', 1_000);
  holder.process.kill('SIGSTOP');
  const lock = await net.coordinator.lock('a');
  expect(lock.token).toBeGreaterThan(holder.token);
  const heard = [holder.line(), holder.line()];
  holder.process.kill('SIGUSR2');
  holder.process.kill('SIGCONT');
  const lines = await Promise.all(heard);
  expect(lines.sort()).toEqual(['asked false', 'over PAIPAI_ERR_LEASE_LOST false']);
});

test('a lock outlives the process that coordinates, when that comes back in time', async () => {
  const table = await startTable();
  const net = await joined(table);
  const lock = await net.coordinator.lock('a', { ttlMs: 60_000 });
  const other = await joined(table);
  await table.kill();
  await table.start();
  const isBack = (): boolean => other.nodes().some(({ state }) => state === 'alive');
  while (!isBack()) await once(other, 'nodeBack');
  // Still taken.
  const late = other.coordinator.lock('a', { deadlineMs: 500 });
  await expect(late).rejects.toMatchObject({ code: 'PAIPAI_ERR_DEADLINE' });
  expect(lock.isHeld).toBe(true);
  const next = other.coordinator.lock('a');
  await lock.release();
  expect((await next).token).toBeGreaterThan(lock.token);
});
