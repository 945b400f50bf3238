import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { connectPeer } from '../../dist/session/connect.js';
import { listenPeers } from '../../dist/session/listen.js';
import type { IncomingRequest, Peer } from '../../dist/session/types.js';
import { PortableNetwork } from '../../dist/transport/portable-network.js';
import { crc32c } from '../../dist/wire/crc32c.js';
import { FrameType, frameHeaderBytes, writeFrameHeader } from '../../dist/wire/frame.js';
import { encodeHello } from '../../dist/wire/hello.js';
import { codeOf, event, sessionPair } from '../support/session-pair.js';
import { testEnv } from '../support/test-env.js';
import { sessionContract } from './session-contract.js';

const folder = mkdtempSync(join(tmpdir(), 'paipai-'));
afterAll(() => rmSync(folder, { recursive: true }));
let socketCount = 0;

sessionContract('portable TCP', () => ({
  listen: new PortableNetwork(),
  connect: new PortableNetwork(),
  address: 'tcp://127.0.0.1:0',
}));

sessionContract('a portable Unix socket', () => ({
  listen: new PortableNetwork(),
  connect: new PortableNetwork(),
  address: `unix://${join(folder, `${++socketCount}.sock`)}`,
}));

describe('strangers on a socket', () => {
  const env = testEnv(new PortableNetwork());

  test('an HTTP server that answers is called what it is', async () => {
    const server = createHttpServer((_, response) => response.end('hello'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const connecting = connectPeer(env, `tcp://127.0.0.1:${port}`, { nodeId: 'a' });
    expect(await codeOf(connecting)).toBe('PAIPAI_ERR_FRAME_MAGIC');
    server.close();
  });

  test('a server that never says a word', async () => {
    const server = createServer(() => {});
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const options = { nodeId: 'a', handshakeTimeoutMs: 30 };
    const connecting = connectPeer(env, `tcp://127.0.0.1:${port}`, options);
    expect(await codeOf(connecting)).toBe('PAIPAI_ERR_HANDSHAKE_TIMEOUT');
    server.close();
  });

  test('a client that speaks HTTP is dropped, and others are served', async () => {
    const networks = { listen: env.network, connect: env.network, address: 'tcp://127.0.0.1:0' };
    const { near, listener } = await sessionPair({
      networks,
      service: { onRequest: (r) => r.payload },
    });
    const socket = connect(Number(listener.address.split(':').pop()), '127.0.0.1');
    socket.on('error', () => {});
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    socket.resume();
    await new Promise((resolve) => socket.on('close', resolve));
    expect((await near.request('echo', new Uint8Array(3))).length).toBe(3);
    expect(listener.peers.size).toBe(1);
  });

  /** A client made of a socket and the frame encoder: what each call adds goes out as bytes. */
  function rawClient(address: string): {
    frame(type: number, name: number, streamId: number, payload: Uint8Array): Buffer;
    socket: Socket;
    ended: Promise<void>;
  } {
    const socket = connect(Number(address.split(':').pop()), '127.0.0.1');
    socket.on('error', () => {});
    socket.resume();
    onTestFinished(() => void socket.destroy());
    let sequence = 0;
    return {
      socket,
      ended: new Promise((resolve) => socket.on('close', () => resolve())),
      frame(type, name, streamId, payload) {
        const bytes = Buffer.alloc(frameHeaderBytes + payload.length);
        const sum = crc32c(payload);
        writeFrameHeader(bytes, 0, type, 0, name, streamId, sequence++, 0, payload.length, sum);
        bytes.set(payload, frameHeaderBytes);
        return bytes;
      },
    };
  }

  const hello = encodeHello({
    versionMin: 1,
    versionMax: 1,
    features: 0,
    nonce: new Uint8Array(32),
    netName: 'default',
    nodeId: 'raw',
  });
  const none = new Uint8Array(0);

  /** A listener, and its end of a raw client that has finished the handshake. */
  async function welcomed(): Promise<{ client: ReturnType<typeof rawClient>; peer: Peer }> {
    const arrival = event<Peer>();
    const options = { nodeId: 'far', service: { onRequest: (r: IncomingRequest) => r.payload } };
    const listener = await listenPeers(env, 'tcp://127.0.0.1:0', options, arrival.fire);
    onTestFinished(() => listener.close(0));
    const client = rawClient(listener.address);
    client.socket.write(client.frame(FrameType.hello, 0, 0, hello));
    client.socket.write(client.frame(FrameType.ready, 0, 0, none));
    return { client, peer: await arrival.promise };
  }

  test('a client made by hand is served, byte by byte', async () => {
    const { client, peer } = await welcomed();
    client.socket.setNoDelay(true);
    const frames = Buffer.concat([
      client.frame(FrameType.name, 1, 0, new TextEncoder().encode('echo')),
      client.frame(FrameType.request, 1, 1, new Uint8Array(10)),
    ]);
    const answered = new Promise<void>((resolve) => {
      let count = 0;
      client.socket.on('data', (chunk) => {
        count += chunk.length;
        // Hello and ready may still be among them; the answer alone has these.
        if (count >= frameHeaderBytes + 10 && peer.stats().framesSent === 1) resolve();
      });
    });
    for (const byte of frames) client.socket.write(Uint8Array.of(byte));
    await answered;
    expect(peer.stats()).toMatchObject({ framesReceived: 2, framesSent: 1 });
  });

  test.each<[string, (frame: Buffer) => void, string]>([
    [
      'a flipped bit in the payload',
      (b) => b.writeUInt8(1, 32),
      'PAIPAI_ERR_FRAME_PAYLOAD_CHECKSUM',
    ],
    ['a flipped bit in the header', (b) => b.writeUInt8(9, 12), 'PAIPAI_ERR_FRAME_HEADER_CHECKSUM'],
    [
      'a length of 4 GiB',
      (b) => {
        b.writeUInt32LE(0xffff_ffff, 8);
        b.writeUInt32LE(crc32c(b, 0, 28), 28);
      },
      'PAIPAI_ERR_FRAME_TOO_LARGE',
    ],
  ])('%s ends the connection with its reason', async (_, spoil, code) => {
    const { client, peer } = await welcomed();
    const frame = client.frame(FrameType.message, 1, 0, new Uint8Array(10));
    spoil(frame);
    client.socket.write(frame);
    expect(await peer.closed).toMatchObject({ code });
    await client.ended;
  });

  test('a client that hangs up in the middle of a frame', async () => {
    const { client, peer } = await welcomed();
    client.socket.end(client.frame(FrameType.message, 1, 0, none).subarray(0, 20));
    expect(await peer.closed).toMatchObject({ code: 'PAIPAI_ERR_FRAME_TRUNCATED' });
  });
});
