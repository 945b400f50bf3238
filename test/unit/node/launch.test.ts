import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { PaipaiError } from '../../../dist/base/errors.js';
import { Data, Net, Node } from '../../../dist/index.js';
import { launchProcess } from '../../../dist/node/launch.js';
import { createRealEnv } from '../../../dist/node/real-env.js';
import { Roster } from '../../../dist/node/roster.js';
import { startNode } from '../../../dist/node/runtime.js';
import { selectEngine } from '../../../dist/node/select-network.js';
import { isAlive, reached } from '../../main-job/nets.js';
import { bound } from '../../support/bounds.js';
import { engines } from '../../support/native-networks.js';
import { quietPort } from '../../support/quiet-port.js';
import { RawPeer } from '../../support/raw-peer.js';

/** Nodes that end, or fail to start, in ways that leave something behind. */

const distUrl = new URL('../../../dist/', import.meta.url);
const shortHeartbeat = { intervalMs: 50, timeoutMs: 300 };

function ownFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'paipai-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** A module whose `leave()` starts a process that inherits the standard pipes of its node; its pid lands in the file. */
function leavingModule(atLoad: string): { handlers: URL; pidFile: string } {
  const folder = ownFolder();
  const pidFile = join(folder, 'pid');
  const file = join(folder, 'handlers.mjs');
  writeFileSync(
    file,
    `import { spawn } from 'node:child_process';
    import { writeFileSync } from 'node:fs';
    export function leave() {
      const child = spawn('sleep', ['25'], { detached: true, stdio: 'inherit' });
      writeFileSync(${JSON.stringify(pidFile)}, String(child.pid));
      return child.pid;
    }
    ${atLoad}`,
  );
  onTestFinished(() => {
    if (existsSync(pidFile)) process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGKILL');
  });
  return { handlers: pathToFileURL(file), pidFile };
}

describe('a process that a handler left behind holds the pipes of its node', () => {
  test('the net closes all the same', async () => {
    const { handlers, pidFile } = leavingModule('');
    const net = new Net({ handlers }).addNode(new Node(1));
    onTestFinished(() => net.close());
    const data = new Data(1, 10);
    net.addData(data);
    await net.start();
    await net.process(data, 'leave');
    const startMs = performance.now();
    await net.close();
    expect(performance.now() - startMs).toBeLessThan(bound(3_000));
    expect(isAlive(Number(readFileSync(pidFile, 'utf8')))).toBe(true);
  });

  test('a failed start is told all the same', async () => {
    const { handlers, pidFile } = leavingModule("leave(); throw new Error('not today');");
    const net = new Net({ handlers }).addNode(new Node(1));
    onTestFinished(() => net.close());
    const startMs = performance.now();
    await expect(net.start()).rejects.toMatchObject({ code: 'PAIPAI_ERR_HANDLER_MODULE' });
    expect(performance.now() - startMs).toBeLessThan(bound(8_000));
    expect(isAlive(Number(readFileSync(pidFile, 'utf8')))).toBe(true);
  });
});

describe('a node as a thread', () => {
  /** What a program prints that is run with a module loaded before it, in its worker threads too. */
  async function run(preload: string, program: string): Promise<string[]> {
    const folder = ownFolder();
    const preloadFile = join(folder, 'preload.mjs');
    const programFile = join(folder, 'program.mjs');
    writeFileSync(preloadFile, preload);
    writeFileSync(
      programFile,
      `import { Data, Net, Node } from ${JSON.stringify(new URL('index.js', distUrl).href)};
      process.on('unhandledRejection', (error) => console.log('unhandled', error.message));
      ${program}`,
    );
    const { stdout } = await promisify(execFile)(process.execPath, [
      `--import=${pathToFileURL(preloadFile).href}`,
      programFile,
    ]);
    return stdout.trim().split('\n');
  }

  test('whose thread fails before it begins fails the start, and nothing else', async () => {
    const printed = await run(
      `import { isMainThread } from 'node:worker_threads';
      if (!isMainThread) throw new Error('not in threads');`,
      `const net = new Net({ runAs: 'thread' }).addNode(new Node(1));
      await net.start().catch(({ code, message }) => console.log(code, message));
      await net.close();
      console.log('closed');`,
    );
    expect(printed).toEqual([
      'PAIPAI_ERR_NODE_START node 1 did not start: not in threads',
      'closed',
    ]);
  });

  test('whose module throws fails the start', async () => {
    const { handlers } = leavingModule("throw new Error('not today');");
    const net = new Net({ handlers, runAs: 'thread' }).addNode(new Node(1));
    await expect(net.start()).rejects.toMatchObject({ code: 'PAIPAI_ERR_HANDLER_MODULE' });
    await net.close();
  });

  test('whose thread dies later is lost; the net closes', async () => {
    const printed = await run(
      `import { isMainThread, workerData } from 'node:worker_threads';
      if (!isMainThread && workerData?.nodeId === '1') {
        const channel = new BroadcastChannel('die');
        channel.onmessage = () => { throw new Error('out of luck'); };
        channel.unref();
      }`,
      `const net = new Net({ runAs: 'thread' }).addNode(new Node(1)).addNode(new Node(2));
      await net.start();
      const lost = new Promise((resolve) => net.once('nodeLost', (node) => resolve(node.id)));
      const channel = new BroadcastChannel('die');
      channel.postMessage('now');
      channel.close();
      console.log('lost', await lost);
      await net.close();
      console.log('closed');`,
    );
    expect(printed).toEqual(['lost 1', 'closed']);
  });
});

describe('one side of a connection that stays open is silent', () => {
  /** A node that `paipainet node` runs; resolves with its address. */
  async function nodeProcess(): Promise<{ child: ChildProcess; address: string }> {
    const main = fileURLToPath(new URL('cli/main.js', distUrl));
    const child = spawn(
      process.execPath,
      [main, 'node', '--listen', 'tcp://127.0.0.1:0', '--json'],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    onTestFinished(() => void child.kill('SIGKILL'));
    const [line] = await once(child.stdout as NodeJS.ReadableStream, 'data');
    return { child, address: JSON.parse(String(line)).address };
  }

  test.each(['native', 'js'] as const)(
    'a remote node is lost, on the %s engine',
    async (engine) => {
      const { child, address } = await nodeProcess();
      let onLost: (lost: { nodeId: string; error: PaipaiError }) => void = () => {};
      const lost = new Promise<{ nodeId: string; error: PaipaiError }>((resolve) => {
        onLost = resolve;
      });
      const roster = await Roster.start([{ nodeId: 'far', address }], {
        env: createRealEnv(),
        engine: selectEngine(engine),
        engineChoice: engine,
        clientId: 'test',
        netName: 'default',
        secret: undefined,
        handlers: undefined,
        heartbeat: shortHeartbeat,
        onLost: (nodeId, error) => onLost({ nodeId, error }),
      });
      onTestFinished(() => roster.close());
      child.kill('SIGSTOP');
      expect(await lost).toMatchObject({
        nodeId: 'far',
        error: { code: 'PAIPAI_ERR_NODE_LOST', cause: { code: 'PAIPAI_ERR_PEER_CLOSED' } },
      });
      expect(roster.isLiving('far')).toBe(false);
    },
  );

  test('a client is dropped by the node', async () => {
    const node = await startNode({
      nodeId: 'n',
      listen: 'tcp://127.0.0.1:0',
      heartbeat: shortHeartbeat,
    });
    onTestFinished(() => node.close());
    const client = await RawPeer.ready(engines.js.network, node.address);
    await client.closed;
  });
});

test('a module that is loaded ahead in the thread of a node has its connections beside the node’s', async () => {
  const folder = ownFolder();
  writeFileSync(
    join(folder, 'ahead.mjs'),
    `import { BroadcastChannel, isMainThread } from 'node:worker_threads';
    import { connect, listen } from '${distUrl}api/transport.js';
    if (!isMainThread) {
      const listener = await listen('tcp://127.0.0.1:0', { methods: { echo: (payload) => payload } });
      const peer = await connect(listener.address);
      const channel = new BroadcastChannel('ahead');
      channel.onmessage = async () => {
        await peer.request('echo', Buffer.from('hello'));
        channel.postMessage('answered');
      };
      channel.unref();
    }`,
  );
  writeFileSync(
    join(folder, 'main.mjs'),
    `import { BroadcastChannel } from 'node:worker_threads';
    import { Data, Net, Node } from '${distUrl}index.js';
    const net = new Net({ runAs: 'thread' }).addNode(new Node(1));
    await net.start();
    const channel = new BroadcastChannel('ahead');
    const answered = new Promise((resolve) => {
      channel.onmessage = resolve;
    });
    channel.postMessage('ask');
    await answered;
    const data = new Data(1, 10);
    net.addData(data);
    await net.process(data);
    await net.close();
    channel.close();
    console.log('done');`,
  );
  const args = ['--import', join(folder, 'ahead.mjs'), join(folder, 'main.mjs')];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 20_000 });
  expect(stdout).toBe('done\n');
});

test('a node that shall join a net is not ready before it has', async () => {
  const port = await quietPort();
  const address = `tcp://127.0.0.1:${port}`;
  // Somebody who hangs up is there at first, so that the node has asked in vain.
  const nobody = createServer((socket) => socket.destroy()).listen(port, '127.0.0.1');
  await once(nobody, 'listening');
  const pids: number[] = [];
  const launching = launchProcess(
    createRealEnv(),
    { nodeId: 'guest', listen: 'tcp://127.0.0.1:0', join: [address] },
    { onSpawned: (pid) => pids.push(pid), onGone: () => pids.pop() },
  );
  await Promise.race([once(nobody, 'connection'), launching]);
  expect(pids).toHaveLength(1);
  nobody.close();
  await once(nobody, 'close');
  const seed = await startNode({ nodeId: 'seed', listen: address });
  onTestFinished(() => seed.close());
  const guest = await launching;
  expect(pids).toEqual([guest.pid]);
  // The guest may know before the seed does.
  expect(await reached(10_000, () => seed.members().length === 2)).toBe(true);
  expect(seed.members().map(({ nodeId }) => nodeId)).toEqual(['seed', 'guest']);
  await guest.stop();
  expect(pids).toEqual([]);
});
