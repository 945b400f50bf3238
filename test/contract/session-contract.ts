import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { PaipaiError } from '../../dist/base/errors.js';
import type { IncomingRequest, Peer, PeerStream } from '../../dist/session/types.js';
import type { Network } from '../../dist/transport/frame-channel.js';
import { crc32c } from '../../dist/wire/crc32c.js';
import {
  bytes,
  codeOf,
  codeThrown,
  event,
  fired,
  type Pair,
  type PairOptions,
  pattern,
  sessionPair,
  text,
} from '../support/session-pair.js';

const kibi = 1024;
const mebi = 1024 * kibi;

export interface ContractNetworks {
  listen: Network;
  connect: Network;
  /** Where to listen; a fresh one for each call. */
  address: string;
}

/** What a session promises, whatever carries its frames. */
export function sessionContract(name: string, makeNetworks: () => ContractNetworks): void {
  const connect = (options: PairOptions = {}): Promise<Pair> =>
    sessionPair({ networks: makeNetworks(), ...options });

  const echo = { onRequest: (request: IncomingRequest) => request.payload };

  describe(`session over ${name}: lanes`, () => {
    test('a message of the bulk lane brings its topic first, also out of a delivery', async () => {
      const heard = event<string>();
      const { near } = await connect({
        service: {
          onMessage: (topic) => {
            if (topic === 'first') near.send('second', bytes('x'), 'bulk');
            else heard.fire(topic);
          },
        },
      });
      near.send('first', bytes('y'), 'bulk');
      expect(await heard.promise).toBe('second');
    });

    test('drained settles when a stream goes on as the queue runs out', async () => {
      const { near } = await connect({
        service: {
          onStream: async (stream) => {
            await stream.receiveInto(new Uint8Array(1_000));
            stream.end();
          },
        },
      });
      const stream = near.openStream('s');
      for (let i = 0; i < 12; i++) near.send('m', pattern(mebi));
      const drained = near.drained();
      await stream.write(pattern(1_000));
      stream.end();
      await Promise.all([drained, stream.ended]);
    });
  });

  describe(`session over ${name}: requests`, () => {
    test('one request, one answer', async () => {
      const { near } = await connect({ service: echo });
      expect(text(await near.request('echo', bytes('hello')))).toBe('hello');
    });

    test('the listening side asks as well', async () => {
      const { far } = await connect({ near: { service: echo } });
      expect(text(await far.request('echo', bytes('and back')))).toBe('and back');
    });

    test('the service sees who asks for what', async () => {
      const seen = event<IncomingRequest>();
      const { near, far } = await connect({
        service: {
          onRequest: async (request) => {
            seen.fire(request);
            return bytes('');
          },
        },
      });
      await near.request('méthode', bytes('p'), { deadlineMs: 5_000 });
      const request = await seen.promise;
      expect(request.peer).toBe(far);
      expect(request.method).toBe('méthode');
      expect(text(request.payload)).toBe('p');
      expect(request.deadlineMs).toBe(5_000);
      expect(request.signal.aborted).toBe(false);
    });

    test.each([
      0,
      1,
      31,
      32,
      33,
      64,
      65,
      1024,
      1025,
      16 * kibi,
      16 * kibi + 1,
      256 * kibi + 1,
      3 * mebi,
    ])('a payload of %i bytes there and back', async (byteCount) => {
      const kept: Uint8Array[] = [];
      const { near } = await connect({
        service: {
          onRequest: ({ payload }) => {
            kept.push(payload);
            return payload;
          },
        },
      });
      const payload = pattern(byteCount);
      const answers = [await near.request('echo', payload), await near.request('echo', payload)];
      await near.request('echo', pattern(byteCount, 99));
      for (const answer of [...answers, ...kept.slice(0, 2)]) {
        expect(Buffer.compare(answer, payload)).toBe(0);
      }
    });

    test.each([100, 3 * mebi])(
      'a payload of %i bytes may be written over at once',
      async (count) => {
        const { near } = await connect({ service: { onRequest: ({ payload }) => payload } });
        const payload = pattern(count);
        const answer = near.request('echo', payload);
        payload.fill(0);
        expect(Buffer.compare(await answer, pattern(count))).toBe(0);
      },
    );

    test('a thousand at once, each with its own answer, out of order', async () => {
      const { near } = await connect({
        service: {
          onRequest: async ({ payload }) => {
            for (let turns = payload[0] ?? 0; turns > 0; turns -= 64) await Promise.resolve();
            return payload;
          },
        },
      });
      const asked = Array.from({ length: 1_000 }, (_, i) => new Uint8Array([i * 7, i >> 8, i]));
      const answers = await Promise.all(asked.map((payload) => near.request('echo', payload)));
      expect(answers.map((a) => [...a])).toEqual(asked.map((a) => [...a]));
      expect(near.stats().requestsInFlight).toBe(0);
    });

    test('a PaipaiError arrives with its code, message and fields, without its stack', async () => {
      const { near } = await connect({
        service: {
          onRequest: () => {
            throw new PaipaiError('PAIPAI_ERR_UNKNOWN_DATA', 'no data 7 here', { dataId: '7' });
          },
        },
      });
      const error = await near.request('get').catch((e: unknown) => e as PaipaiError);
      expect(error).toMatchObject({
        code: 'PAIPAI_ERR_UNKNOWN_DATA',
        message: 'no data 7 here',
        dataId: '7',
      });
      expect((error as PaipaiError).stack).not.toContain('onRequest');
    });

    test.each<[string, () => Uint8Array | Promise<Uint8Array>]>([
      [
        'thrown at once',
        () => {
          throw new TypeError('oops');
        },
      ],
      [
        'thrown later',
        async () => {
          throw new TypeError('oops');
        },
      ],
      [
        'no error at all',
        () => {
          throw 'oops';
        },
      ],
    ])('anything else %s arrives as REMOTE with its message', async (_, onRequest) => {
      const { near } = await connect({ service: { onRequest } });
      await expect(near.request('x')).rejects.toMatchObject({
        code: 'PAIPAI_ERR_REMOTE',
        message: 'oops',
      });
      expect(near.state).toBe('open');
    });

    test('what is no bytes is no answer', async () => {
      const { near } = await connect({ service: { onRequest: () => 'text' as never } });
      expect(await codeOf(near.request('x'))).toBe('PAIPAI_ERR_REMOTE');
      expect(near.state).toBe('open');
    });

    test('an error of a megabyte of words arrives cut', async () => {
      const { near } = await connect({
        far: { frameBytesMax: 1024 },
        service: {
          onRequest: () => {
            throw new Error('x'.repeat(mebi));
          },
        },
      });
      expect(await codeOf(near.request('x'))).toBe('PAIPAI_ERR_REMOTE');
    });

    test('nobody serves', async () => {
      const { near } = await connect();
      expect(await codeOf(near.request('x'))).toBe('PAIPAI_ERR_METHOD_UNKNOWN');
    });

    test('the deadline passes: the caller and the service hear of it', async () => {
      const reason = event<unknown>();
      const { near } = await connect({
        service: {
          onRequest: async ({ signal }) => {
            reason.fire(await fired(signal));
            return bytes('too late');
          },
        },
      });
      const startMs = performance.now();
      expect(await codeOf(near.request('slow', undefined, { deadlineMs: 30 }))).toBe(
        'PAIPAI_ERR_DEADLINE',
      );
      expect(performance.now() - startMs).toBeGreaterThanOrEqual(30);
      expect(await reason.promise).toMatchObject({ code: 'PAIPAI_ERR_DEADLINE' });
      expect(near.state).toBe('open');
    });

    test('the deadline of the session is for a request without its own', async () => {
      const { near } = await connect({
        near: { deadlineMs: 10 },
        service: { onRequest: () => new Promise(() => {}) },
      });
      expect(await codeOf(near.request('x'))).toBe('PAIPAI_ERR_DEADLINE');
    });

    test.each([0, -1, Number.NaN, 2 ** 31, '5'])(
      'a deadline of %s is an invalid argument',
      async (deadlineMs) => {
        const { near } = await connect({ service: echo });
        // The wrong types are the point.
        const options = { deadlineMs: deadlineMs as number };
        expect(await codeOf(near.request('x', undefined, options))).toBe(
          'PAIPAI_ERR_INVALID_ARGUMENT',
        );
        expect(codeThrown(() => near.openStream('x', undefined, options))).toBe(
          'PAIPAI_ERR_INVALID_ARGUMENT',
        );
      },
    );

    test.each<[string, unknown, unknown, unknown]>([
      ['an empty method', '', undefined, undefined],
      ['a method of 256 bytes', 'm'.repeat(256), undefined, undefined],
      ['a method that is a number', 7, undefined, undefined],
      ['a payload that is text', 'm', 'text', undefined],
      ['a signal that is none', 'm', undefined, { signal: {} }],
    ])('%s is an invalid argument', async (_, method, payload, options) => {
      const { near } = await connect({ service: echo });
      const asked = near.request(method as string, payload as Uint8Array, options as object);
      expect(await codeOf(asked)).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
      expect(text(await near.request('m'.repeat(255), bytes('fine')))).toBe('fine');
    });

    test('aborted before: nothing is sent', async () => {
      let count = 0;
      const { near } = await connect({
        service: {
          onRequest: (r) => {
            count++;
            return r.payload;
          },
        },
      });
      const reason = new Error('changed my mind');
      const failed = near.request('x', undefined, { signal: AbortSignal.abort(reason) });
      await expect(failed).rejects.toMatchObject({ code: 'PAIPAI_ERR_ABORTED', cause: reason });
      await near.request('y');
      expect(count).toBe(1);
    });

    test('aborted in the middle: the service hears of it', async () => {
      const started = event();
      const reason = event<unknown>();
      const { near, far } = await connect({
        service: {
          onRequest: async ({ signal }) => {
            started.fire();
            reason.fire(await fired(signal));
            throw new Error('given up');
          },
        },
      });
      const controller = new AbortController();
      const answer = codeOf(near.request('slow', undefined, { signal: controller.signal }));
      await started.promise;
      controller.abort();
      expect(await answer).toBe('PAIPAI_ERR_ABORTED');
      expect(await reason.promise).toMatchObject({ code: 'PAIPAI_ERR_ABORTED' });
      expect([near.state, far.state]).toEqual(['open', 'open']);
    });

    test('aborted afterwards: nothing happens', async () => {
      const { near } = await connect({ service: echo });
      const controller = new AbortController();
      await near.request('x', undefined, { signal: controller.signal });
      expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
      controller.abort();
      expect(text(await near.request('y', bytes('on')))).toBe('on');
    });

    test('more than the service takes at once is refused, and only that', async () => {
      const release = event();
      const { near } = await connect({
        far: { requestsInFlightMax: 2 },
        service: {
          onRequest: async ({ payload }) => {
            await release.promise;
            return payload;
          },
        },
      });
      const answers = [1, 2, 3].map((n) => codeOf(near.request('x', new Uint8Array([n]))));
      expect(await answers[2]).toBe('PAIPAI_ERR_OVERLOADED');
      release.fire();
      expect(await Promise.all(answers.slice(0, 2))).toEqual(['settled: 1', 'settled: 2']);
      expect(await codeOf(near.request('x', new Uint8Array([4])))).toBe('settled: 4');
    });

    test('the bytes of requests being served are bounded, though one alone may be longer', async () => {
      const held: (() => void)[] = [];
      const { near } = await connect({
        far: { inFlightBytesMax: mebi },
        service: {
          onRequest: async ({ method, payload }) => {
            if (method === 'hold') await new Promise<void>((resolve) => held.push(resolve));
            return bytes(String(payload.length));
          },
        },
      });
      const ask = (method: string, byteCount: number): Promise<string> =>
        near.request(method, new Uint8Array(byteCount)).then(text, (error) => error.code);
      const alone = ask('hold', 2 * mebi);
      expect(await ask('x', 1)).toBe('PAIPAI_ERR_OVERLOADED');
      held.pop()?.();
      expect(await alone).toBe(String(2 * mebi));
      const halves = [ask('hold', mebi / 2), ask('hold', mebi / 2 - 1)];
      expect(await ask('x', 2)).toBe('PAIPAI_ERR_OVERLOADED');
      expect(await ask('x', 1)).toBe('1');
      for (const release of held) release();
      expect(await Promise.all(halves)).toEqual([String(mebi / 2), String(mebi / 2 - 1)]);
    });

    test('a request or an answer above the frame limit fails alone', async () => {
      const { near } = await connect({
        near: { frameBytesMax: 4 * kibi },
        far: { frameBytesMax: 4 * kibi },
        service: {
          onRequest: ({ method, payload }) =>
            method === 'grow' ? new Uint8Array(4 * kibi + 1) : payload,
        },
      });
      expect(await codeOf(near.request('x', new Uint8Array(4 * kibi + 1)))).toBe(
        'PAIPAI_ERR_FRAME_TOO_LARGE',
      );
      expect(await codeOf(near.request('grow'))).toBe('PAIPAI_ERR_FRAME_TOO_LARGE');
      expect((await near.request('x', new Uint8Array(4 * kibi))).length).toBe(4 * kibi);
    });
  });

  describe(`session over ${name}: messages`, () => {
    test('arrive in order, among requests too', async () => {
      const seen: string[] = [];
      const { near } = await connect({
        service: {
          onMessage: (topic, payload) => void seen.push(`${topic} ${text(payload)}`),
          onRequest: ({ method, payload }) => {
            seen.push(method);
            return payload;
          },
        },
      });
      expect(near.send('news', bytes('1'))).toBe(true);
      const first = near.request('ask');
      near.send('news', bytes('2'));
      near.send('other');
      await Promise.all([first, near.request('done')]);
      expect(seen).toEqual(['news 1', 'ask', 'news 2', 'other ', 'done']);
    });

    test('above the high mark send says so, and drained waits', async () => {
      let arrivedBytes = 0;
      const { near } = await connect({
        service: {
          ...echo,
          onMessage: (_, payload) => {
            arrivedBytes += payload.length;
          },
        },
      });
      const payload = new Uint8Array(100 * kibi);
      let sentBytes = 0;
      await near.drained();
      for (let fits = true; fits; sentBytes += payload.length) fits = near.send('bulk', payload);
      expect(sentBytes).toBeGreaterThan(mebi);
      // A kernel takes some MiB before anything queues here.
      expect(sentBytes).toBeLessThan(64 * mebi);
      await near.drained();
      expect(near.send('bulk', payload)).toBe(true);
      await near.request('echo');
      expect(arrivedBytes).toBe(sentBytes + payload.length);
    });

    test('the caller may reuse its bytes at once', async () => {
      const seen: Uint8Array[] = [];
      const { near } = await connect({
        service: { ...echo, onMessage: (_, payload) => void seen.push(payload) },
      });
      for (const byteCount of [10, 100 * kibi]) {
        const payload = new Uint8Array(byteCount).fill(1);
        near.send('x', payload);
        payload.fill(2);
      }
      await near.request('echo');
      expect(seen.every((payload) => payload.every((byte) => byte === 1))).toBe(true);
    });

    test('a handler that fails is counted, and harms nobody', async () => {
      const { near, far } = await connect({
        service: {
          ...echo,
          onMessage: ((topic: string) => {
            if (topic === 'later') return Promise.reject(new Error('later'));
            throw new Error('now');
          }) as never,
        },
      });
      near.send('now');
      near.send('later');
      await near.request('echo');
      expect(far.stats().handlerFailures).toBe(2);
    });

    test('without a handler they vanish; empty topics are invalid', async () => {
      const { near } = await connect({ service: echo });
      near.send('x');
      await near.request('echo');
      expect(codeThrown(() => near.send(''))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
    });
  });

  describe(`session over ${name}: streams`, () => {
    /** The stream that `near` opens, and the other side's end of it. */
    async function streams(options: PairOptions & { metadata?: Uint8Array } = {}): Promise<{
      pair: Pair;
      ours: PeerStream;
      theirs: PeerStream;
    }> {
      const arrival = event<PeerStream>();
      const pair = await connect({ service: { ...echo, onStream: arrival.fire }, ...options });
      const ours = pair.near.openStream('pipe', options.metadata);
      return { pair, ours, theirs: await arrival.promise };
    }

    async function collect(stream: PeerStream): Promise<Buffer> {
      const chunks: Uint8Array[] = [];
      for await (const chunk of stream) chunks.push(chunk);
      return Buffer.concat(chunks);
    }

    test('bytes, an end and its trailer', async () => {
      const { ours, theirs, pair } = await streams({ metadata: bytes('meta') });
      expect(theirs).toMatchObject({ method: 'pipe', id: ours.id, peer: pair.far });
      expect(text(theirs.metadata)).toBe('meta');
      const read = collect(theirs);
      await ours.write(bytes('one '));
      await ours.write(bytes('two'));
      ours.end(bytes('that was all'));
      expect(text(await read)).toBe('one two');
      expect(text(await theirs.ended)).toBe('that was all');
      theirs.end();
      expect((await ours.ended).length).toBe(0);
      expect([pair.near.stats().streamsOpen, pair.far.stats().streamsOpen]).toEqual([0, 0]);
    });

    test('into memory made ready for it, with its checksum', async () => {
      const { ours, theirs } = await streams();
      const data = pattern(5 * mebi + 3);
      const target = new Uint8Array(data.length);
      const progress: number[] = [];
      const received = theirs.receiveInto(target, (landedBytes) => progress.push(landedBytes));
      await ours.write(data);
      ours.end(bytes('trailer'));
      expect(await received).toMatchObject({ bytes: data.length, crc32c: crc32c(data) });
      expect(text((await received).trailer)).toBe('trailer');
      expect(Buffer.compare(target, data)).toBe(0);
      expect(progress.at(-1)).toBe(data.length);
      expect(progress).toEqual([...progress].sort((a, b) => a - b));
    });

    test('into more memory than comes, and into none', async () => {
      const { ours, theirs } = await streams();
      const back = ours.receiveInto(new Uint8Array(0));
      const received = theirs.receiveInto(new Uint8Array(100));
      await ours.write(pattern(40));
      ours.end();
      theirs.end();
      expect(await received).toMatchObject({ bytes: 40, crc32c: crc32c(pattern(40)) });
      expect(await back).toMatchObject({ bytes: 0, crc32c: 0 });
    });

    test('into no more memory than can be counted', async () => {
      const { ours } = await streams();
      class Long extends Uint8Array {
        override get length(): number {
          return 2 ** 32;
        }
      }
      expect(await codeOf(ours.receiveInto(new Long(8)))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
    });

    test('both directions at once, each with its own end', async () => {
      const { ours, theirs } = await streams();
      const [there, back] = [pattern(3 * mebi, 1), pattern(2 * mebi, 2)];
      const reading = Promise.all([collect(ours), collect(theirs)]);
      void ours.write(there).then(() => ours.end());
      void theirs.write(back).then(() => theirs.end());
      const [atOurs, atTheirs] = await reading;
      expect(Buffer.compare(atOurs, back)).toBe(0);
      expect(Buffer.compare(atTheirs, there)).toBe(0);
    });

    test('many small writes stay in order, also without waiting for each', async () => {
      const { ours, theirs } = await streams();
      const read = collect(theirs);
      const pieces = Array.from({ length: 500 }, (_, i) => pattern(1 + ((i * 37) % 700), i));
      const writes = pieces.map((piece) => ours.write(piece));
      ours.end();
      await Promise.all(writes);
      expect(Buffer.compare(await read, Buffer.concat(pieces))).toBe(0);
    });

    test('a write waits until somebody reads', async () => {
      const { pair, ours, theirs } = await streams();
      let isWritten = false;
      const writing = ours.write(bytes('x')).then(() => {
        isWritten = true;
      });
      await pair.near.request('echo');
      await pair.near.request('echo');
      expect(isWritten).toBe(false);
      const read = collect(theirs);
      await writing;
      ours.end();
      expect(text(await read)).toBe('x');
    });

    test('a reader that stops taking stops the writer at the window', async () => {
      const { pair, ours, theirs } = await streams({ far: { streamWindowBytes: 64 * kibi } });
      const iterator = theirs[Symbol.asyncIterator]();
      const writing = ours.write(pattern(mebi));
      await iterator.next();
      for (let i = 0; i < 5; i++) await pair.near.request('echo');
      expect(pair.near.stats().bytesSent).toBeLessThan(200 * kibi);
      let restBytes = 0;
      void writing.then(() => ours.end());
      for (let step = await iterator.next(); !step.done; step = await iterator.next()) {
        restBytes += step.value.length;
      }
      expect(restBytes).toBeGreaterThan(mebi - 65 * kibi);
    });

    test('more streams than the budget has room for all arrive', async () => {
      const sizes = Array.from({ length: 12 }, (_, i) => 300 * kibi + i);
      const { near } = await connect({
        far: { inFlightBytesMax: mebi, streamsMax: 16 },
        service: {
          onStream: async (stream) => {
            const { bytes: count, crc32c: sum } = await stream.receiveInto(
              new Uint8Array(400 * kibi),
            );
            stream.end(bytes(`${count} ${sum}`));
          },
        },
      });
      const ends = sizes.map(async (size, i) => {
        const stream = near.openStream('shard');
        const data = pattern(size, i + 1);
        await stream.write(data);
        stream.end();
        expect(text(await stream.ended)).toBe(`${size} ${crc32c(data)}`);
      });
      await Promise.all(ends);
    });

    test.each(['iterated', 'received into a buffer'])(
      'streams that nobody reads do not hold up one that is %s',
      async (how) => {
        const first = event();
        const { near } = await connect({
          far: { inFlightBytesMax: mebi, streamsMax: 8, streamWindowBytes: mebi },
          service: {
            onStream: async (stream) => {
              if (stream.method === 'received into a buffer') {
                // It has no more credit at a time than its floor, 16 KiB.
                const received = await stream.receiveInto(new Uint8Array(2 * mebi));
                stream.end(bytes(String(received.bytes)));
                return;
              }
              const iterator = stream[Symbol.asyncIterator]();
              if (stream.method === 'idle') {
                await iterator.next();
                first.fire();
                return;
              }
              let count = 0;
              for (let step = await iterator.next(); !step.done; step = await iterator.next())
                count += step.value.length;
              stream.end(bytes(String(count)));
            },
          },
        });
        const idle = [1, 2, 3].map(() => near.openStream('idle'));
        for (const stream of idle) stream.write(pattern(mebi)).catch(() => {});
        await first.promise;
        const busy = near.openStream(how);
        await busy.write(pattern(2 * mebi));
        busy.end();
        expect(text(await busy.ended)).toBe(String(2 * mebi));
      },
    );

    test('a small request overtakes a large transfer', async () => {
      const { pair, ours, theirs } = await streams();
      let isDone = false;
      const received = theirs.receiveInto(new Uint8Array(32 * mebi)).then((r) => {
        isDone = true;
        return r;
      });
      const writing = ours.write(new Uint8Array(32 * mebi));
      await pair.near.request('echo', bytes('quick'));
      expect(isDone).toBe(false);
      await writing;
      ours.end();
      await received;
    });

    test('a small stream does not wait for a large one', async () => {
      const done: string[] = [];
      const { near } = await connect({
        service: {
          onStream: async (stream) => {
            await stream.receiveInto(new Uint8Array(Number(text(stream.metadata))));
            stream.end();
          },
        },
      });
      const sends = [32 * mebi, 100 * kibi].map(async (byteCount) => {
        const stream = near.openStream('store', bytes(String(byteCount)));
        await stream.write(new Uint8Array(byteCount));
        stream.end();
        await stream.ended;
        done.push(stream.metadata.length > 6 ? 'large' : 'small');
      });
      await Promise.all(sends);
      expect(done).toEqual(['small', 'large']);
    });

    test('what came whole can still be read when the connection has ended', async () => {
      const { pair, ours, theirs } = await streams({ far: { streamWindowBytes: mebi } });
      const iterator = theirs[Symbol.asyncIterator]();
      const data = pattern(700 * kibi);
      await ours.write(data);
      ours.end(bytes('complete'));
      await theirs.ended;
      pair.near.destroy();
      await pair.far.closed;
      const chunks: Uint8Array[] = [];
      for (let step = await iterator.next(); !step.done; step = await iterator.next())
        chunks.push(step.value);
      expect(Buffer.compare(Buffer.concat(chunks), data)).toBe(0);
      expect(text(await theirs.ended)).toBe('complete');
    });

    test('what came whole and is given up makes room for others', async () => {
      const opened: PeerStream[] = [];
      const { near } = await connect({
        service: { onRequest: ({ payload }) => payload, onStream: (one) => void opened.push(one) },
        far: { inFlightBytesMax: mebi, streamWindowBytes: mebi },
      });
      const [first, second] = [near.openStream('pipe'), near.openStream('pipe')];
      await near.request('echo');
      const unread = opened[0]?.[Symbol.asyncIterator]();
      await first.write(new Uint8Array(700 * kibi));
      first.end();
      await opened[0]?.ended;
      opened[0]?.end();
      const read = opened[1]?.[Symbol.asyncIterator]();
      const writing = second.write(new Uint8Array(500 * kibi));
      opened[0]?.reset(new PaipaiError('PAIPAI_ERR_ABORTED', 'nobody wants it'));
      await writing;
      expect(await codeOf(unread?.next() ?? Promise.resolve())).toBe('PAIPAI_ERR_ABORTED');
      expect((await read?.next())?.value?.length).toBeGreaterThan(0);
    });

    test('a reset ends both directions with its code', async () => {
      const { ours, theirs, pair } = await streams();
      const read = codeOf(collect(theirs));
      const reason = fired(theirs.signal);
      ours.reset(new PaipaiError('PAIPAI_ERR_SOURCE_CHANGED', 'the file shrank'));
      expect(await read).toBe('PAIPAI_ERR_SOURCE_CHANGED');
      expect(await reason).toMatchObject({ message: 'the file shrank' });
      for (const stream of [ours, theirs]) {
        expect(await codeOf(stream.write(bytes('x')))).toBe('PAIPAI_ERR_SOURCE_CHANGED');
        expect(await codeOf(stream.ended)).toBe('PAIPAI_ERR_SOURCE_CHANGED');
        expect(await codeOf(stream.receiveInto(new Uint8Array(1)))).toMatch(
          /SOURCE_CHANGED|INVALID_STATE/,
        );
        expect(stream.signal.aborted).toBe(true);
        stream.end();
        stream.reset(new Error('again'));
      }
      expect(pair.near.stats().streamsOpen).toBe(0);
    });

    test('an ordinary error resets as STREAM_RESET', async () => {
      const { ours, theirs } = await streams();
      const received = codeOf(ours.receiveInto(new Uint8Array(10)));
      theirs.reset(new Error('no more'));
      expect(await received).toBe('PAIPAI_ERR_STREAM_RESET');
    });

    test.each<[string, () => Promise<void> | void, string]>([
      [
        'throws',
        () => {
          throw new Error('oops');
        },
        'PAIPAI_ERR_REMOTE',
      ],
      [
        'rejects',
        async () => {
          throw new PaipaiError('PAIPAI_ERR_STORE_FULL', 'full');
        },
        'PAIPAI_ERR_STORE_FULL',
      ],
    ])('a service that %s resets the stream', async (_, onStream, code) => {
      const { near } = await connect({ service: { onStream } });
      const stream = near.openStream('x');
      expect(await codeOf(stream.write(bytes('x')))).toBe(code);
      expect(await codeOf(stream.ended)).toBe(code);
    });

    test('nobody serves streams', async () => {
      const { near } = await connect();
      expect(await codeOf(near.openStream('x').ended)).toBe('PAIPAI_ERR_METHOD_UNKNOWN');
    });

    test('a deadline ends it on both sides; a signal, too', async () => {
      const { pair } = await streams();
      const late = pair.near.openStream('late', undefined, { deadlineMs: 20 });
      expect(await codeOf(late.write(bytes('x')))).toBe('PAIPAI_ERR_DEADLINE');
      const controller = new AbortController();
      const aborted = pair.near.openStream('aborted', undefined, { signal: controller.signal });
      const writing = codeOf(aborted.write(bytes('x')));
      controller.abort();
      expect(await writing).toBe('PAIPAI_ERR_ABORTED');
      const signal = AbortSignal.abort();
      expect(codeThrown(() => pair.near.openStream('x', undefined, { signal }))).toBe(
        'PAIPAI_ERR_ABORTED',
      );
      await pair.near.request('echo');
      expect(pair.far.stats().streamsOpen).toBe(1);
    });

    test('a reader that leaves early gives the stream up', async () => {
      const { ours, theirs } = await streams();
      const writing = codeOf(ours.write(pattern(4 * mebi)));
      for await (const chunk of theirs) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
      expect(await writing).toBe('PAIPAI_ERR_ABORTED');
    });

    test('an onProgress that throws resets the stream', async () => {
      const { ours, theirs } = await streams();
      const received = codeOf(
        theirs.receiveInto(new Uint8Array(10), () => {
          throw new Error('oops');
        }),
      );
      ours.write(pattern(10)).catch(() => {});
      expect(await received).toBe('PAIPAI_ERR_STREAM_RESET');
      expect(await codeOf(ours.ended)).toBe('PAIPAI_ERR_STREAM_RESET');
    });

    test('calls that do not fit', async () => {
      const { pair, ours, theirs } = await streams();
      ours.end();
      expect(codeThrown(() => ours.end())).toBe('PAIPAI_ERR_INVALID_STATE');
      expect(await codeOf(ours.write(bytes('x')))).toBe('PAIPAI_ERR_INVALID_STATE');
      const received = theirs.receiveInto(new Uint8Array(1));
      expect(await codeOf(theirs.receiveInto(new Uint8Array(1)))).toBe('PAIPAI_ERR_INVALID_STATE');
      expect(codeThrown(() => theirs[Symbol.asyncIterator]())).toBe('PAIPAI_ERR_INVALID_STATE');
      await received;
      const big = new Uint8Array(64 * kibi + 1);
      expect(codeThrown(() => theirs.end(big))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
      expect(codeThrown(() => pair.near.openStream('x', big))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
      expect(await codeOf(theirs.write('text' as never))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
      theirs.end(big.subarray(1));
      expect((await ours.ended).length).toBe(64 * kibi);
    });

    test('a trailer or metadata above the frame limit fail at the call', async () => {
      const { ours, theirs, pair } = await streams({ near: { frameBytesMax: 1024 } });
      const big = new Uint8Array(1025);
      expect(codeThrown(() => ours.end(big))).toBe('PAIPAI_ERR_FRAME_TOO_LARGE');
      expect(codeThrown(() => pair.near.openStream('x', big))).toBe('PAIPAI_ERR_FRAME_TOO_LARGE');
      ours.end(big.subarray(1));
      expect((await theirs.ended).length).toBe(1024);
      expect(pair.near.stats().streamsOpen).toBe(1);
    });

    test('more streams than allowed are refused on either side', async () => {
      const service = { onStream: () => {} };
      const { near } = await connect({ far: { streamsMax: 2 }, service });
      const opened = [1, 2, 3].map(() => near.openStream('x'));
      expect(await codeOf((opened[2] as PeerStream).ended)).toBe('PAIPAI_ERR_OVERLOADED');
      const other = await connect({ near: { streamsMax: 2 }, service });
      for (const _ of [1, 2]) other.near.openStream('x');
      expect(codeThrown(() => other.near.openStream('x'))).toBe('PAIPAI_ERR_OVERLOADED');
    });

    test('a stream that is over counts until its handler is done', async () => {
      const release = event();
      let running = 0;
      const { near } = await connect({
        far: { streamsMax: 2 },
        service: {
          onRequest: ({ payload }) => payload,
          onStream: async () => {
            running++;
            await release.promise;
            running--;
          },
        },
      });
      const tryOne = async (): Promise<string> => {
        const stream = near.openStream('x');
        const ended = codeOf(stream.ended);
        await near.request('echo');
        stream.reset(new Error('given up'));
        return ended;
      };
      const codes = [await tryOne(), await tryOne(), await tryOne()];
      expect(running).toBe(2);
      expect(codes[2]).toBe('PAIPAI_ERR_OVERLOADED');
      release.fire();
      await near.request('echo');
      expect(running).toBe(0);
      expect(await tryOne()).toBe(codes[0]);
    });

    test('the connection dies: everything settles once, with the cause', async () => {
      const { pair, ours, theirs } = await streams();
      const writing = codeOf(ours.write(pattern(8 * mebi)));
      const iterator = theirs[Symbol.asyncIterator]();
      await iterator.next();
      const cause = new Error('pulled the plug');
      const ended = ours.ended;
      pair.near.destroy(cause);
      expect(await writing).toBe('PAIPAI_ERR_PEER_CLOSED');
      await expect(ended).rejects.toMatchObject({ code: 'PAIPAI_ERR_PEER_CLOSED', cause });
      expect(ours.signal.reason).toMatchObject({ code: 'PAIPAI_ERR_PEER_CLOSED' });
      await pair.far.closed;
      expect(await codeOf(iterator.next())).toBe('PAIPAI_ERR_PEER_CLOSED');
      expect(await codeOf(theirs.write(bytes('x')))).toBe('PAIPAI_ERR_PEER_CLOSED');
    });
  });

  describe(`session over ${name}: closing`, () => {
    test('close is orderly on both sides, and told once', async () => {
      const ends: [Peer, Error | null][] = [];
      const onClose = (peer: Peer, error: Error | null): void => void ends.push([peer, error]);
      const { near, far, listener } = await connect({
        service: { onClose },
        near: { service: { onClose } },
      });
      await Promise.all([near.close(), near.close()]);
      expect(await near.closed).toBeNull();
      expect(await far.closed).toBeNull();
      expect([near.state, far.state]).toEqual(['closed', 'closed']);
      expect(ends.map(([, error]) => error)).toEqual([null, null]);
      expect(new Set(ends.map(([peer]) => peer))).toEqual(new Set([near, far]));
      expect(listener.peers.size).toBe(0);
    });

    test('what is in flight finishes, new work is refused on both sides', async () => {
      const release = event();
      const started = event();
      const { near, far } = await connect({
        near: { service: echo },
        service: {
          onRequest: async ({ payload }) => {
            started.fire();
            await release.promise;
            return payload;
          },
        },
      });
      const answer = near.request('slow', bytes('made it'));
      await started.promise;
      const closing = near.close(5_000);
      expect(near.state).toBe('closing');
      expect(await codeOf(near.request('x'))).toBe('PAIPAI_ERR_CLOSED');
      expect(codeThrown(() => near.send('x'))).toBe('PAIPAI_ERR_CLOSED');
      expect(codeThrown(() => near.openStream('x'))).toBe('PAIPAI_ERR_CLOSED');
      expect(await codeOf(far.request('x'))).toBe('PAIPAI_ERR_CLOSED');
      expect(await codeOf(far.openStream('x').ended)).toBe('PAIPAI_ERR_CLOSED');
      release.fire();
      expect(text(await answer)).toBe('made it');
      await closing;
      expect(await far.closed).toBeNull();
    });

    test('a service finishes its answers before its side is closed', async () => {
      const started = event();
      const release = event();
      const { near, far } = await connect({
        service: {
          onRequest: async () => {
            started.fire();
            await release.promise;
            return new Uint8Array(mebi);
          },
        },
      });
      const answer = near.request('slow');
      await started.promise;
      const closing = far.close(5_000);
      release.fire();
      expect((await answer).length).toBe(mebi);
      await closing;
    });

    test('an open stream may finish within the grace', async () => {
      const arrival = event<PeerStream>();
      const { near } = await connect({ service: { onStream: arrival.fire } });
      const stream = near.openStream('x');
      const theirs = await arrival.promise;
      const received = theirs.receiveInto(new Uint8Array(mebi));
      const closing = near.close(5_000);
      await stream.write(new Uint8Array(mebi));
      stream.end();
      expect(await received).toMatchObject({ bytes: mebi });
      theirs.end(bytes('thanks'));
      expect(text(await stream.ended)).toBe('thanks');
      await closing;
    });

    test.each([
      ['closed without grace', (pair: Pair) => pair.near.close(0)],
      ['closed after its grace', (pair: Pair) => pair.near.close(10)],
      ['closed by the other side', (pair: Pair) => pair.far.close(0)],
      ['destroyed', (pair: Pair) => Promise.resolve(pair.near.destroy(new Error('x')))],
      ['destroyed by the other side', (pair: Pair) => Promise.resolve(pair.far.destroy())],
    ])('a thousand requests in flight when it is %s: each fails once', async (_, end) => {
      const signals: AbortSignal[] = [];
      const all = event();
      const pair = await connect({
        service: {
          onRequest: ({ signal }) => {
            if (signals.push(signal) === 1_000) all.fire();
            return new Promise(() => {});
          },
        },
      });
      let settled = 0;
      const answers = Array.from({ length: 1_000 }, () =>
        codeOf(pair.near.request('x')).finally(() => settled++),
      );
      await all.promise;
      await end(pair);
      expect(new Set(await Promise.all(answers))).toEqual(new Set(['PAIPAI_ERR_PEER_CLOSED']));
      await Promise.all([pair.near.closed, pair.far.closed]);
      expect(settled).toBe(1_000);
      expect(signals.every((signal) => signal.aborted)).toBe(true);
      expect(pair.near.stats().requestsInFlight).toBe(0);
    });

    test('destroy with an error gives it as the cause, and as the reason', async () => {
      const { near, far } = await connect({ service: { onRequest: () => new Promise(() => {}) } });
      const cause = new Error('enough');
      const failed = near.request('x');
      near.destroy(cause);
      near.destroy();
      await expect(failed).rejects.toMatchObject({ code: 'PAIPAI_ERR_PEER_CLOSED', cause });
      expect(await near.closed).toBe(cause);
      expect(near.state).toBe('closed');
      expect(await far.closed).toMatchObject({ code: 'PAIPAI_ERR_PEER_CLOSED' });
      expect(await codeOf(near.drained())).toBe('PAIPAI_ERR_PEER_CLOSED');
      await near.close();
    });

    test('a grace that is no count of milliseconds is an invalid argument', async () => {
      const { near, listener } = await connect();
      for (const graceMs of [-1, Number.NaN, 0.5]) {
        expect(await codeOf(near.close(graceMs))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
      }
      expect(near.state).toBe('open');
      await listener.close();
    });

    test('closing the listener closes its peers', async () => {
      const { near, far, listener } = await connect({ service: echo });
      near.ref();
      near.unref();
      await listener.close();
      expect(far.state).toBe('closed');
      expect(await near.closed).toBeNull();
      expect(listener.peers.size).toBe(0);
    });

    test('it counts what passes', async () => {
      const { near, far } = await connect({ service: echo });
      await near.request('echo', new Uint8Array(100));
      expect(near.stats()).toEqual({
        framesSent: 2,
        framesReceived: 1,
        bytesSent: 32 + 4 + 32 + 100,
        bytesReceived: 32 + 100,
        requestsInFlight: 0,
        streamsOpen: 0,
        handlerFailures: 0,
      });
      expect(far.stats()).toMatchObject({ framesSent: 1, framesReceived: 2 });
    });
  });
}
