import { connect as connectSocket, createServer, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { parseAddress } from '../../dist/transport/address.js';
import type { FrameChannel } from '../../dist/transport/frame-channel.js';
import { crc32c } from '../../dist/wire/crc32c.js';
import { FrameType } from '../../dist/wire/frame.js';
import {
  collectUntil,
  nativeNetwork,
  nativePair,
  openDescriptors,
  patternBytes,
  receiver,
  turnsUntil,
  unixAddress,
} from './native-pair.js';

const network = nativeNetwork();
const bulkBytes = 4 * 1024 * 1024;

describe('memory that JS has dropped', () => {
  it('is sent whole by sendBulk, and then let go', async () => {
    const [client, server] = await nativePair(network);
    const target = new Uint8Array(bulkBytes);
    let landed = 0;
    server.receiver = receiver({ onSink: (_stream, landedBytes) => (landed = landedBytes) });
    server.setSink(5, target);
    let sent: Error | null | undefined;
    // In a function of its own, so that no variable holds the bytes.
    const dropped = (() => {
      const bytes = patternBytes(bulkBytes, 1);
      client.sendBulk(5, bytes, (error) => (sent = error));
      return new WeakRef(bytes);
    })();
    await collectUntil(() => landed === bulkBytes);
    expect(crc32c(target)).toBe(crc32c(patternBytes(bulkBytes, 1)));
    await collectUntil(() => sent === null && dropped.deref() === undefined);
  });

  it.each(['send', 'sendBulkFrame'])('is sent whole by %s, and then let go', async (how) => {
    const [client, server] = await nativePair(network);
    let sum = 0;
    server.receiver = receiver({
      onFrame: ({ bytes, start, end }) => (sum = crc32c(bytes.subarray(start, end))),
    });
    const dropped = (() => {
      const bytes = patternBytes(bulkBytes, 2);
      if (how === 'send') client.send(FrameType.message, 0, 1, 0, 0, bytes);
      else client.sendBulkFrame(FrameType.message, 1, bytes, () => {});
      return new WeakRef(bytes);
    })();
    await collectUntil(() => sum !== 0);
    expect(sum).toBe(crc32c(patternBytes(bulkBytes, 2)));
    await collectUntil(() => dropped.deref() === undefined);
  });

  it('is still written by a sink, until that is cleared', async () => {
    const [client, server] = await nativePair(network);
    let sum = 0;
    let landed = 0;
    server.receiver = receiver({
      onSink: (_stream, landedBytes, crc) => {
        landed = landedBytes;
        sum = crc;
      },
    });
    const dropped = (() => {
      const target = new Uint8Array(bulkBytes);
      server.setSink(5, target);
      return new WeakRef(target);
    })();
    const bytes = patternBytes(bulkBytes, 3);
    client.sendBulk(5, bytes, () => {});
    await collectUntil(() => landed === bulkBytes);
    expect(sum).toBe(crc32c(bytes));
    expect(dropped.deref()?.length).toBe(bulkBytes);
    server.clearSink(5);
    await collectUntil(() => dropped.deref() === undefined);
  });

  it('is received in again once it is given back, and not before', async () => {
    const [client, server] = await nativePair(network);
    const came: Uint8Array[] = [];
    server.receiver = receiver({ onFrame: ({ bytes }) => void came.push(bytes) });
    // The same for all, so that only what is received is new memory.
    const payload = patternBytes(bulkBytes, 1);
    const send = async (first: number, byteCount = bulkBytes): Promise<Uint8Array> => {
      const before = came.length;
      payload[0] = first;
      client.send(FrameType.message, 0, 1, 0, 0, payload.subarray(0, byteCount));
      await turnsUntil(() => came.length > before);
      expect(crc32c(came[before]!)).toBe(crc32c(payload.subarray(0, byteCount)));
      return came[before]!;
    };
    const kept = await send(0);
    const keptSum = crc32c(kept);
    const before = process.memoryUsage().arrayBuffers;
    let last = await send(1);
    for (let i = 2; i < 30; i++) {
      server.reuse!(last);
      // Whoever still looks at it sees nothing, and cannot take it away.
      expect(last.length).toBe(0);
      last = await send(i);
    }
    // Garbage of earlier tests may go meanwhile, but nothing else comes.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 * bulkBytes);
    server.reuse!(last);
    server.reuse!(last);
    // Of another size: nothing of one payload lies behind another.
    const shorter = await send(30, bulkBytes - 100);
    expect(shorter.buffer.byteLength).toBe(shorter.length);
    expect(crc32c(kept)).toBe(keptSum);
  });

  it('is kept for later payloads only up to 16 MiB', async () => {
    const [client, server] = await nativePair(network);
    const dropped: WeakRef<ArrayBufferLike>[] = [];
    server.receiver = receiver({
      onFrame: ({ bytes }) => void dropped.push(new WeakRef(bytes.buffer)),
    });
    for (let i = 0; i < 6; i++)
      client.send(FrameType.message, 0, 1, 0, 0, patternBytes(bulkBytes, i));
    await turnsUntil(() => dropped.length === 6);
    for (const one of dropped) {
      const buffer = one.deref();
      if (buffer !== undefined) server.reuse!(new Uint8Array(buffer));
    }
    await collectUntil(() => dropped.filter((one) => one.deref() !== undefined).length <= 4);
  });

  it('is let go when the channel ends with everything in flight', async () => {
    const [client, server] = await nativePair(network);
    server.pause();
    const closed: (Error | null)[] = [];
    const results: (Error | null)[] = [];
    client.receiver = receiver({ onClose: (error) => closed.push(error) });
    const dropped = (() => {
      const bytes = [1, 2, 3, 4].map(() => new Uint8Array(bulkBytes));
      client.sendBulk(5, bytes[0]!, (error) => results.push(error));
      client.sendBulk(7, bytes[1]!, (error) => results.push(error));
      client.send(FrameType.message, 0, 1, 0, 0, bytes[2]!);
      client.setSink(9, bytes[3]!);
      return bytes.map((each) => new WeakRef(each));
    })();
    await new Promise((resolve) => setImmediate(resolve));
    client.destroy();
    await collectUntil(() => dropped.every((each) => each.deref() === undefined));
    expect(closed).toEqual([null]);
    expect(results).toHaveLength(2);
    for (const error of results) expect(error).toMatchObject({ code: 'PAIPAI_ERR_CLOSED' });
  });
});

describe('calls from inside a delivery', () => {
  it('end the own and another channel; nothing follows, onClose once each', async () => {
    const [client, server] = await nativePair(network);
    const [otherClient, otherServer] = await nativePair(network);
    const seen: string[] = [];
    server.receiver = receiver({
      onFrame: () => {
        seen.push('frame');
        server.destroy();
        otherServer.destroy();
      },
      onClose: () => seen.push('close'),
    });
    otherServer.receiver = receiver({
      onFrame: () => seen.push('other frame'),
      onClose: () => seen.push('other close'),
    });
    // One batch: both write before the loop turns.
    for (let i = 0; i < 100; i++) client.send(FrameType.message, 0, 1, 0, 0, new Uint8Array(100));
    client.sendBulk(5, new Uint8Array(bulkBytes), () => {});
    for (let i = 0; i < 3; i++) client.send(FrameType.message, 0, 1, 0, 0, new Uint8Array(100_000));
    await turnsUntil(() => seen.includes('close') && seen.includes('other close'));
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(seen.filter((each) => each === 'frame')).toHaveLength(1);
    expect(seen.filter((each) => each === 'close')).toHaveLength(1);
    expect(seen.filter((each) => each === 'other close')).toHaveLength(1);
    otherClient.destroy();
  });

  it('may send everything there is, flush, and close in order', async () => {
    const [client, server] = await nativePair(network);
    const large = patternBytes(100_000, 4);
    server.receiver = receiver({
      onFrame: () => {
        server.send(FrameType.message, 0, 1, 0, 1, new Uint8Array(10));
        server.flush();
        server.send(FrameType.message, 0, 1, 0, 2, large);
        server.sendBulk(5, large, () => {});
        server.send(FrameType.message, 0, 1, 0, 3);
        server.close();
      },
    });
    const args: number[] = [];
    let bulk = 0;
    const closed = new Promise((resolve) => {
      client.receiver = receiver({
        onFrame: ({ type, argument, start, end }) => {
          if (type === FrameType.streamData) bulk += end - start;
          else args.push(argument);
        },
        onClose: resolve,
      });
    });
    client.send(FrameType.message, 0, 1, 0, 0);
    expect(await closed).toBeNull();
    expect(args).toEqual([1, 2, 3]);
    expect(bulk).toBe(large.length);
  });
});

it('opens and closes 1,000 connections, and nothing stays behind', async () => {
  const address = unixAddress();
  let closedCount = 0;
  const listener = await network.listen(address, (channel) => {
    channel.receiver = receiver({
      onFrame: () => channel.send(FrameType.message, 0, 1, 0, 0),
      onClose: () => closedCount++,
    });
  });
  const before = openDescriptors();
  const one = async (): Promise<void> => {
    const channel = await network.connect(address);
    await new Promise<void>((resolve) => {
      channel.receiver = receiver({ onFrame: () => channel.close(), onClose: () => resolve() });
      channel.send(FrameType.message, 0, 1, 0, 0);
    });
  };
  for (let i = 0; i < 100; i++) await Promise.all(Array.from({ length: 10 }, one));
  await turnsUntil(() => closedCount === 1000);
  await listener.close();
  await turnsUntil(() => openDescriptors() < before);
});

/** A raw socket to a native listener, and the channel at its other end. */
async function rawPair(): Promise<[Socket, FrameChannel]> {
  let accept!: (channel: FrameChannel) => void;
  const accepted = new Promise<FrameChannel>((resolve) => {
    accept = resolve;
  });
  const listener = await network.listen(parseAddress('tcp://127.0.0.1:0'), (channel) => {
    channel.receiver = receiver();
    accept(channel);
  });
  if (listener.address.scheme !== 'tcp') throw new Error('not a TCP listener');
  const socket = connectSocket(listener.address.port, '127.0.0.1');
  const channel = await accepted;
  await listener.close();
  return [socket, channel];
}

it('notices a reset that comes behind more bytes than one receive takes', async () => {
  const [socket, channel] = await rawPair();
  channel.pause();
  await new Promise((resolve) => setImmediate(resolve));
  const wire = await firstBytesOf(400_000);
  await new Promise((resolve) => socket.write(wire, resolve));
  const closed = new Promise((resolve) => {
    channel.receiver = receiver({ onClose: resolve });
  });
  socket.on('error', () => {});
  socket.resetAndDestroy();
  await new Promise((resolve) => socket.once('close', resolve));
  channel.resume();
  expect(await closed).toMatchObject({ code: 'PAIPAI_ERR_PEER_CLOSED' });
});

/** What a native channel puts on the wire for messages of 1 KiB, cut off at `byteCount`. */
async function firstBytesOf(byteCount: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  let done!: () => void;
  const whole = new Promise<void>((resolve) => {
    done = resolve;
  });
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (piece) => {
      pieces.push(piece);
      size += piece.length;
      if (size >= byteCount) done();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const channel = await network.connect(parseAddress(`tcp://127.0.0.1:${port}`));
  channel.receiver = receiver();
  for (let i = 0; i < byteCount; i += 1024)
    channel.send(FrameType.message, 0, 1, 0, 0, new Uint8Array(1024));
  await whole;
  channel.destroy();
  server.close();
  return Buffer.concat(pieces).subarray(0, byteCount);
}

it('gives every connection its turn when many flood', async () => {
  const connectionCount = 40;
  const received = new Array<number>(connectionCount).fill(0);
  const clients: FrameChannel[] = [];
  const payload = new Uint8Array(8192);
  let done = false;
  for (let i = 0; i < connectionCount; i++) {
    const [client, server] = await nativePair(network);
    server.receiver = receiver({
      onFrame: () => {
        received[i]!++;
      },
    });
    clients.push(client);
  }
  const fill = (client: FrameChannel): void => {
    while (!done && client.queuedBytes < 512 * 1024)
      client.send(FrameType.message, 0, 1, 0, 0, payload);
  };
  for (let turn = 0; turn < 60; turn++) {
    for (const client of clients) fill(client);
    await new Promise((resolve) => setImmediate(resolve));
  }
  done = true;
  const most = Math.max(...received);
  const least = Math.min(...received);
  expect(most).toBeGreaterThan(50);
  expect(least).toBeGreaterThan(most / 4);
  for (const client of clients) client.destroy();
});
