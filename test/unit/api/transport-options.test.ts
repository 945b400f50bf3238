import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test, vi } from 'vitest';
import { connect, listen, type Peer } from '../../../dist/api/transport.js';
import { codeOf } from '../../support/session-pair.js';

const local = 'tcp://127.0.0.1:0';

describe('addresses', () => {
  test.each([
    '',
    'tcp',
    'tcp:',
    'tcp://',
    'tcp://127.0.0.1',
    'tcp://127.0.0.1:',
    'tcp://127.0.0.1:x',
    'tcp://127.0.0.1:-1',
    'tcp://127.0.0.1:65536',
    'tcp://127.0.0.1:1/path',
    'tcp://127.0.0.1:1?query',
    'tcp://user@127.0.0.1:1',
    'tcp://:1',
    'tcp://a b:1',
    'tcp://[::1:1',
    'tcp://[127.0.0.1]:1',
    'tcp://::1:1',
    'TCP://127.0.0.1:1',
    'udp://127.0.0.1:1',
    'http://127.0.0.1:1',
    'shm://x',
    'unix:',
    'unix://',
    'unix://relative',
    'unix:///zero\0byte',
    `unix:///${'x'.repeat(107)}`,
    `tcp://${'x'.repeat(1_100)}:1`,
    undefined,
    null,
    7,
    {},
  ])('%o is none', async (address) => {
    expect(await codeOf(listen(address as string))).toBe('PAIPAI_ERR_INVALID_ADDRESS');
    expect(await codeOf(connect(address as string))).toBe('PAIPAI_ERR_INVALID_ADDRESS');
  });

  test('beyond this machine a secret is asked for', async () => {
    expect(await codeOf(listen('tcp://0.0.0.0:0'))).toBe('PAIPAI_ERR_INSECURE_ADDRESS');
  });

  test('one that is in use, and one where nobody listens', async () => {
    const listener = await listen(local);
    await expect(listen(listener.address)).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await listener.close();
    await expect(connect(listener.address)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
});

const badForBoth: [string, unknown][] = [
  ['name', ''],
  ['name', 'x'.repeat(256)],
  ['name', 1],
  ['nodeId', ''],
  ['secret', ''],
  ['secret', 'x'.repeat(15)],
  ['secret', 7],
  ['engine', 'fast'],
  ['codec', 'json'],
  ['deadlineMs', 0],
  ['deadlineMs', -1],
  ['deadlineMs', Number.NaN],
  ['deadlineMs', '5'],
  ['heartbeat', true],
  ['heartbeat', { intervalMs: 0 }],
  ['handshakeTimeoutMs', 0],
  ['frameBytesMax', 1023],
  ['frameBytesMax', 64 * 1024 * 1024 + 1],
  ['queuedBytesMax', 64 * 1024 - 1],
  ['queuedBytesMax', 2 ** 32 + 1],
  ['queuedBytesMax', Number.POSITIVE_INFINITY],
  ['inFlightBytesMax', 1],
  ['requestsInFlightMax', 0],
  ['requestsInFlightMax', 1.5],
  ['requestsPendingMax', 0],
  ['requestsPendingMax', 2 ** 24 + 1],
  ['streamsMax', 0],
  ['streamsMax', 65_537],
  ['onRequest', 'echo'],
  ['onMessage', {}],
  ['onStream', 1],
  ['methods', 'echo'],
  ['methods', null],
  ['methods', { echo: 'echo' }],
  ['methods', { echo: undefined }],
  ['methods', new Map([['echo', () => {}]])],
  ['methods', [() => {}]],
  ['methods', { '': () => {} }],
  ['topics', { ['x'.repeat(256)]: () => {} }],
  ['fast', { methods: { '': () => {} } }],
  ['topics', { news: 1 }],
  ['noDelay', 1],
  ['keepAlive', true],
  ['keepAlive', 999],
  ['keepAlive', 32_767_001],
  ['noDeley', true],
  ['waiting', { spinMicroSeconds: 5, spinMicroseconds: 5 }],
  ['heartbeat', { interval: 5 }],
  ['fast', { method: {} }],
];

describe('options', () => {
  test.each([null, 'options', 7, []])('%o are none', async (options) => {
    expect(await codeOf(listen(local, options as never))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
    expect(await codeOf(connect(local, options as never))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
  });

  test.each(badForBoth)('%s must not be %o', async (name, value) => {
    const failures = [listen(local, { [name]: value }), connect(local, { [name]: value })];
    for (const failure of failures) {
      await expect(failure).rejects.toMatchObject({
        code: 'PAIPAI_ERR_INVALID_ARGUMENT',
        message: expect.stringContaining(name) as string,
      });
    }
  });

  test.each<[string, unknown]>([
    ['reconnect', false],
    ['slowPeers', 'wait'],
    ['handshakesMax', 0],
  ])('%s of a listener must not be %o', async (name, value) => {
    expect(await codeOf(listen(local, { [name]: value }))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
  });

  test.each<[string, unknown]>([
    ['slowPeers', 'skip'],
    ['reconnect', { retries: 5 }],
    ['reconnect', true],
    ['reconnect', null],
    ['reconnect', { backoffMs: 0 }],
    ['reconnect', { backoffMs: Number.NaN }],
    ['reconnect', { backoffMsMax: 0 }],
    ['reconnect', { backoffMs: 100, backoffMsMax: 99 }],
    ['reconnect', { jitter: 1.1 }],
    ['reconnect', { jitter: true }],
    ['reconnect', { attemptsMax: 0 }],
    ['queuedRequestsMax', -1],
    ['failFast', 'yes'],
    ['connectTimeoutMs', 0],
    ['signal', {}],
  ])('%s of a peer must not be %o', async (name, value) => {
    expect(await codeOf(connect(local, { [name]: value }))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
  });

  test('a signal that has fired connects to nobody', async () => {
    const listener = await listen(local);
    const signal = AbortSignal.abort();
    expect(await codeOf(connect(listener.address, { signal }))).toBe('PAIPAI_ERR_ABORTED');
    await listener.close();
  });
});

describe('paipainet/transport', () => {
  const cwd = fileURLToPath(new URL('../../../', import.meta.url));
  const run = (...args: string[]): string =>
    execFileSync(process.execPath, args, { cwd, encoding: 'utf8' });
  const words = "typeof listen + ' ' + typeof connect + ' ' + typeof PaipaiError";

  test('is imported', () => {
    const program = `import { listen, connect, PaipaiError } from 'paipainet/transport'; console.log(${words});`;
    expect(run('--input-type=module', '-e', program)).toBe('function function function\n');
  });

  test('is required, as an ordinary object with the same classes', () => {
    const program = `const transport = require('paipainet/transport');
      const { listen, connect, PaipaiError } = transport;
      console.log(${words});
      transport.listen = 1;
      console.log(transport.listen, PaipaiError === require('paipainet').PaipaiError);`;
    expect(run('--input-type=commonjs', '-e', program)).toBe(
      'function function function\n1 true\n',
    );
  });
});

/** The timer of the TCP connection from `port`, as /proc/net/tcp numbers them: 2 is that of the keep-alive. */
function timerOf(localPort: number, remotePort: number): number {
  const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0');
  const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n');
  const row = rows.find((line) =>
    line.includes(`0100007F:${hex(localPort)} 0100007F:${hex(remotePort)} 01`),
  );
  return Number.parseInt(row?.match(/ 01 \S+ (\d\d):/)?.[1] ?? '', 16);
}

describe('keepAlive reaches the system', () => {
  test.each(['native', 'js'] as const)('%s', async (engine) => {
    // What the system does shows only in /proc, which others than Linux do not have: there the options are only taken.
    const shows = existsSync('/proc/net/tcp');
    const listener = await listen(local, { engine, keepAlive: 60_000 });
    const peers: Peer[] = [];
    listener.on('peer', (peer) => peers.push(peer));
    const port = Number(new URL(listener.address).port);
    const plain = await connect(listener.address, { engine });
    const kept = await connect(listener.address, { engine, keepAlive: 60_000, noDelay: false });
    // Until the handshake is acknowledged another timer runs.
    await vi.waitFor(() => {
      if (!shows) return;
      const timers = peers.flatMap(({ remoteAddress }) => {
        const remotePort = Number(new URL(remoteAddress).port);
        return [timerOf(port, remotePort), timerOf(remotePort, port)];
      });
      expect(timers).toEqual([2, 0, 2, 2]);
    });
    await Promise.all([plain.close(), kept.close()]);
    await listener.close();
  });
});
