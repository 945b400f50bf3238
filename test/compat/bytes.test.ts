import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import nodeNet from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import ownNet from '../../dist/drop-in/net.js';

/** A connection of ours to a server of ours. */
async function connected(): Promise<[Socket, Socket]> {
  const server = ownNet.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = ownNet.connect((server.address() as AddressInfo).port, '127.0.0.1');
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
      const server = net.createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      const client = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
      const [[accepted]] = await Promise.all([once(server, 'connection'), once(client, 'connect')]);
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
      server.close();
      accepted.destroy();
    }
    expect(outcomes[1]).toEqual(outcomes[0]);
  },
);

test.each([10, 100_000])(
  'what a socket is told of its writes of %i bytes is what node:net tells',
  async (length) => {
    const outcomes = [];
    for (const net of [nodeNet, ownNet]) {
      const server = net.createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      const client = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
      const [[accepted]] = await Promise.all([once(server, 'connection'), once(client, 'connect')]);
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
      server.close();
      accepted.destroy();
    }
    expect(outcomes[1]).toEqual(outcomes[0]);
  },
);
