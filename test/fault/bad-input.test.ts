import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { connect, type Listener, listen, type Peer } from '../../dist/api/transport.js';
import { bytes, codeOf, codeThrown, text } from '../support/session-pair.js';

const engineNames = ['native', 'js'] as const;
type EngineName = (typeof engineNames)[number];

const folder = mkdtempSync(join(tmpdir(), 'paipainet-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Bytes whose memory has gone to somebody else. */
function transferredAway(): Uint8Array {
  const view = new Uint8Array(64);
  structuredClone(view.buffer, { transfer: [view.buffer] });
  return view;
}

async function pair(engine: EngineName): Promise<{ listener: Listener; near: Peer }> {
  const listener = await listen('tcp://127.0.0.1:0', {
    engine,
    methods: { echo: (payload) => payload, never: () => new Promise<Uint8Array>(() => {}) },
    onStream: async (stream) => {
      for await (const chunk of stream) await stream.write(chunk);
      stream.end();
    },
  });
  onTestFinished(() => listener.close(0));
  const near = await connect(listener.address, { engine });
  onTestFinished(() => near.destroy());
  return { listener, near };
}

const broken = {
  scheme: fc.constantFrom(
    '',
    'tcp',
    'tcp:',
    'tcp:/',
    'TCP://',
    'udp://',
    'unix:/',
    ' tcp://',
    'shm://',
  ),
  host: fc.constantFrom(
    '',
    ' ',
    'a b',
    'a/b',
    'a?b',
    'a#b',
    'u@h',
    '::1',
    '[',
    '[::1',
    '::1]',
    '[]',
    '[g::1]',
    '[127.0.0.1]',
    '\n',
  ),
  port: fc.oneof(
    fc.constantFrom('', 'x', '-1', '+1', '1.5', '0x50', '1e3', '65536', '٣', ' 80', '80 '),
    fc.integer({ min: 65_536, max: 10 ** 9 }).map(String),
  ),
  rest: fc.constantFrom('/path', '?query', '#hash', ':1', '//', '\0'),
  path: fc.oneof(
    fc.constantFrom('', 'relative', './here', 'a\0b', '/a\0b'),
    fc.integer({ min: 108, max: 2_000 }).map((length) => `/${'x'.repeat(length - 1)}`),
  ),
};

describe('addresses', () => {
  test('with any part malformed are refused before anything is tried', async () => {
    const address = fc.oneof(
      broken.scheme.map((scheme) => `${scheme}127.0.0.1:1`),
      broken.host.map((host) => `tcp://${host}:1`),
      broken.port.map((port) => `tcp://127.0.0.1:${port}`),
      broken.rest.map((rest) => `tcp://127.0.0.1:1${rest}`),
      broken.path.map((path) => `unix://${path}`),
      fc.anything().filter((value) => typeof value !== 'string'),
    );
    await fc.assert(
      fc.asyncProperty(address, async (malformed) => {
        const tried = [listen(malformed as string), connect(malformed as string)];
        const invalid = 'PAIPAI_ERR_INVALID_ADDRESS';
        expect(await Promise.all(tried.map(codeOf))).toEqual([invalid, invalid]);
      }),
      { numRuns: 500 },
    );
  });

  describe.each(engineNames)('of Unix sockets, %s', (engine) => {
    test('a path of 107 bytes is listened on', async () => {
      const path = join(folder, engine).padEnd(107, 'x');
      const listener = await listen(`unix://${path}`, { engine });
      await (await connect(listener.address, { engine })).close();
      await listener.close();
    });

    test('a socket that somebody who was killed left behind', async () => {
      const address = `unix://${join(folder, `${engine}-left.sock`)}`;
      const entry = new URL('../../dist/api/transport.js', import.meta.url).href;
      const program = `import { listen } from ${JSON.stringify(entry)};
        await listen('${address}', { engine: '${engine}' });
        process.kill(process.pid, 'SIGKILL');`;
      const child = spawn(process.execPath, ['--input-type=module', '-e', program]);
      await new Promise((resolve) => child.once('exit', resolve));
      await expect(connect(address, { engine })).rejects.toMatchObject({ code: 'ECONNREFUSED' });
      // Not removed by itself: it might be that of somebody who is only slow.
      await expect(listen(address, { engine })).rejects.toMatchObject({ code: 'EADDRINUSE' });
      rmSync(address.slice('unix://'.length));
      await (await listen(address, { engine })).close();
    });

    test('something else in the way, or nothing to be in', async () => {
      const file = join(folder, `${engine}-file`);
      writeFileSync(file, 'kept');
      const directory = join(folder, `${engine}-directory`);
      mkdirSync(directory);
      const codesAt = (path: string): Promise<unknown[]> =>
        Promise.all(
          [listen(`unix://${path}`, { engine }), connect(`unix://${path}`, { engine })].map(
            (tried) => tried.catch((error: NodeJS.ErrnoException) => error.code),
          ),
        );
      expect(await codesAt(file)).toEqual(['EADDRINUSE', 'ECONNREFUSED']);
      expect(await codesAt(directory)).toEqual(['EADDRINUSE', 'ECONNREFUSED']);
      const [listening, connecting] = await codesAt(join(folder, 'missing', 'a.sock'));
      expect(['ENOENT', 'EACCES']).toContain(listening);
      expect(connecting).toBe('ENOENT');
    });
  });
});

describe.each(engineNames)('payloads, %s', (engine) => {
  test('of any other kind than bytes are refused, and the peer goes on', async () => {
    const { near, listener } = await pair(engine);
    const invalid = 'PAIPAI_ERR_INVALID_ARGUMENT';
    const isOther = (value: unknown): boolean =>
      value !== undefined && !ArrayBuffer.isView(value) && !(value instanceof ArrayBuffer);
    const wrong = fc.oneof(
      fc.anything({ withTypedArray: false }).filter(isOther),
      // Things that look like bytes.
      fc.constantFrom({ length: 3 }, { byteLength: 3, buffer: new ArrayBuffer(3) }, [1, 2], 'text'),
      fc.constantFrom(transferredAway(), transferredAway().buffer),
    );
    await fc.assert(
      fc.asyncProperty(wrong, async (value) => {
        const payload = value as Uint8Array;
        expect(await codeOf(near.request('echo', payload))).toBe(invalid);
        expect(codeThrown(() => near.send('topic', payload))).toBe(invalid);
        expect(codeThrown(() => listener.broadcast('topic', payload))).toBe(invalid);
        expect(codeThrown(() => near.openStream('stream', payload))).toBe(invalid);
      }),
    );
    expect(text(await near.request('echo', bytes('on')))).toBe('on');
    expect(near.stats().requestsInFlight).toBe(0);
  });

  const content = Uint8Array.from({ length: 64 }, (_, i) => i);
  const copyInto = <T extends ArrayBuffer | SharedArrayBuffer>(buffer: T): T => {
    new Uint8Array(buffer).set(content);
    return buffer;
  };
  // The types are those of a language without resizable buffers.
  const Resizable = ArrayBuffer as unknown as new (
    bytes: number,
    options: { maxByteLength: number },
  ) => ArrayBuffer & { resize(bytes: number): void };
  const resizable = new Resizable(128, { maxByteLength: 256 });
  copyInto(resizable);
  const tracking = new Uint8Array(resizable);
  resizable.resize(64);

  test.each<[string, unknown, Uint8Array]>([
    ['a Uint8Array', content, content],
    ['a Buffer of the pool', Buffer.from(content), content],
    ['an ArrayBuffer', copyInto(new ArrayBuffer(64)), content],
    ['a SharedArrayBuffer', copyInto(new SharedArrayBuffer(64)), content],
    [
      'a view of one',
      new Uint8Array(copyInto(new SharedArrayBuffer(64)), 8, 8),
      content.slice(8, 16),
    ],
    ['a DataView', new DataView(copyInto(new ArrayBuffer(64)), 3, 5), content.slice(3, 8)],
    ['a Float64Array', new Float64Array(copyInto(new ArrayBuffer(64)), 8, 2), content.slice(8, 24)],
    ['a resizable ArrayBuffer that shrank', tracking, content],
    ['nothing at all', new Uint8Array(0), new Uint8Array(0)],
  ])('%s arrives as its bytes', async (_, payload, expected) => {
    const { near } = await pair(engine);
    const sent = payload as Uint8Array;
    expect(Buffer.compare(await near.request('echo', sent), expected)).toBe(0);
    const stream = near.openStream('echo', sent);
    await stream.write(sent);
    stream.end(sent);
    const chunks: Uint8Array[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(Buffer.compare(Buffer.concat(chunks), expected)).toBe(0);
  });
});

describe.each(engineNames)('deadlines, %s', (engine) => {
  test.each([
    0,
    -0,
    -1,
    -Infinity,
    NaN,
    2 ** 31,
    2 ** 53,
    Number.MAX_VALUE,
    '5',
    null,
    {},
    [5],
    5n,
    true,
  ])('%o is none', async (value) => {
    const { near } = await pair(engine);
    const options = { deadlineMs: value as number };
    const invalid = 'PAIPAI_ERR_INVALID_ARGUMENT';
    expect(await codeOf(near.request('echo', undefined, options))).toBe(invalid);
    expect(codeThrown(() => near.openStream('echo', undefined, options))).toBe(invalid);
    expect(near.stats()).toMatchObject({ requestsInFlight: 0, streamsOpen: 0 });
  });

  test.each([2 ** 31 - 1, Infinity])('%d is one, and does not pass at once', async (deadlineMs) => {
    const { near } = await pair(engine);
    expect(text(await near.request('echo', bytes('in time'), { deadlineMs }))).toBe('in time');
    const forever = near.request('never', undefined, { deadlineMs });
    const passed = codeOf(near.request('never', undefined, { deadlineMs: 50 }));
    expect(await Promise.race([codeOf(forever), passed])).toBe('PAIPAI_ERR_DEADLINE');
    expect(near.stats().requestsInFlight).toBe(1);
    near.destroy();
    expect(await codeOf(forever)).toBe('PAIPAI_ERR_PEER_CLOSED');
  });

  test('the shortest passes', async () => {
    const { near } = await pair(engine);
    const deadlineMs = Number.MIN_VALUE;
    expect(await codeOf(near.request('never', undefined, { deadlineMs }))).toBe(
      'PAIPAI_ERR_DEADLINE',
    );
    expect(await codeOf(near.openStream('echo', undefined, { deadlineMs }).ended)).toBe(
      'PAIPAI_ERR_DEADLINE',
    );
  });
});
