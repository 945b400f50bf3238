import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  type ConnectOptions,
  connect,
  type Listener,
  listen,
  type Peer,
} from '../../../dist/api/transport.js';
import { codeOf } from '../../support/session-pair.js';

const local = 'tcp://127.0.0.1:0';
const child = fileURLToPath(new URL('transport-waiting-child.mjs', import.meta.url));
const spinMicrosecondsMost = 10_000_000;

/** Both sides in this process; closed at the end of the test. */
async function pairOf(options: ConnectOptions): Promise<{ peer: Peer; listener: Listener }> {
  const methods = { echo: (payload: Uint8Array) => payload };
  const listener = await listen(local, { ...options, methods });
  onTestFinished(() => listener.close());
  const peer = await connect(listener.address, { ...options, methods });
  onTestFinished(() => peer.close());
  return { peer, listener };
}

function spinning(spinMicroseconds: number): ConnectOptions {
  return { engine: 'native', waiting: { spinMicroseconds } };
}

async function echoes(peer: Peer, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const sent = Buffer.from(`message ${i}`);
    expect(Buffer.from(await peer.request('echo', sent))).toEqual(sent);
  }
}

/** In a process of its own, which the end of the test kills. */
async function spinningServer() {
  const server = spawn(process.execPath, [child, 'server'], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void server.kill('SIGKILL'));
  const [address] = await once(server.stdout, 'data');
  return { server, address: String(address).trim() };
}

/** Which part of `ms` the loop of this thread did not sleep. */
async function awakePart(ms: number): Promise<number> {
  const before = performance.eventLoopUtilization();
  await sleep(ms);
  return performance.eventLoopUtilization(before).utilization;
}

describe('two that spin', () => {
  it('ask each other, in one process', async () => {
    const { peer, listener } = await pairOf(spinning(spinMicrosecondsMost));
    await echoes(peer, 200);
    await echoes([...listener.peers][0]!, 200);
  });

  it('ask each other, in two processes', async () => {
    const { server, address } = await spinningServer();
    const peer = await connect(address, spinning(spinMicrosecondsMost));
    await echoes(peer, 500);
    await peer.close();
    const exited = once(server, 'exit');
    server.stdin.end();
    expect(await exited).toEqual([0, null]);
  });

  it.each(['tcp', 'auto'] as const)(
    'serve others beside one that never stops, path %s',
    async (path) => {
      const { address } = await spinningServer();
      const talking = await connect(address, { ...spinning(spinMicrosecondsMost), path });
      onTestFinished(() => talking.destroy());
      let isOver = false;
      const pingPong = (async () => {
        while (!isOver) await echoes(talking, 1);
      })();
      for (let i = 0; i < 10; i++) {
        const other = await connect(address, { ...spinning(spinMicrosecondsMost), path: 'tcp' });
        await echoes(other, 20);
        expect((await stat(child)).isFile()).toBe(true);
        await other.close();
      }
      isOver = true;
      await pingPong;
    },
  );

  it.each(['tcp', 'auto'] as const)(
    'go on when the one that talks is ended by its own handler, path %s',
    async (path) => {
      const { address } = await spinningServer();
      for (let i = 0; i < 20; i++) {
        const peer = await connect(address, { ...spinning(spinMicrosecondsMost), path });
        await echoes(peer, 5);
        expect(await codeOf(peer.request('leave'))).toBe('PAIPAI_ERR_PEER_CLOSED');
      }
    },
  );

  it('move megabytes', async () => {
    const { peer } = await pairOf(spinning(spinMicrosecondsMost));
    const sent = Buffer.alloc(8 * 1024 * 1024, 'spin');
    expect(sent.equals(await peer.request('echo', sent))).toBe(true);
  });

  it('take many connections, and others come and go', async () => {
    const { peer, listener } = await pairOf(spinning(spinMicrosecondsMost));
    for (let i = 0; i < 20; i++) {
      const others = await Promise.all(
        Array.from({ length: 5 }, () => connect(listener.address, spinning(1_000))),
      );
      await Promise.all([peer, ...others].map((each) => echoes(each, 3)));
      others[0]!.destroy();
      await Promise.all(others.map((each) => each.close()));
    }
  });
});

describe('a loop that spins', () => {
  it('runs timers, immediates and the thread pool, between messages and without any', async () => {
    const { peer } = await pairOf(spinning(spinMicrosecondsMost));
    let isOver = false;
    const pingPong = (async () => {
      while (!isOver) await echoes(peer, 1);
    })();
    for (const isTalking of [true, false]) {
      for (let i = 0; i < 20; i++) {
        await sleep(1);
        await new Promise((resolve) => setImmediate(resolve));
        expect((await stat(child)).isFile()).toBe(true);
      }
      isOver = isTalking;
      await pingPong;
    }
  });

  it('is awake as long as it was asked to be, and no longer', async () => {
    const { peer } = await pairOf(spinning(1_000_000));
    await echoes(peer, 1);
    expect(await awakePart(200)).toBeGreaterThan(0.9);
    await sleep(1_000);
    const before = process.cpuUsage();
    expect(await awakePart(300)).toBeLessThan(0.5);
    const { user, system } = process.cpuUsage(before);
    expect(user + system).toBeLessThan(150_000);
    // A message wakes it for as long again.
    await echoes(peer, 1);
    expect(await awakePart(200)).toBeGreaterThan(0.9);
  });

  it('sleeps when the last who asked for it is closed', async () => {
    const { peer, listener } = await pairOf(spinning(spinMicrosecondsMost));
    const sleepers = await pairOf({ engine: 'native' });
    await echoes(peer, 1);
    await peer.close();
    await echoes(sleepers.peer, 1);
    expect(await awakePart(200)).toBeGreaterThan(0.9);
    await listener.close();
    await echoes(sleepers.peer, 1);
    expect(await awakePart(300)).toBeLessThan(0.5);
  });

  it('is awake for the longest of several wishes', async () => {
    const { peer, listener } = await pairOf(spinning(spinMicrosecondsMost));
    const brief = await connect(listener.address, spinning(1));
    await echoes(brief, 1);
    expect(await awakePart(200)).toBeGreaterThan(0.9);
    await brief.close();
    await echoes(peer, 1);
    expect(await awakePart(200)).toBeGreaterThan(0.9);
  });

  it('ends with its worker, whenever that is terminated', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [child, 'workers'], {
      timeout: 30_000,
    });
    expect(stdout).toBe('all ended\n');
  });
});

it('makes its next connection spin too', async () => {
  const methods = { echo: (payload: Uint8Array) => payload };
  const listener = await listen(local, { engine: 'native', methods });
  onTestFinished(() => listener.close());
  const peer = await connect(listener.address, {
    ...spinning(spinMicrosecondsMost),
    reconnect: { backoffMs: 1 },
  });
  onTestFinished(() => peer.close());
  const reconnected = new Promise((resolve) => {
    peer.once('drop', () => peer.once('connect', () => resolve(null)));
  });
  for (const accepted of listener.peers) accepted.destroy();
  await reconnected;
  await echoes(peer, 1);
  expect(await awakePart(200)).toBeGreaterThan(0.9);
});

describe('the option', () => {
  it.each([
    'spin',
    '',
    null,
    0,
    true,
    {},
    [],
    { spinMicroseconds: 0 },
    { spinMicroseconds: -1 },
    { spinMicroseconds: 1.5 },
    { spinMicroseconds: spinMicrosecondsMost + 1 },
    { spinMicroseconds: Number.NaN },
    { spinMicroseconds: Number.POSITIVE_INFINITY },
    { spinMicroseconds: '50' },
  ])('is not %j', async (waiting) => {
    const options = { waiting: waiting as 'sleep' };
    expect(await codeOf(listen(local, options))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
    expect(await codeOf(connect('tcp://127.0.0.1:1', options))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
  });

  it.each(['sleep', { spinMicroseconds: 1 }, { spinMicroseconds: spinMicrosecondsMost }] as const)(
    'may be %j with either engine',
    async (waiting) => {
      for (const engine of ['native', 'js'] as const) {
        const { peer } = await pairOf({ engine, waiting });
        await echoes(peer, 5);
      }
    },
  );
});
