import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { type Address, formatAddress } from '../../dist/transport/address.js';
import type {
  ChannelOptions,
  FrameChannel,
  FrameListener,
  Network,
} from '../../dist/transport/frame-channel.js';
import { copyBytesMax, queueBytesHigh, queueBytesLow } from '../../dist/transport/limits.js';
import { crc32c } from '../../dist/wire/crc32c.js';
import {
  chunkBytesMax,
  FrameType,
  frameHeaderBytes,
  writeFrameHeader,
} from '../../dist/wire/frame.js';
import { FrameLog } from '../support/frame-log.js';

export interface ChannelWorld {
  /** One side uses the first, the other side the second; they may be the same. */
  readonly connecting: Network;
  readonly listening: Network;
  /** Where nobody listens yet; a TCP port of 0 leaves the choice to the system. */
  freshAddress(): Address;
  /** Whether a plain socket reaches the addresses, so that it may send what no channel would. */
  readonly hasSockets: boolean;
  /** An expression that makes `connecting` anew in another process; absent when channels never keep one alive. */
  readonly networkSource?: string;
}

const mebibyte = 1024 * 1024;
const { message, streamData, streamEnd, request } = FrameType;

/** What every pair of engines promises above `frame-channel.ts`. */
export function frameChannelContract(name: string, world: ChannelWorld): void {
  const listeners: FrameListener[] = [];
  const channels: FrameChannel[] = [];
  const sockets: Socket[] = [];

  afterEach(async () => {
    for (const channel of channels.splice(0)) channel.destroy();
    for (const socket of sockets.splice(0)) socket.destroy();
    await Promise.all(listeners.splice(0).map((listener) => listener.close()));
  });

  async function listen(options: ChannelOptions = {}, address: Address = world.freshAddress()) {
    const accepted: { channel: FrameChannel; log: FrameLog }[] = [];
    let onAccept = (): void => {};
    const listener = await world.listening.listen(
      address,
      (channel) => {
        const log = new FrameLog();
        channel.receiver = log;
        channels.push(channel);
        accepted.push({ channel, log });
        onAccept();
      },
      options,
    );
    listeners.push(listener);
    const next = async () => {
      while (accepted.length === 0) {
        await new Promise<void>((resolve) => {
          onAccept = resolve;
        });
      }
      return accepted.shift()!;
    };
    return { listener, next };
  }

  async function dial(address: Address, options: ChannelOptions = {}) {
    const channel = await world.connecting.connect(address, options);
    const log = new FrameLog();
    channel.receiver = log;
    channels.push(channel);
    return { channel, log };
  }

  async function pair(nearOptions: ChannelOptions = {}, farOptions: ChannelOptions = nearOptions) {
    const { listener, next } = await listen(farOptions);
    const { channel: near, log: nearLog } = await dial(listener.address, nearOptions);
    const { channel: far, log: farLog } = await next();
    return { near, nearLog, far, farLog, listener };
  }

  function sendBulk(
    channel: FrameChannel,
    streamId: number,
    bytes: Uint8Array,
  ): Promise<Error | null> {
    return new Promise((resolve) => channel.sendBulk(streamId, bytes, resolve));
  }

  describe(name, () => {
    describe('frames', () => {
      test('one frame arrives as it was sent', async () => {
        const { near, farLog } = await pair();
        near.send(request, 0, 5, 7, 30_000, Buffer.from('hello'));
        await farLog.frameCount(1);
        expect(farLog.frames[0]).toMatchObject({
          type: request,
          flags: 0,
          name: 5,
          streamId: 7,
          argument: 30_000,
          payload: new Uint8Array(Buffer.from('hello')),
        });
      });

      test('both directions, and the largest numbers of every field', async () => {
        const { near, nearLog, far, farLog } = await pair();
        near.send(message, 0, 0xffff, 0xffff_ffff, 0xffff_ffff);
        far.send(message, 0, 0, 0, 0);
        await Promise.all([nearLog.frameCount(1), farLog.frameCount(1)]);
        expect(farLog.frames[0]).toMatchObject({
          name: 0xffff,
          streamId: 0xffff_ffff,
          argument: 0xffff_ffff,
        });
        expect(nearLog.frames[0]).toMatchObject({
          name: 0,
          streamId: 0,
          argument: 0,
          payloadBytes: 0,
        });
      });

      test('20,000 frames of one turn arrive in order', async () => {
        const { near, farLog } = await pair();
        const payload = new Uint8Array(28);
        for (let i = 0; i < 20_000; i++) near.send(message, 0, 0, 0, i, payload);
        await farLog.frameCount(20_000);
        expect(farLog.frames.every(({ argument }, i) => argument === i)).toBe(true);
      });

      test('every size up to the limit', async () => {
        const frameBytesMax = mebibyte;
        const { near, farLog } = await pair({ frameBytesMax });
        const around = [copyBytesMax, 65_536, chunkBytesMax].flatMap((n) => [n - 1, n, n + 1]);
        const sizes = [0, 1, 2, 31, 32, 33, ...around, frameBytesMax - 1, frameBytesMax];
        const payloads = sizes.map(counting);
        for (const payload of payloads) near.send(message, 0, 0, 0, 0, payload);
        await farLog.frameCount(sizes.length);
        expect(farLog.frames.map(({ payloadBytes }) => payloadBytes)).toEqual(sizes);
        expect(farLog.frames.map((f) => f.payloadCrc32c)).toEqual(payloads.map((p) => crc32c(p)));
      });

      test('a byte above the limit is refused to the caller, and the channel goes on', async () => {
        const { near, farLog } = await pair({ frameBytesMax: 1024 });
        expect(() => near.send(message, 0, 0, 0, 0, new Uint8Array(1025))).toThrowError(
          expect.objectContaining({ code: 'PAIPAI_ERR_FRAME_TOO_LARGE' }),
        );
        near.send(message, 0, 0, 0, 1, new Uint8Array(1024));
        await farLog.frameCount(1);
        expect(farLog.frames[0]?.argument).toBe(1);
      });

      test('a receiver may lower and raise what it takes', async () => {
        const { near, far, farLog } = await pair();
        far.limitReceived(100);
        near.send(message, 0, 0, 0, 0, new Uint8Array(100));
        await farLog.frameCount(1);
        far.limitReceived(200_000);
        near.send(message, 0, 0, 0, 0, new Uint8Array(200_000));
        await farLog.frameCount(2);
        far.limitReceived(100);
        near.send(message, 0, 0, 0, 0, new Uint8Array(101));
        expect(await farLog.closed()).toMatchObject({ code: 'PAIPAI_ERR_FRAME_TOO_LARGE' });
      });

      test('a frame above the limit of the receiver ends the connection there', async () => {
        const { near, nearLog, farLog } = await pair(
          { frameBytesMax: 4096 },
          { frameBytesMax: 1024 },
        );
        near.send(message, 0, 0, 0, 0, new Uint8Array(1025));
        expect(await farLog.closed()).toMatchObject({ code: 'PAIPAI_ERR_FRAME_TOO_LARGE' });
        await nearLog.closed();
        expect(farLog.frames).toEqual([]);
      });

      test('a limit out of range is refused', async () => {
        for (const frameBytesMax of [1023, 64 * mebibyte + 1, 1024.5]) {
          await expect(listen({ frameBytesMax })).rejects.toMatchObject({
            code: 'PAIPAI_ERR_INVALID_ARGUMENT',
          });
        }
      });

      test('a small payload may be written over at once', async () => {
        const { near, farLog } = await pair();
        const payload = counting(copyBytesMax);
        const sum = crc32c(payload);
        near.send(message, 0, 0, 0, 0, payload);
        payload.fill(0xee);
        await farLog.frameCount(1);
        expect(farLog.frames[0]?.payloadCrc32c).toBe(sum);
      });

      test('frames that answer frames keep going back and forth', async () => {
        const { near, far, nearLog } = await pair();
        far.receiver = answering(far);
        for (let i = 0; i < 200; i++) {
          near.send(message, 0, 0, 0, i, counting(i));
          await nearLog.frameCount(i + 1);
        }
        expect(nearLog.frames.map(({ argument }) => argument)).toEqual(
          Array.from({ length: 200 }, (_, i) => i),
        );
      });

      test('flush sends before the turn is over', async () => {
        const { near, farLog } = await pair();
        near.send(message, 0, 0, 0, 1);
        near.flush();
        near.send(message, 0, 0, 0, 2);
        await farLog.frameCount(2);
        expect(farLog.frames.map(({ argument }) => argument)).toEqual([1, 2]);
      });
    });

    describe('bulk', () => {
      test('arrives as chunks of stream data, in order', async () => {
        const { near, farLog } = await pair();
        const bytes = counting(3 * chunkBytesMax + 5);
        expect(await sendBulk(near, 9, bytes)).toBeNull();
        const sumOf = (from: number): number =>
          crc32c(bytes, from, Math.min(bytes.length, from + chunkBytesMax));
        const total = (): number =>
          farLog.frames.reduce((sum, frame) => sum + frame.payloadBytes, 0);
        await farLog.until(() => total() === bytes.length);
        let at = 0;
        for (const { type, streamId, payloadBytes, payloadCrc32c } of farLog.frames) {
          expect([type, streamId]).toEqual([streamData, 9]);
          expect(payloadBytes).toBeLessThanOrEqual(chunkBytesMax);
          if (payloadBytes === chunkBytesMax) expect(payloadCrc32c).toBe(sumOf(at));
          at += payloadBytes;
        }
      });

      test('of no bytes is sent without a frame', async () => {
        const { near, farLog } = await pair();
        expect(await sendBulk(near, 9, new Uint8Array(0))).toBeNull();
        near.send(message, 0, 0, 0, 1);
        await farLog.frameCount(1);
        expect(farLog.frames).toMatchObject([{ type: message }]);
      });

      test('urgent frames overtake it', async () => {
        const { near, far, farLog } = await pair();
        const target = new Uint8Array(64 * mebibyte);
        far.setSink(9, target);
        const bytes = new Uint8Array(target.length).fill(3);
        const sent = sendBulk(near, 9, bytes);
        near.send(message, 0, 0, 0, 1);
        await farLog.until(() => farLog.landedBytes > 0);
        near.send(message, 0, 0, 0, 2);
        expect(await sent).toBeNull();
        await farLog.until(() => farLog.landedBytes === target.length);
        expect(farLog.frames.map(({ argument }) => argument)).toEqual([1, 2]);
        expect(farLog.frames[1]!.landedBefore).toBeLessThan(target.length / 2);
        expect(Buffer.compare(target, bytes)).toBe(0);
      });

      test('many bulks go out one after the other', async () => {
        const { near, farLog } = await pair();
        const order: number[] = [];
        const sends = Array.from({ length: 50 }, (_, i) =>
          sendBulk(near, i, counting(1000 * i + 1)).then((error) => {
            expect(error).toBeNull();
            order.push(i);
          }),
        );
        await Promise.all(sends);
        await farLog.frameCount(50);
        expect(order).toEqual(Array.from({ length: 50 }, (_, i) => i));
        expect(farLog.frames.map(({ payloadBytes }) => payloadBytes)).toEqual(
          order.map((i) => 1000 * i + 1),
        );
      });
    });

    describe('frames of the bulk lane', () => {
      function sendBulkFrame(channel: FrameChannel, index: number, bytes: Uint8Array) {
        return new Promise<Error | null>((resolve) =>
          channel.sendBulkFrame(message, index, bytes, resolve),
        );
      }

      test('arrive whole, of every length, in order with bulk', async () => {
        const { near, farLog } = await pair();
        const lengths = [0, 1, copyBytesMax, copyBytesMax + 1, chunkBytesMax + 1, 3 * mebibyte, 5];
        const payloads = lengths.map((length) => counting(length));
        const sent = payloads.map((payload, i) => sendBulkFrame(near, i + 1, payload));
        sent.push(sendBulk(near, 9, counting(10)), sendBulkFrame(near, 100, counting(7)));
        for (const error of await Promise.all(sent)) expect(error).toBeNull();
        await farLog.frameCount(lengths.length + 2);
        const told = farLog.frames.map(({ name, payloadBytes }) => [name, payloadBytes]);
        expect(told).toEqual([...lengths.map((n, i) => [i + 1, n]), [0, 10], [100, 7]]);
        const sums = farLog.frames.slice(0, payloads.length).map((f) => f.payloadCrc32c);
        expect(sums).toEqual(payloads.map((payload) => crc32c(payload)));
      });

      test('10,000 short ones of one turn arrive, and what was sent behind them overtakes most', async () => {
        const { near, farLog } = await pair();
        const payload = counting(500);
        const sent = Array.from({ length: 10_000 }, () => sendBulkFrame(near, 1, payload));
        near.send(request, 0, 5, 7, 0);
        for (const error of await Promise.all(sent)) expect(error).toBeNull();
        await farLog.frameCount(10_001);
        expect(farLog.frames.findIndex(({ type }) => type === request)).toBeLessThan(1_000);
        expect(near.queuedBytes).toBe(0);
      });

      test('come before the end of a channel that is closed behind them', async () => {
        const { near, farLog } = await pair();
        const sent = Array.from({ length: 20 }, () => sendBulkFrame(near, 1, counting(mebibyte)));
        near.close();
        await farLog.closed();
        expect(farLog.frames.length).toBe(20);
        for (const error of await Promise.all(sent)) expect(error).toBeNull();
      });

      test('settle once when the channel breaks', async () => {
        const { near, nearLog, far } = await pair();
        far.pause();
        const told = new Map<number, (Error | null)[]>();
        const send = (i: number, byteCount: number): void =>
          near.sendBulkFrame(message, 1, counting(byteCount), (error) => {
            told.set(i, [...(told.get(i) ?? []), error]);
          });
        for (let i = 0; i < 50; i++) send(i, mebibyte);
        near.destroy(new Error('enough'));
        send(50, 5);
        await nearLog.closed();
        while (told.size < 51) await new Promise(setImmediate);
        expect([...told.values()].every(({ length }) => length === 1)).toBe(true);
        expect(told.get(49)).toMatchObject([{ message: 'enough' }]);
        expect(told.get(50)?.[0]).toBeInstanceOf(Error);
      });

      test('a byte above the limit is refused to the caller', async () => {
        const { near } = await pair({ frameBytesMax: 1024 });
        const refused = () => near.sendBulkFrame(message, 1, new Uint8Array(1025), () => {});
        expect(refused).toThrowError(
          expect.objectContaining({ code: 'PAIPAI_ERR_FRAME_TOO_LARGE' }),
        );
        expect(near.queuedBytes).toBe(0);
      });
    });

    describe('sinks', () => {
      test('bytes land in their target with the sum over all of them', async () => {
        const { near, far, farLog } = await pair();
        const bytes = counting(3 * mebibyte + 5);
        const target = new Uint8Array(new SharedArrayBuffer(bytes.length));
        far.setSink(9, target);
        expect(await sendBulk(near, 9, bytes)).toBeNull();
        await farLog.until(() => farLog.landedBytes === bytes.length);
        expect(Buffer.compare(target, bytes)).toBe(0);
        expect(farLog.sinks.get(9)).toEqual({ landedBytes: bytes.length, crc32c: crc32c(bytes) });
        expect(farLog.frames).toEqual([]);
      });

      test('several bulks go into one sink, and what follows is told after them', async () => {
        const { near, far, farLog } = await pair();
        const parts = [counting(1), counting(70_000), counting(300_000)];
        const whole = Buffer.concat(parts);
        far.setSink(9, new Uint8Array(whole.length));
        for (const part of parts) expect(await sendBulk(near, 9, part)).toBeNull();
        near.send(streamEnd, 0, 0, 9, 0);
        await farLog.frameCount(1);
        expect(farLog.frames[0]).toMatchObject({ type: streamEnd, landedBefore: whole.length });
        expect(farLog.sinks.get(9)).toEqual({ landedBytes: whole.length, crc32c: crc32c(whole) });
      });

      test('only their own stream lands in them, until they are cleared', async () => {
        const { near, far, farLog } = await pair();
        const target = new Uint8Array(8);
        far.setSink(9, target);
        await sendBulk(near, 9, counting(4));
        await sendBulk(near, 11, counting(5));
        await farLog.frameCount(1);
        far.clearSink(9);
        await sendBulk(near, 9, counting(3));
        await farLog.frameCount(2);
        expect(farLog.frames).toMatchObject([
          { streamId: 11, payloadBytes: 5 },
          { streamId: 9, payloadBytes: 3 },
        ]);
        expect([...target]).toEqual([0, 1, 2, 3, 0, 0, 0, 0]);
      });

      test('more bytes than fit end the connection', async () => {
        const { near, nearLog, far, farLog } = await pair();
        far.setSink(9, new Uint8Array(100));
        near.sendBulk(9, counting(101), () => {});
        expect(await farLog.closed()).toMatchObject({ code: 'PAIPAI_ERR_SINK_OVERFLOW' });
        await nearLog.closed();
      });
    });

    describe('back pressure', () => {
      test('a receiver that pauses holds the sender up, and nothing is lost', async () => {
        const { near, nearLog, far, farLog } = await pair();
        far.pause();
        const count = 512;
        const payload = counting(65_536);
        for (let i = 0; i < count; i++) near.send(message, 0, 0, 0, i, payload);
        expect(near.queuedBytes).toBeGreaterThan(queueBytesHigh);
        far.send(message, 0, 0, 0, 0);
        await nearLog.frameCount(1);
        expect(near.queuedBytes).toBeGreaterThan(queueBytesHigh);
        expect(nearLog.drains).toBe(0);
        expect(farLog.frames.length).toBeLessThan(count);

        far.resume();
        await farLog.frameCount(count);
        await nearLog.until(() => nearLog.drains > 0);
        expect(nearLog.drains).toBe(1);
        expect(near.queuedBytes).toBeLessThan(queueBytesLow);
        expect(farLog.frames.every(({ argument }, i) => argument === i)).toBe(true);
      });

      test.each([0, 8, 64])(
        'whoever fills the queue with %i bytes at a time is told that it is empty',
        async (byteCount) => {
          const { near, nearLog } = await pair();
          const payload = counting(byteCount);
          let count = 0;
          while (near.queuedBytes <= queueBytesHigh && count++ < 200_000)
            near.send(message, 0, 1, 0, 0, payload);
          // Where the system takes as much as is given, the queue is never that long.
          if (near.queuedBytes > queueBytesHigh) await nearLog.until(() => nearLog.drains > 0);
          expect(near.queuedBytes).toBeLessThanOrEqual(queueBytesHigh);
        },
      );

      test('a callback that sends when bulk has left does not lose the drain', async () => {
        const { near, nearLog, far } = await pair();
        far.pause();
        near.sendBulkFrame(message, 1, counting(8 * mebibyte), () =>
          near.send(message, 0, 0, 0, 1),
        );
        expect(near.queuedBytes).toBeGreaterThan(queueBytesHigh);
        far.resume();
        await nearLog.until(() => nearLog.drains > 0);
        expect(near.queuedBytes).toBeLessThan(queueBytesLow);
      });

      test('drained is told only when it is so, whatever was queued meanwhile', async () => {
        const { near, nearLog, far, farLog } = await pair();
        far.pause();
        const queued: number[] = [];
        const onDrain = nearLog.onDrain.bind(nearLog);
        nearLog.onDrain = () => {
          queued.push(near.queuedBytes);
          onDrain();
        };
        for (let i = 0; i < 20; i++) {
          near.send(message, 0, 0, 0, 0, counting(mebibyte));
          near.sendBulkFrame(message, 1, counting(mebibyte), () => {});
        }
        far.resume();
        await farLog.frameCount(40);
        await nearLog.until(() => queued.length > 0 && near.queuedBytes === 0);
        expect(Math.max(...queued)).toBeLessThanOrEqual(queueBytesHigh);
      });

      test('the queue is seen to shrink by those who only look', async () => {
        const { near, nearLog, far, farLog } = await pair();
        far.pause();
        const [count, small] = [256, counting(16)];
        for (let i = 0; i < count; i++) near.send(message, 0, 0, 0, i, counting(65_536));
        far.send(message, 0, 0, 0, 0);
        await nearLog.frameCount(1);
        const before = near.queuedBytes;
        near.send(message, 0, 0, 0, count, small);
        expect(near.queuedBytes).toBe(before + frameHeaderBytes + small.length);
        near.send(message, 0, 0, 0, count + 1, small);
        expect(near.queuedBytes).toBe(before + 2 * (frameHeaderBytes + small.length));

        far.resume();
        while (near.queuedBytes > 0) await new Promise((resolve) => setImmediate(resolve));
        await farLog.frameCount(count + 2);
      });

      test('bulk counts as queued until the system has it', async () => {
        const { near, far } = await pair();
        expect(near.queuedBytes).toBe(0);
        far.pause();
        const sent = sendBulk(near, 9, new Uint8Array(32 * mebibyte));
        expect(near.queuedBytes).toBeGreaterThanOrEqual(32 * mebibyte);
        far.resume();
        expect(await sent).toBeNull();
        expect(near.queuedBytes).toBe(0);
      });
    });

    describe('the end', () => {
      test('close sends everything queued first, and both sides hear it once', async () => {
        const { near, nearLog, farLog } = await pair();
        const bytes = counting(8 * mebibyte);
        for (let i = 0; i < 1000; i++) near.send(message, 0, 0, 0, i, counting(100));
        const sent = sendBulk(near, 9, bytes);
        near.close();
        expect(await farLog.closed()).toBeNull();
        expect(await nearLog.closed()).toBeNull();
        expect(await sent).toBeNull();
        const received = farLog.frames.filter(({ type }) => type === streamData);
        expect(received.reduce((sum, frame) => sum + frame.payloadBytes, 0)).toBe(bytes.length);
        expect(farLog.frames.length - received.length).toBe(1000);
        await turns(5);
        expect([nearLog.closes, farLog.closes]).toEqual([[null], [null]]);
      });

      test('close from both sides at once', async () => {
        const { near, nearLog, far, farLog } = await pair();
        near.send(message, 0, 0, 0, 1);
        far.send(message, 0, 0, 0, 2);
        near.close();
        far.close();
        expect([await nearLog.closed(), await farLog.closed()]).toEqual([null, null]);
        expect([nearLog.frames.length, farLog.frames.length]).toEqual([1, 1]);
      });

      test('a paused side can close', async () => {
        const { near, nearLog, farLog } = await pair();
        near.pause();
        near.close();
        expect([await nearLog.closed(), await farLog.closed()]).toEqual([null, null]);
      });

      test('what is sent after close is ignored, bulk is told so', async () => {
        const { near, nearLog, farLog } = await pair();
        near.close();
        near.send(message, 0, 0, 0, 1);
        let told: Error | null | undefined;
        near.sendBulk(9, counting(10), (error) => {
          told = error;
        });
        expect(told).toBeUndefined();
        await Promise.all([nearLog.closed(), farLog.closed()]);
        expect(told).toBeInstanceOf(Error);
        expect(farLog.frames).toEqual([]);
        near.send(message, 0, 0, 0, 1);
        expect(await sendBulk(near, 9, counting(10))).toBeInstanceOf(Error);
      });

      test('destroy ends at once: bulk is told why, both sides hear it once', async () => {
        const { near, nearLog, far, farLog } = await pair();
        far.pause();
        const sends = [
          sendBulk(near, 9, new Uint8Array(64 * mebibyte)),
          sendBulk(near, 11, counting(5)),
        ];
        await turns(3);
        const reason = new Error('enough');
        near.destroy(reason);
        expect(nearLog.closes).toEqual([]);
        near.destroy();
        expect(await Promise.all(sends)).toEqual([expect.any(Error), expect.any(Error)]);
        expect(await nearLog.closed()).toBe(reason);
        far.resume();
        await farLog.closed();
        await turns(5);
        expect([nearLog.closes.length, farLog.closes.length]).toEqual([1, 1]);
      });

      test('destroy without a reason is an end in order', async () => {
        const { near, nearLog, farLog } = await pair();
        near.destroy();
        expect(await nearLog.closed()).toBeNull();
        await farLog.closed();
      });

      test('a peer that goes away in the middle is an error to who was sending', async () => {
        const { near, nearLog, far } = await pair();
        far.pause();
        const sent = sendBulk(near, 9, new Uint8Array(64 * mebibyte));
        await turns(3);
        far.destroy();
        expect(await sent).toMatchObject({ code: 'PAIPAI_ERR_PEER_CLOSED' });
        expect(await nearLog.closed()).toMatchObject({ code: 'PAIPAI_ERR_PEER_CLOSED' });
      });

      test('a receiver may end the channel while it is called', async () => {
        const { near, nearLog, far } = await pair();
        let count = 0;
        const closed = new Promise<Error | null>((resolve) => {
          far.receiver = {
            onFrame: () => {
              count++;
              far.destroy(new Error('one is enough'));
            },
            onSink: () => {},
            onDrain: () => {},
            onClose: resolve,
          };
        });
        for (let i = 0; i < 100; i++) near.send(message, 0, 0, 0, i);
        expect(await closed).toMatchObject({ message: 'one is enough' });
        expect(count).toBe(1);
        await nearLog.closed();
      });
    });

    describe('connecting and listening', () => {
      test('each side says what it is and whom it is connected to', async () => {
        const { near, far, listener } = await pair();
        expect(near.engine).toBe(world.connecting.engine);
        expect(far.engine).toBe(world.listening.engine);
        expect(near.remoteAddress).toBe(formatAddress(listener.address));
        expect(far.remoteAddress).toMatch(/^(tcp|unix|memory):\/\//);
        expect(near.path).toBe(far.path);
      });

      test('a port of 0 is replaced by the one that was chosen', async () => {
        const { listener } = await listen();
        if (listener.address.scheme === 'tcp') expect(listener.address.port).toBeGreaterThan(0);
        else expect(listener.address.path).toMatch(/^\//);
      });

      test('an address in use', async () => {
        const { listener } = await listen();
        await expect(listen({}, listener.address)).rejects.toMatchObject({ code: 'EADDRINUSE' });
        await dial(listener.address);
      });

      test('nobody listens', async () => {
        const { listener } = await listen();
        await listener.close();
        const code = listener.address.scheme === 'unix' ? 'ENOENT' : 'ECONNREFUSED';
        await expect(dial(listener.address)).rejects.toMatchObject({ code });
      });

      test('a closed listener leaves its channels alone, and its address free', async () => {
        const { near, farLog, listener } = await pair();
        await listener.close();
        await listener.close();
        near.send(message, 0, 0, 0, 1);
        await farLog.frameCount(1);
        await listen({}, listener.address);
      });

      test('aborted before and while connecting', async () => {
        const { listener } = await listen();
        const reason = new Error('changed my mind');
        const aborted = { code: 'PAIPAI_ERR_ABORTED', cause: reason };
        const before = world.connecting.connect(listener.address, {
          signal: AbortSignal.abort(reason),
        });
        await expect(before).rejects.toMatchObject(aborted);
        const controller = new AbortController();
        const during = world.connecting.connect(listener.address, { signal: controller.signal });
        controller.abort(reason);
        await expect(during).rejects.toMatchObject(aborted);
      });

      test('a signal that fires after connecting does nothing', async () => {
        const controller = new AbortController();
        const { listener, next } = await listen();
        const { channel } = await dial(listener.address, { signal: controller.signal });
        const { log } = await next();
        controller.abort();
        channel.send(message, 0, 0, 0, 1);
        await log.frameCount(1);
      });
    });

    if (world.hasSockets) {
      describe('bytes that no channel would send', () => {
        async function rawPeer() {
          const { listener, next } = await listen();
          const socket = connect(socketOptions(listener.address));
          sockets.push(socket);
          socket.on('error', () => {}); // A reset is one way to be refused.
          await once(socket, 'connect');
          return { socket, ...(await next()) };
        }

        test('an end between frames is in order, an end inside one is not', async () => {
          const bytes = frameBytes({}, counting(40));
          for (const [cut, code] of [
            [bytes.length, null],
            [bytes.length - 1, 'PAIPAI_ERR_FRAME_TRUNCATED'],
            [frameHeaderBytes, 'PAIPAI_ERR_FRAME_TRUNCATED'],
            [frameHeaderBytes - 1, 'PAIPAI_ERR_FRAME_TRUNCATED'],
            [1, 'PAIPAI_ERR_FRAME_TRUNCATED'],
            [0, null],
          ] as const) {
            const { socket, log } = await rawPeer();
            socket.end(bytes.subarray(0, cut));
            const reason = await log.closed();
            if (code === null) expect(reason).toBeNull();
            else expect(reason).toMatchObject({ code });
            expect(log.closes).toHaveLength(1);
          }
        });

        test('an HTTP client', async () => {
          const { socket, log } = await rawPeer();
          socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
          expect(await log.closed()).toMatchObject({ code: 'PAIPAI_ERR_FRAME_MAGIC' });
        });

        test('an HTTP server', async () => {
          const server = createServer((socket) => {
            socket.on('error', () => {});
            socket.end(
              'HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
            );
          });
          const address = world.freshAddress();
          server.listen(
            address.scheme === 'unix' ? { path: address.path } : { host: address.host, port: 0 },
          );
          await once(server, 'listening');
          const bound = server.address();
          const port = bound !== null && typeof bound === 'object' ? bound.port : 0;
          const { log } = await dial(address.scheme === 'unix' ? address : { ...address, port });
          expect(await log.closed()).toMatchObject({ code: 'PAIPAI_ERR_FRAME_MAGIC' });
          server.close();
        });

        test.each([
          ['in the header', 20, 'PAIPAI_ERR_FRAME_HEADER_CHECKSUM'],
          ['in the length', 11, 'PAIPAI_ERR_FRAME_HEADER_CHECKSUM'],
          ['in the payload', frameHeaderBytes + 3, 'PAIPAI_ERR_FRAME_PAYLOAD_CHECKSUM'],
        ])('a flipped bit %s', async (_, at, code) => {
          const { socket, log } = await rawPeer();
          const good = frameBytes({}, counting(10));
          const bad = frameBytes({ sequence: 1 }, counting(10));
          bad[at]! ^= 0x40;
          socket.write(Buffer.concat([good, bad]));
          expect(await log.closed()).toMatchObject({ code });
          expect(log.frames).toHaveLength(1);
        });

        test('a length of 4 GiB takes no memory', async () => {
          const { socket, log } = await rawPeer();
          const before = process.memoryUsage();
          socket.write(frameBytes({ length: 0xffff_ffff }, new Uint8Array(0)));
          expect(await log.closed()).toMatchObject({ code: 'PAIPAI_ERR_FRAME_TOO_LARGE' });
          const after = process.memoryUsage();
          expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(16 * mebibyte);
          expect(after.rss - before.rss).toBeLessThan(256 * mebibyte);
        });

        test('a chunk of a stream has at most 256 KiB', async () => {
          const { socket, log } = await rawPeer();
          socket.write(frameBytes({ type: streamData }, counting(chunkBytesMax)));
          socket.write(frameBytes({ type: streamData, sequence: 1 }, counting(chunkBytesMax + 1)));
          expect(await log.closed()).toMatchObject({ code: 'PAIPAI_ERR_FRAME_TOO_LARGE' });
          expect(log.frames.map(({ payloadBytes }) => payloadBytes)).toEqual([chunkBytesMax]);
        });

        test.each([
          ['version', { version: 2 }, 'PAIPAI_ERR_FRAME_VERSION'],
          ['type', { type: 23 }, 'PAIPAI_ERR_FRAME_TYPE'],
          ['sequence', { sequence: 1 }, 'PAIPAI_ERR_FRAME_SEQUENCE'],
        ])('another %s', async (_, fields, code) => {
          const { socket, log } = await rawPeer();
          socket.write(frameBytes(fields, counting(4)));
          expect(await log.closed()).toMatchObject({ code });
        });

        test('small payloads that travel together come one by one', async () => {
          const { socket, log } = await rawPeer();
          const several = Buffer.concat([
            item(7, counting(3)),
            item(9, counting(0)),
            item(11, counting(16)),
          ]);
          for (const type of [20, 21, 22]) {
            socket.write(frameBytes({ type, sequence: type - 20 }, several));
          }
          await log.frameCount(9);
          expect(
            log.frames.map(({ type, streamId, payloadBytes }) => [type, streamId, payloadBytes]),
          ).toEqual(
            [5, 6, 9].flatMap((type) => [
              [type, 7, 3],
              [type, 9, 0],
              [type, 11, 16],
            ]),
          );
          expect(log.frames[2]?.payload).toEqual(counting(16));
        });

        test.each([
          ['nothing', Buffer.alloc(0), 'PAIPAI_ERR_PROTOCOL'],
          ['half an item', item(1, counting(8)).subarray(0, 7), 'PAIPAI_ERR_PROTOCOL'],
          ['an item that is cut', item(1, counting(9)).subarray(0, 16), 'PAIPAI_ERR_PROTOCOL'],
          ['a cut padding', item(1, counting(9)).subarray(0, 17), 'PAIPAI_ERR_PROTOCOL'],
          ['a length beyond all', item(1, counting(8), 0xffff_fff8), 'PAIPAI_ERR_'],
          ['more than 16 KiB', item(1, counting(16 * 1024 - 7)), 'PAIPAI_ERR_FRAME_TOO_LARGE'],
        ])('small payloads that travel together, %s', async (_, payload, code) => {
          for (const type of [20, 21, 22]) {
            const { socket, log } = await rawPeer();
            socket.write(frameBytes({ type }, payload));
            expect(await log.closed()).toMatchObject({ code: expect.stringContaining(code) });
            expect(log.frames).toEqual([]);
          }
        });

        test('frames in single bytes', async () => {
          const { socket, log } = await rawPeer();
          socket.setNoDelay(true);
          for (const byte of frameBytes({ type: message }, counting(9))) {
            await new Promise((resolve) => socket.write(Uint8Array.of(byte), resolve));
          }
          await log.frameCount(1);
          expect(log.frames[0]).toMatchObject({ type: message, payload: counting(9) });
        });

        test('a connection that is reset', async () => {
          const { socket, log } = await rawPeer();
          if (typeof socket.resetAndDestroy !== 'function' || socket.remoteAddress === undefined) {
            // A Unix socket knows no reset; its end is that of the other tests.
            socket.destroy();
            expect(await log.closed()).toBeNull();
            return;
          }
          socket.resetAndDestroy();
          expect(await log.closed()).toMatchObject({
            code: 'PAIPAI_ERR_PEER_CLOSED',
            cause: { code: 'ECONNRESET' },
          });
        });

        test('a Unix socket leaves no file, and takes none away', async () => {
          const { listener } = await listen();
          const { address } = listener;
          if (address.scheme !== 'unix') return;
          expect(existsSync(address.path)).toBe(true);
          await expect(listen({}, address)).rejects.toMatchObject({ code: 'EADDRINUSE' });
          expect(existsSync(address.path)).toBe(true);
          await listener.close();
          expect(existsSync(address.path)).toBe(false);
        });
      });
    }

    const { networkSource } = world;
    if (networkSource !== undefined) {
      describe('the process', () => {
        /** Runs `lines` in another process, after it has opened a listener and a channel. Returns the exit code. */
        const run = async (lines: string): Promise<unknown> => {
          const source = `
            const network = ${networkSource};
            const receiver = () => ({ onFrame() {}, onSink() {}, onDrain() {}, onClose() {} });
            const ends = [];
            const listener = await network.listen(${JSON.stringify(world.freshAddress())}, (channel) => {
              channel.receiver = receiver();
              ends.push(channel);
            });
            const near = await network.connect(listener.address);
            near.receiver = receiver();
            while (ends.length === 0) await new Promise((resolve) => setImmediate(resolve));
            ${lines}
            // Fires only when something else keeps the process alive.
            setTimeout(() => process.exit(7), 200).unref();`;
          const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
            stdio: 'inherit',
          });
          const [code] = await once(child, 'exit');
          return code;
        };

        test('unreferenced ends do not keep it alive', async () => {
          expect(await run('for (const end of [near, ends[0], listener]) end.unref();')).toBe(0);
        });

        test('an open channel does', async () => {
          expect(await run('ends[0].unref(); listener.unref();')).toBe(7);
        });

        test('a listener does', async () => {
          expect(await run('near.unref(); ends[0].unref();')).toBe(7);
        });
      });
    }
  });
}

function counting(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = i + (i >> 8) * 3;
  return bytes;
}

/** Sends every frame back. */
function answering(channel: FrameChannel): FrameLog {
  const log = new FrameLog();
  const onFrame = log.onFrame.bind(log);
  log.onFrame = (frame) => {
    onFrame(frame);
    const { type, flags, name, streamId, argument, bytes, start, end } = frame;
    channel.send(type, flags, name, streamId, argument, bytes.subarray(start, end));
  };
  return log;
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

function socketOptions(address: Address) {
  return address.scheme === 'unix'
    ? { path: address.path }
    : { host: address.host, port: address.port };
}

/** A frame with fields of our choice and checksums that fit them. */
/** One of several small payloads. */
function item(id: number, payload: Uint8Array, length: number = payload.length): Buffer {
  const bytes = Buffer.alloc(8 + ((payload.length + 7) & ~7));
  bytes.writeUInt32LE(id, 0);
  bytes.writeUInt32LE(length, 4);
  bytes.set(payload, 8);
  return bytes;
}

function frameBytes(
  fields: { version?: number; type?: number; sequence?: number; length?: number },
  payload: Uint8Array,
): Buffer {
  const { type = message, sequence = 0, length = payload.length } = fields;
  const header = Buffer.alloc(frameHeaderBytes);
  writeFrameHeader(header, 0, type, 0, 0, 0, sequence, 0, length, crc32c(payload));
  if (fields.version !== undefined) header[2] = fields.version;
  header.writeUInt32LE(crc32c(header, 0, 28), 28);
  return Buffer.concat([header, payload]);
}
