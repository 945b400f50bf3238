import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { connect, type Peer } from '../../dist/api/transport.js';

const program = fileURLToPath(new URL('./shared-memory-child.mjs', import.meta.url));

interface Serving {
  child: ChildProcess;
  address: string;
}

/** Another process that serves; the test's end kills it. */
async function serving(): Promise<Serving> {
  const child = spawn(process.execPath, [program, 'serve'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [address] = await once(createInterface({ input: child.stdout }), 'line');
  return { child, address };
}

async function connecting(address: string): Promise<Peer> {
  const peer = await connect(address);
  onTestFinished(() => peer.destroy());
  return peer;
}

test('a request is not missed where the answer to the one before it opened a socket', async () => {
  const { address } = await serving();
  const peer = await connecting(address);
  expect(peer.path).toBe('shm');
  for (let i = 0; i < 50; i++) await peer.request('openSocket', undefined, { deadlineMs: 5_000 });
  await peer.request('closeSockets');
});
