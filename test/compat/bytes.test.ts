import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import nodeNet from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { Worker } from 'node:worker_threads';
import { expect, onTestFinished, test } from 'vitest';
import ownNet from '../../dist/drop-in/net.js';

/** A connection, by default of ours, to a server of the same. */
async function connected(net = ownNet): Promise<[Socket, Socket]> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [[accepted]] = await Promise.all([once(server, 'connection'), once(client, 'connect')]);
  onTestFinished(() => {
    client.destroy();
    accepted.destroy();
    server.close();
  });
  return [client, accepted];
}

function numbered(length: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = seed + i * 31 + (i >>> 8);
  return bytes;
}

/** All that comes, the pieces kept as they are until the end; pauses now and then. */
async function collected(socket: Socket): Promise<Buffer> {
  const pieces: Buffer[] = [];
  socket.on('data', (piece) => {
    pieces.push(piece);
    if (pieces.length % 5 !== 0) return;
    socket.pause();
    setImmediate(() => socket.resume());
  });
  await once(socket, 'end');
  return Buffer.concat(pieces);
}

test('bulk stays what it is for as long as it is kept, on several connections at once', async () => {
  const length = 24 * 1024 * 1024;
  await Promise.all(
    [1, 2, 3].map(async (seed) => {
      const [client, accepted] = await connected();
      const sent = numbered(length, seed);
      const received = collected(accepted);
      for (let at = 0; at < length; at += 1024 * 1024)
        client.write(sent.subarray(at, at + 1024 * 1024));
      client.end();
      expect((await received).equals(sent)).toBe(true);
    }),
  );
});

test('a connection that is destroyed in the middle of bulk takes nothing from the others', async () => {
  const length = 16 * 1024 * 1024;
  for (let round = 0; round < 3; round++) {
    const [[cut, cutReader], [client, accepted]] = await Promise.all([connected(), connected()]);
    cutReader.once('data', () => cutReader.destroy());
    cut.on('error', () => {});
    cut.write(numbered(length, 9));
    const sent = numbered(length, round);
    const received = collected(accepted);
    client.end(sent);
    expect((await received).equals(sent)).toBe(true);
  }
});

const encodings: BufferEncoding[] = [
  'utf8',
  'latin1',
  'ascii',
  'utf16le',
  'hex',
  'base64',
  'base64url',
];

test.each([1, 40, 3000])(
  'chunks of every kind that are corked together arrive as node:net sends them, %i times each',
  async (count) => {
    const text = 'aé€😀 0123456789abcdef==';
    const outcomes = [];
    for (const net of [nodeNet, ownNet]) {
      const [client, accepted] = await connected(net);
      const received = collected(accepted);
      client.cork();
      for (let i = 0; i < count; i++) {
        for (const encoding of encodings) client.write(text, encoding);
        client.write(numbered(i % 50, i));
        client.write('');
        client.write(new Uint8Array(3));
      }
      client.end('the end');
      const bytes = await received;
      outcomes.push([bytes.toString('latin1'), client.bytesWritten, accepted.bytesRead]);
    }
    expect(outcomes[1]).toEqual(outcomes[0]);
  },
);

test.each([10, 100_000])(
  'what a socket is told of its writes of %i bytes is what node:net tells',
  async (length) => {
    const outcomes = [];
    for (const net of [nodeNet, ownNet]) {
      const [client, accepted] = await connected(net);
      const told: unknown[] = [];
      const received = collected(accepted);
      client.on('drain', () => told.push('drain'));
      client.on('finish', () => told.push('finish'));
      const bytes = numbered(length, 1);
      told.push(client.write(bytes, (error) => told.push(['bytes', error])));
      told.push(
        client.write(bytes.toString('latin1'), 'latin1', (error) => told.push(['text', error])),
      );
      told.push(client.write(bytes.toString('hex'), 'hex'), client.write(bytes.toString('latin1')));
      process.nextTick(() => told.push('tick'));
      told.push(client.bytesWritten > 0, client.writableNeedDrain);
      expect(() => client.write('a', 'none' as BufferEncoding)).toThrow();
      client.end(() => told.push('end'));
      told.push((await received).length, client.bytesWritten);
      outcomes.push(told);
    }
    expect(outcomes[1]).toEqual(outcomes[0]);
  },
);

test('a chunk that is detached while it is corked takes nothing from the others', async () => {
  const [client, accepted] = await connected();
  const received = collected(accepted);
  const lost = new Uint8Array(1000);
  client.cork();
  client.write('before, ');
  client.write(lost);
  client.write('behind');
  structuredClone(lost.buffer, { transfer: [lost.buffer] });
  client.uncork();
  client.end();
  expect((await received).toString()).toBe('before, behind');
});

test('a method that is replaced is called for every chunk', async () => {
  const outcomes = [];
  for (const net of [nodeNet, ownNet]) {
    const seen: unknown[] = [];
    class Watched extends net.Socket {
      _writeGeneric(...args: unknown[]): unknown {
        seen.push(['write', String(args[1])]);
        return Reflect.apply(Reflect.get(net.Socket.prototype, '_writeGeneric'), this, args);
      }
      override push(chunk: unknown, encoding?: BufferEncoding): boolean {
        seen.push(['push', String(chunk)]);
        return super.push(chunk, encoding);
      }
    }
    const server = net.createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = new Watched();
    client.connect((server.address() as AddressInfo).port, '127.0.0.1');
    await once(client, 'connect');
    for (const text of ['one', 'two', 'three']) {
      client.write(text);
      await once(client, 'data');
    }
    client.end();
    await once(client, 'close');
    server.close();
    outcomes.push(seen);
  }
  expect(outcomes[1]).toEqual(outcomes[0]);
});

test('bulk that is handed over in the middle of a batch leaves what the others get alone', async () => {
  const length = 8 * 1024 * 1024;
  const bulks = await Promise.all(
    Array.from({ length: 6 }, async (_, seed) => {
      const [client, accepted] = await connected();
      const sent = numbered(length, seed);
      return { client, accepted, sent, received: collected(accepted) };
    }),
  );
  for (const { client, sent } of bulks) client.end(sent);
  // A socket that is given to TLS goes back to Node, with what has come for it and was not handed out.
  for (let round = 0; round < 40; round++) {
    const [client, accepted] = await connected();
    client.write(numbered(300_000, round));
    await once(accepted, 'data');
    setImmediate(() => {
      const wrapped = new TLSSocket(accepted, { isServer: true });
      wrapped.on('error', () => {});
      wrapped.destroy();
      client.destroy();
    });
    client.on('error', () => {});
    accepted.on('error', () => {});
  }
  for (const { sent, received } of bulks) expect((await received).equals(sent)).toBe(true);
});

test('behind the last bytes of a connection that was reset comes what comes with node:net', async () => {
  const outcomes = [];
  for (const net of [nodeNet, ownNet]) {
    // It answers, and ends the connection with most of what was sent unread.
    const server = nodeNet
      .createServer((socket) => {
        socket.once('readable', () => {
          socket.read(1);
          socket.end('answer', () => socket.destroy());
        });
      })
      .listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
    const told: unknown[] = [];
    client.on('data', (bytes) => told.push(`${bytes}`));
    client.on('end', () => told.push('end'));
    client.on('error', ({ message }) => told.push(message));
    client.write(numbered(300_000, 1));
    await once(client, 'close');
    outcomes.push(told);
    server.close();
  }
  expect(outcomes[1]).toEqual(outcomes[0]);
});

/**
 * A connection whose other side is a thread. The accepted socket has sent more than fits, with what `write` writes behind it, when the other side takes
 * all that has left and says 'go'; so it hears in one turn of the loop of those words, and that its write is done. Resolves with how many bytes
 * did not come there, once the connection is closed.
 */
async function stuckInTheMiddle(
  net: typeof nodeNet,
  onGo: (socket: Socket) => void,
  write: (socket: Socket) => void,
): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const said = new Int32Array(new SharedArrayBuffer(4));
  const { port } = server.address() as AddressInfo;
  const worker = new Worker(new URL('./draining-peer.mjs', import.meta.url), {
    workerData: { port, said },
  });
  onTestFinished(async () => {
    await worker.terminate();
    server.close();
  });
  const [socket] = (await once(server, 'connection')) as [Socket];
  onTestFinished(() => void socket.destroy());
  const handle = Reflect.get(socket, '_handle') as { readonly writeQueueSize: number };
  while (handle.writeQueueSize === 0) socket.write(numbered(64 * 1024, 1));
  const sentBytes = socket.bytesWritten - handle.writeQueueSize;
  write(socket);
  const wholeBytes = socket.bytesWritten;
  socket.once('data', () => onGo(socket));
  const counted = once(worker, 'message');
  worker.postMessage({ sentBytes, wholeBytes });
  Atomics.wait(said, 0, 0, 30_000);
  const [bytes] = (await counted) as [number];
  return wholeBytes - bytes;
}

/** Over io_uring the write may be done a turn later; the socket is refused then, and stays as it is. */
function giveToTls(socket: Socket): void {
  try {
    new TLSSocket(socket, { isServer: true }).on('error', () => {});
  } catch (thrown) {
    expect(thrown).toMatchObject({ code: 'PAIPAI_ERR_INVALID_STATE' });
    expect(process.env['PAIPAINET_IO']).toBe('uring');
  }
}

test.each([
  ['node:net', nodeNet],
  ['ours', ownNet],
])('a socket that is given to TLS with more to write loses none of it: %s', async (_name, net) => {
  let error: Error | null | undefined;
  const missing = await stuckInTheMiddle(net, giveToTls, (socket) =>
    socket.write(numbered(8 * 1024 * 1024, 2), (thrown) => (error = thrown)),
  );
  expect(missing).toBe(0);
  expect(error ?? null).toBe(null);
});

test.each([
  ['node:net', nodeNet],
  ['ours', ownNet],
])(
  'a socket that is given to TLS, and destroyed when its write is done, is gone: %s',
  async (_name, net) => {
    const missing = await stuckInTheMiddle(net, giveToTls, (socket) =>
      socket.write('the last of it', () => socket.destroy()),
    );
    expect(missing).toBe(0);
  },
);

test.each([
  ['node:net', nodeNet],
  ['ours', ownNet],
])('TLS can be begun from within the callback of onread: %s', async (_name, net) => {
  const pem = readFileSync(new URL('./apps/localhost.pem', import.meta.url));
  const server = nodeNet
    .createServer((socket) => {
      socket.write('go');
      const secure = new TLSSocket(socket, { isServer: true, key: pem, cert: pem });
      secure.on('data', (bytes) => secure.end(`heard ${bytes}`));
    })
    .listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const read: string[] = [];
  const heard = await new Promise<string>((resolve, reject) => {
    const plain = net.connect({
      port: (server.address() as AddressInfo).port,
      host: '127.0.0.1',
      onread: {
        buffer: Buffer.alloc(4096),
        callback(count, bytes) {
          read.push(Buffer.from(bytes.buffer, bytes.byteOffset, count).toString('latin1'));
          if (read.length > 1) reject(new Error('what is encrypted came to the callback'));
          const secure = connectTls({ socket: plain, rejectUnauthorized: false });
          secure.on('error', reject);
          secure.on('data', (text) => resolve(`${text}`));
          secure.write('hello');
          return true;
        },
      },
    });
    onTestFinished(() => void plain.destroy());
  });
  expect([read, heard]).toEqual([['go'], 'heard hello']);
});
