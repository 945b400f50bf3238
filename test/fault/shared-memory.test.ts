import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import {
  type ConnectOptions,
  connect,
  type Listener,
  type ListenOptions,
  listen,
  type Peer,
} from '../../dist/api/transport.js';
import { codeOf, event } from '../support/session-pair.js';

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

async function listening(options: ListenOptions = {}): Promise<Listener> {
  const listener = await listen('tcp://127.0.0.1:0', options);
  onTestFinished(() => listener.close(0));
  return listener;
}

async function connecting(address: string, options: ConnectOptions = {}): Promise<Peer> {
  const peer = await connect(address, options);
  onTestFinished(() => peer.destroy());
  return peer;
}

/** Runs a scenario of the program to its end, by way of `command`; what it printed. */
async function run(command: readonly string[], ...args: string[]): Promise<unknown> {
  const [file = '', ...rest] = [...command, process.execPath, program, ...args];
  const { stdout } = await promisify(execFile)(file, rest);
  return JSON.parse(stdout);
}

const descriptors = () => readdirSync('/proc/self/fd').length;

async function turnsUntil(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setImmediate(resolve));
}

/** Requests that fill the ring and the queue behind it, to a peer that does not read any more. */
async function requestsToNobody(peer: Peer): Promise<Promise<string>[]> {
  await peer.request('echo');
  const requests = [codeOf(peer.request('stall'))];
  for (let i = 0; i < 100; i++)
    requests.push(codeOf(peer.request('echo', Buffer.alloc(15_000, i))));
  await turnsUntil(() => peer.stats().queuedBytes > 0);
  return requests;
}

test('a request is not missed where the answer to the one before it opened a socket', async () => {
  const { address } = await serving();
  const peer = await connecting(address);
  expect(peer.path).toBe('shm');
  for (let i = 0; i < 50; i++) await peer.request('openSocket', undefined, { deadlineMs: 5_000 });
  await peer.request('closeSockets');
});

test('every request settles when the other process is killed with the ring full', async () => {
  const { address, child } = await serving();
  const peer = await connecting(address);
  expect(peer.path).toBe('shm');
  const requests = await requestsToNobody(peer);
  child.kill('SIGKILL');
  expect(new Set(await Promise.all(requests))).toEqual(new Set(['PAIPAI_ERR_PEER_CLOSED']));
});

test('every request settles when the other process stops with the ring full', async () => {
  const { address, child } = await serving();
  const peer = await connecting(address, { heartbeat: { intervalMs: 100, timeoutMs: 400 } });
  const requests = await requestsToNobody(peer);
  child.kill('SIGSTOP');
  expect(new Set(await Promise.all(requests))).toEqual(new Set(['PAIPAI_ERR_PEER_CLOSED']));
});

test('what the other process said before it was killed is heard', async () => {
  const heard: number[] = [];
  const closed = event();
  const listener = await listening({
    topics: { count: (payload) => void heard.push(payload[0] as number) },
  });
  listener.on('peer', (peer) => peer.on('close', () => closed.fire()));
  const source = `
    const { connect } = await import(${JSON.stringify(new URL('../../dist/api/transport.js', import.meta.url).href)});
    const peer = await connect(${JSON.stringify(listener.address)});
    for (let i = 0; i < 100; i++) peer.send('count', Buffer.alloc(1_000, i));
    setImmediate(() => setImmediate(() => process.kill(process.pid, 'SIGKILL')));`;
  spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: 'inherit' });
  await closed.promise;
  expect(heard).toEqual(Array.from({ length: 100 }, (_, i) => i));
});

test('a peer that may not have the memory stays with the socket', async () => {
  const listener = await listening({ methods: { echo: (payload) => payload } });
  const over = { answer: 'hello' };
  expect(await run([], 'ask', listener.address)).toEqual({ path: 'shm', ...over });
  // No file beyond 100 KiB: neither does the memory come to be, nor is the process ended by it.
  const limited = ['bash', '-c', 'ulimit -f 100; exec "$@"', 'bash'];
  expect(await run(limited, 'ask', listener.address)).toEqual({ path: 'tcp', ...over });
});

test('worker threads may be terminated in the middle of it', async () => {
  const listener = await listening();
  const before = descriptors();
  const told = await run([], 'workers', listener.address);
  const { before: first, after: last } = told as { before: number; after: number };
  expect(last).toBeLessThanOrEqual(first);
  await turnsUntil(() => descriptors() <= before);
});

test('200 connections leave nothing open on either side', async () => {
  const listener = await listening();
  let count = 0;
  const connectOnce = async (): Promise<void> => {
    const peer = await connect(listener.address);
    expect(peer.path).toBe('shm');
    if (count++ % 2 === 0) await peer.close();
    else peer.destroy();
  };
  await connectOnce();
  await turnsUntil(() => listener.peers.size === 0);
  const before = descriptors();
  for (let i = 0; i < 50; i++) await Promise.all(Array.from({ length: 4 }, connectOnce));
  await turnsUntil(() => listener.peers.size === 0 && descriptors() <= before);
});

test('a peer that reconnects comes back to shared memory', async () => {
  const listener = await listening({ methods: { echo: (payload) => payload } });
  const arrivals: Peer[] = [];
  listener.on('peer', (peer) => arrivals.push(peer));
  const peer = await connecting(listener.address, { reconnect: { backoffMs: 1 } });
  for (let times = 1; times <= 3; times++) {
    await turnsUntil(() => arrivals.length === times && peer.state === 'open');
    expect(peer.path).toBe('shm');
    expect(Buffer.from(await peer.request('echo', Buffer.from('x')))).toEqual(Buffer.from('x'));
    arrivals.at(-1)?.destroy();
    await turnsUntil(() => arrivals.length > times);
  }
});

test('a peer is destroyed in the middle of what came', async () => {
  let heardCount = 0;
  const listener = await listening({
    topics: {
      count(_, { peer }) {
        if (++heardCount === 500) peer.destroy();
      },
    },
  });
  const peer = await connecting(listener.address);
  const closed = event();
  peer.on('close', () => closed.fire());
  for (let i = 0; i < 2_000; i++) peer.send('count', Buffer.alloc(300));
  await closed.promise;
  expect(heardCount).toBe(500);
});
