import { type ChildProcess, spawn } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Peer } from '../../dist/api/transport.js';
import { bound } from '../support/bounds.js';
import { engines } from '../support/native-networks.js';
import { RawPeer } from '../support/raw-peer.js';
import { bytes, codeOf, event, pattern, text } from '../support/session-pair.js';
import {
  connecting,
  enginePairs,
  freshAddress,
  listening,
  nextPeer,
  once,
  type Setting,
  wireTo,
} from './transport-pairs.js';

const entry = JSON.stringify(new URL('../../dist/api/transport.js', import.meta.url).href);
const echo = { methods: { echo: (payload: Uint8Array) => payload } };

/** A program that listens, says where, and answers `echo` and, never, `never`. */
function server({ listening: engine, scheme }: Setting, say: string): string {
  return `import(${entry}).then(async ({ listen }) => {
    const listener = await listen(${JSON.stringify(freshAddress(scheme))}, {
      engine: '${engine}',
      methods: { echo: (payload) => payload, never: () => new Promise(() => {}) },
    });
    ${say}(listener.address);
  });`;
}

async function process_(setting: Setting): Promise<{ child: ChildProcess; address: string }> {
  const child = spawn(process.execPath, ['-e', server(setting, 'process.stdout.write')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const address = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (line: Buffer) => resolve(line.toString()));
    child.once('close', (code) => reject(new Error(`the server ended with ${code}`)));
  });
  return { child, address };
}

async function worker(setting: Setting): Promise<{ thread: Worker; address: string }> {
  const say = "require('node:worker_threads').parentPort.postMessage";
  const thread = new Worker(server(setting, say), { eval: true });
  onTestFinished(async () => void (await thread.terminate()));
  const address = await new Promise<string>((resolve, reject) => {
    thread.once('message', resolve);
    thread.once('error', reject);
  });
  return { thread, address };
}

/** The codes with which requests under way fail when `end` strikes. */
async function codesUnderWay(peer: Peer, end: () => unknown): Promise<string[]> {
  const underWay = Array.from({ length: 10 }, () => codeOf(peer.request('never')));
  await peer.request('echo');
  await end();
  return Promise.all(underWay);
}
const tenClosed = Array<string>(10).fill('PAIPAI_ERR_PEER_CLOSED');

const settings: Setting[] = [
  ...enginePairs.flatMap(([near, far]) =>
    (['tcp', 'unix'] as const).map((scheme) => ({ connecting: near, listening: far, scheme })),
  ),
  { connecting: 'native', listening: 'native', scheme: 'tcp', sharesMemory: true },
];

for (const setting of settings) {
  const { connecting: near, listening: far, scheme, sharesMemory = false } = setting;
  const over = sharesMemory ? 'shared memory' : scheme;

  describe(`transport ${near}–${far} over ${over}, faults`, () => {
    test('a worker thread as peer, terminated with requests under way', async () => {
      const { thread, address } = await worker(setting);
      const peer = await connecting(setting, address);
      expect(text(await peer.request('echo', bytes('worker')))).toBe('worker');
      expect(await codesUnderWay(peer, () => thread.terminate())).toEqual(tenClosed);
    });

    test('a worker thread that connects', async () => {
      const heard = event<string>();
      const listener = await listening(setting, {
        ...echo,
        onMessage: (topic, payload) => heard.fire(`${topic} ${text(payload)}`),
      });
      const program = `import(${entry}).then(async ({ connect }) => {
          const peer = await connect(${JSON.stringify(listener.address)}, { engine: '${near}' });
          peer.send('said', await peer.request('echo', Buffer.from('in a thread')));
          await peer.close();
        });`;
      const thread = new Worker(program, { eval: true });
      onTestFinished(async () => void (await thread.terminate()));
      expect(await heard.promise).toBe('said in a thread');
      expect(await once(thread, 'exit')).toBe(0);
    });

    test('a process as peer, killed with requests under way', async () => {
      const { child, address } = await process_(setting);
      const peer = await connecting(setting, address);
      const closed = once(peer, 'close');
      expect(await codesUnderWay(peer, () => child.kill('SIGKILL'))).toEqual(tenClosed);
      expect(await closed).toMatchObject({ code: 'PAIPAI_ERR_PEER_CLOSED' });
    });

    test('a silent peer is noticed within the timeout, one that only has nothing to say is not', async () => {
      const heartbeat = { intervalMs: 50, timeoutMs: 300 };
      const listener = await listening(setting, { ...echo, heartbeat });
      const first = nextPeer(listener);
      const idle = await connecting(setting, listener.address, { heartbeat: false });
      await first;
      const arrival = nextPeer(listener);
      await RawPeer.ready(engines[near].network, listener.address);
      const silent = await arrival;
      const startMs = performance.now();
      expect(await once(silent, 'close')).toMatchObject({ code: 'PAIPAI_ERR_PEER_CLOSED' });
      const silentMs = performance.now() - startMs;
      expect(silentMs).toBeGreaterThan(200);
      expect(silentMs).toBeLessThan(bound(3_000));
      expect(text(await idle.request('echo', bytes('here')))).toBe('here');
      expect(idle.stats().framesReceived).toBeGreaterThan(2);
    });
  });

  if (scheme === 'unix') continue;

  describe(`transport ${near}–${far} over ${over}, a process that stops and a wire that breaks`, () => {
    test('SIGSTOP: noticed by the heartbeat, and found again after SIGCONT', async () => {
      const { child, address } = await process_(setting);
      const peer = await connecting(setting, address, {
        heartbeat: { intervalMs: 50, timeoutMs: 300 },
        reconnect: { backoffMs: 10, backoffMsMax: 50 },
      });
      const dropped = once(peer, 'drop');
      expect(await codesUnderWay(peer, () => child.kill('SIGSTOP'))).toEqual(tenClosed);
      expect(await dropped).toMatchObject({ code: 'PAIPAI_ERR_PEER_CLOSED' });
      const waiting = peer.request('echo', bytes('back'));
      child.kill('SIGCONT');
      expect(text(await waiting)).toBe('back');
    });

    // Of what goes through memory the wire sees nothing.
    if (!sharesMemory)
      test.each(['cut', 'reset'] as const)('in the middle of a frame: %s', async (how) => {
        const listener = await listening(setting, echo);
        const wire = await wireTo(listener.address);
        const arrival = nextPeer(listener);
        const peer = await connecting(setting, wire.address);
        const farClosed = once<Error>(await arrival, 'close');
        const nearClosed = once<Error>(peer, 'close');
        const broken = event<void>();
        wire.after(10_000, (client, server) => {
          if (how === 'cut') {
            server.end();
            client.destroy();
          } else {
            server.resetAndDestroy();
            client.resetAndDestroy();
          }
          broken.fire();
        });
        const failure = codeOf(peer.request('echo', pattern(100_000)));
        await broken.promise;
        expect(await failure).toBe('PAIPAI_ERR_PEER_CLOSED');
        expect(await farClosed).toMatchObject({
          code: how === 'cut' ? 'PAIPAI_ERR_FRAME_TRUNCATED' : 'PAIPAI_ERR_PEER_CLOSED',
        });
        expect(await nearClosed).toMatchObject({ code: 'PAIPAI_ERR_PEER_CLOSED' });
        const again = await connecting(setting, listener.address);
        expect(text(await again.request('echo', bytes('on')))).toBe('on');
      });

    test('half-closed without a goodbye', async () => {
      const listener = await listening(setting, echo);
      const wire = await wireTo(listener.address);
      const arrival = nextPeer(listener);
      const peer = await connecting(setting, wire.address);
      const ends = [once(await arrival, 'close'), once(peer, 'close')];
      // The last words of the handshake pass the wire too.
      await peer.request('echo');
      wire.sockets[1].end();
      for (const end of ends) {
        expect(await end).toMatchObject({ code: 'PAIPAI_ERR_PEER_CLOSED' });
      }
    });

    test.each(['connected', 'reconnecting'])(
      'an unreferenced peer that is %s keeps no process',
      async (how) => {
        const listener = await listening(setting, echo);
        const program = `import(${entry}).then(async ({ connect }) => {
        const reconnect = { backoffMs: 60_000, backoffMsMax: 60_000, jitter: 0 };
        const peer = await connect(${JSON.stringify(listener.address)}, { engine: '${near}', reconnect });
        await peer.request('echo');
        if ('${how}' === 'connected') return peer.unref();
        peer.once('drop', () => setImmediate(() => peer.unref()));
        process.stdout.write('ready');
      });`;
        const child = spawn(process.execPath, ['-e', program], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        onTestFinished(() => void child.kill('SIGKILL'));
        child.stdout.once('data', () => void listener.close(0));
        expect(await once(child, 'close')).toBe(0);
      },
    );
  });
}
