import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { connect as connectSocket, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { connect, listen, type Peer } from '../../dist/api/transport.js';
import { bound } from '../support/bounds.js';
import { bytes, text } from '../support/session-pair.js';

const program = fileURLToPath(new URL('./few-descriptors.mjs', import.meta.url));
const descriptorsMax = 64;
/** Of `utime` and `stime` in proc_pid_stat(5), on every Linux that Node runs on. */
const ticksPerSecond = 100;

const engineNames = ['native', 'js'] as const;
type EngineName = (typeof engineNames)[number];

interface Limited {
  readonly child: ChildProcess;
  readonly pid: number;
  /** What it said when it was ready. */
  readonly said: string;
  ask(sparedCount: number): Promise<string>;
}

function message(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null, signal: string | null): void =>
      reject(new Error(`it ended with ${code ?? signal}`));
    child.once('exit', onExit);
    child.once('message', (value) => {
      child.off('exit', onExit);
      resolve(String(value));
    });
  });
}

/** A process that may have no more than `descriptorsMax` descriptors. */
async function limited(...args: string[]): Promise<Limited> {
  const command = `ulimit -n ${descriptorsMax} && exec "$@"`;
  const child = spawn('sh', ['-c', command, 'sh', process.execPath, program, ...args], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const said = await message(child);
  return {
    child,
    pid: child.pid ?? 0,
    said,
    ask(sparedCount) {
      const answer = message(child);
      child.send(sparedCount);
      return answer;
    },
  };
}

async function connected(address: string, engine: EngineName): Promise<Peer> {
  const peer = await connect(address, { engine, handshakeTimeoutMs: 20_000 });
  onTestFinished(() => peer.destroy());
  return peer;
}

/** libuv hangs up on those who wait when there are no descriptors; they are told so, and try again. */
async function untilConnected(address: string, engine: EngineName): Promise<Peer> {
  for (;;) {
    try {
      return await connected(address, engine);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function echoes(peer: Peer): Promise<void> {
  for (let i = 0; i < 20; i++) {
    expect(text(await peer.request('echo', bytes(`${i}`), { deadlineMs: 5_000 }))).toBe(`${i}`);
  }
}

function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name of the program, in brackets, may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / ticksPerSecond;
}

describe.each(engineNames)('a listener without descriptors, %s', (engine) => {
  test('keeps its connections, rests meanwhile, and accepts again within a second', async () => {
    const server = await limited(engine);
    const address = server.said;
    const live = await connected(address, engine);
    const port = Number(new URL(address).port);
    const strangers: Socket[] = [];
    onTestFinished(() => strangers.forEach((socket) => void socket.destroy()));
    const isFull = (): boolean => readdirSync(`/proc/${server.pid}/fd`).length >= descriptorsMax;
    while (!isFull()) {
      const stranger = connectSocket(port, '127.0.0.1').on('error', () => {});
      strangers.push(stranger);
      await new Promise((resolve) => stranger.once('connect', resolve));
      await echoes(live);
    }
    // These wait with the system.
    for (let i = 0; i < 20; i++) {
      strangers.push(connectSocket(port, '127.0.0.1').on('error', () => {}));
    }
    const waiting = untilConnected(address, engine);
    const usedMs = cpuMs(server.pid);
    const startMs = performance.now();
    while (performance.now() - startMs < 500) {
      await echoes(live);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const share = (cpuMs(server.pid) - usedMs) / (performance.now() - startMs);
    expect(share).toBeLessThan(0.3);
    const freedMs = performance.now();
    for (const stranger of strangers) stranger.destroy();
    await echoes(await waiting);
    expect(performance.now() - freedMs).toBeLessThan(bound(1_000));
    await echoes(live);
  });

  test('takes the best path that the descriptors it has left allow', async () => {
    const server = await limited(engine);
    const paths: string[] = [];
    for (let spared = 1; spared <= 6; spared++) {
      await server.ask(spared);
      const peer = await connected(server.said, engine);
      await echoes(peer);
      paths.push(peer.path);
      await peer.close();
    }
    expectBetterAndBetter(paths, ['tcp', ...(engine === 'native' ? ['shm'] : [])]);
  });
});

describe.each(engineNames)('connecting without descriptors, %s', (engine) => {
  test('fails as the system says, or takes the best path that those left allow', async () => {
    const listener = await listen('tcp://127.0.0.1:0', { engine, methods: { echo: (b) => b } });
    onTestFinished(() => listener.close(0));
    const client = await limited(engine, listener.address);
    const outcomes: string[] = [];
    for (let spared = 0; spared <= 6; spared++) outcomes.push(await client.ask(spared));
    expectBetterAndBetter(outcomes, ['EMFILE', 'tcp', ...(engine === 'native' ? ['shm'] : [])]);
    // Nothing was left open on the way.
    expect(await client.ask(1)).toBe('tcp');
    expect(await client.ask(0)).toBe('EMFILE');
  });
});

/** `outcomes` are `order`, each once or several times. */
function expectBetterAndBetter(outcomes: string[], order: string[]): void {
  expect(outcomes.filter((outcome, i) => outcome !== outcomes[i - 1])).toEqual(order);
}
