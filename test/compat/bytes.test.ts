import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import nodeNet from 'node:net';
import { TLSSocket } from 'node:tls';
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
