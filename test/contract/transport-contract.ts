import { getEventListeners } from 'node:events';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  connect,
  type Lane,
  type Listener,
  listen,
  type MessageBatch,
  PaipaiError,
  type Peer,
  type PeerStream,
  type RequestContext,
} from '../../dist/api/transport.js';
import { crc32c } from '../../dist/wire/crc32c.js';
import { engines } from '../support/native-networks.js';
import { RawPeer } from '../support/raw-peer.js';
import { bytes, codeOf, codeThrown, event, fired, pattern, text } from '../support/session-pair.js';
import {
  connecting,
  freshAddress,
  listening,
  nextPeer,
  once,
  type Setting,
  type TransportPair,
  transportPair,
} from './transport-pairs.js';

const kibi = 1024;
const mebi = 1024 * kibi;

const echo = { methods: { echo: (payload: Uint8Array) => payload } };
const never = { methods: { never: () => new Promise<Uint8Array>(() => {}) } };

/** What the message transport promises, whatever engines and whatever address carry it. */
export function transportContract(name: string, setting: Setting): void {
  const pair = (options?: Parameters<typeof transportPair>[1]): Promise<TransportPair> =>
    transportPair(setting, options);

  /** A client without manners, which has done its handshake. */
  const rawPeer = async (listener: Listener): Promise<[RawPeer, Peer]> => {
    const arrival = nextPeer(listener);
    const raw = await RawPeer.ready(engines[setting.connecting].network, listener.address);
    return [raw, await arrival];
  };

  describe(`${name}: requests`, () => {
    test('one request, one answer, either way', async () => {
      const { near, far, listener } = await pair({ near: echo, far: echo });
      expect(text(await near.request('echo', bytes('there')))).toBe('there');
      expect(text(await far.request('echo', bytes('and back')))).toBe('and back');
      expect([near.engine, far.engine]).toEqual([setting.connecting, setting.listening]);
      const path = setting.sharesMemory ? 'shm' : setting.scheme;
      expect([near.path, far.path]).toEqual([path, path]);
      expect(near.remoteAddress).toBe(listener.address);
      expect([...listener.peers]).toEqual([far]);
    });

    test.each([0, 1, 16 * kibi, 16 * kibi + 1, mebi])('a payload of %i bytes', async (count) => {
      const { near } = await pair({ far: echo });
      const payload = pattern(count);
      expect(Buffer.compare(await near.request('echo', payload), payload)).toBe(0);
    });

    test('the map comes first, then onRequest, and both learn of the call', async () => {
      const seen: RequestContext<Uint8Array>[] = [];
      const { near, far } = await pair({
        far: {
          methods: { mapped: (_, context) => void seen.push(context) },
          onRequest: (method, payload, context) => {
            seen.push(context);
            return bytes(`${method}:${text(payload)}`);
          },
        },
      });
      expect(await near.request('mapped', bytes('x'), { deadlineMs: 5_000 })).toHaveLength(0);
      expect(text(await near.request('toString', bytes('y')))).toBe('toString:y');
      expect(seen.map(({ method }) => method)).toEqual(['mapped', 'toString']);
      expect(seen.every(({ peer }) => peer === far)).toBe(true);
      expect(seen[0]?.deadlineMs).toBe(5_000);
      expect(seen[0]?.signal.aborted).toBe(false);
    });

    test('a request that cannot be made rejects and never throws', async () => {
      const { near } = await pair({ far: echo });
      const wrong = [
        near.request(''),
        near.request('echo', 'text' as never),
        near.request('echo', undefined, { deadlineMs: 0 }),
        near.request('echo', undefined, { signal: {} as never }),
      ];
      const codes = await Promise.all(wrong.map(codeOf));
      expect(codes).toEqual(wrong.map(() => 'PAIPAI_ERR_INVALID_ARGUMENT'));
      await near.close();
      expect(await codeOf(near.request('echo'))).toBe('PAIPAI_ERR_CLOSED');
    });

    test.each(['constructor', '__proto__', 'missing'])('nobody serves %s', async (method) => {
      const { near } = await pair({ far: echo });
      expect(await codeOf(near.request(method))).toBe('PAIPAI_ERR_METHOD_UNKNOWN');
      expect(near.state).toBe('open');
    });

    test('what a handler throws arrives with its code, or as REMOTE', async () => {
      const { near } = await pair({
        far: {
          methods: {
            typed: () => {
              throw new PaipaiError('PAIPAI_ERR_STORE_FULL', 'no room');
            },
            plain: async () => {
              throw new TypeError('oops');
            },
            text: () => 'no bytes' as never,
          },
        },
      });
      expect(await codeOf(near.request('typed'))).toBe('PAIPAI_ERR_STORE_FULL');
      await expect(near.request('plain')).rejects.toMatchObject({
        code: 'PAIPAI_ERR_REMOTE',
        message: 'oops',
      });
      expect(await codeOf(near.request('text'))).toBe('PAIPAI_ERR_REMOTE');
    });

    test('the deadline passes on both sides', async () => {
      const reason = event<unknown>();
      const { near } = await pair({
        far: { methods: { slow: async (_, { signal }) => void reason.fire(await fired(signal)) } },
      });
      expect(await codeOf(near.request('slow', undefined, { deadlineMs: 20 }))).toBe(
        'PAIPAI_ERR_DEADLINE',
      );
      expect(await reason.promise).toMatchObject({ code: 'PAIPAI_ERR_DEADLINE' });
    });

    test('the deadline of the peer is that of requests without one', async () => {
      const { near } = await pair({ near: { deadlineMs: 20 }, far: never });
      expect(await codeOf(near.request('never'))).toBe('PAIPAI_ERR_DEADLINE');
    });

    test('aborted before, during and after', async () => {
      const asked = event<void>();
      const { near } = await pair({
        far: {
          methods: {
            ...echo.methods,
            slow: (_, { signal }) => {
              asked.fire();
              return fired(signal).then(() => undefined);
            },
          },
        },
      });
      const before = AbortSignal.abort(new Error('never mind'));
      expect(await codeOf(near.request('echo', undefined, { signal: before }))).toBe(
        'PAIPAI_ERR_ABORTED',
      );
      const during = new AbortController();
      const failure = codeOf(near.request('slow', undefined, { signal: during.signal }));
      await asked.promise;
      during.abort();
      expect(await failure).toBe('PAIPAI_ERR_ABORTED');
      const after = new AbortController();
      expect(await near.request('echo', bytes('x'), { signal: after.signal })).toHaveLength(1);
      after.abort();
      expect(getEventListeners(after.signal, 'abort')).toHaveLength(0);
      expect(near.stats().requestsInFlight).toBe(0);
    });

    test.each<[string, (peer: Peer) => Promise<unknown>]>([
      ['a deadline of 0', (peer) => peer.request('echo', undefined, { deadlineMs: 0 })],
      ['a negative deadline', (peer) => peer.request('echo', undefined, { deadlineMs: -1 })],
      [
        'a deadline that is no number',
        (peer) => peer.request('echo', undefined, { deadlineMs: NaN }),
      ],
      ['text as payload', (peer) => peer.request('echo', 'text' as never)],
      ['null as payload', (peer) => peer.request('echo', null as never)],
      ['numbers as payload', (peer) => peer.request('echo', [1, 2] as never)],
      ['no method', (peer) => peer.request('')],
      ['a method that is no text', (peer) => peer.request(7 as never)],
      ['a method of 256 bytes', (peer) => peer.request('x'.repeat(256))],
      [
        'an option of an unknown name',
        (peer) => peer.request('echo', undefined, { deadlineMS: 5 } as never),
      ],
      [
        'an option of a stream of an unknown name',
        async (peer) => peer.openStream('s', undefined, { deadline: 5 } as never),
      ],
      ['options that are none', (peer) => peer.request('echo', undefined, null as never)],
      ['a signal that is none', (peer) => peer.request('echo', undefined, { signal: {} as never })],
      [
        'failFast that is no boolean',
        (peer) => peer.request('echo', undefined, { failFast: 1 as never }),
      ],
      ['a grace that is none', (peer) => peer.close(-1)],
      ['an end for no error', async (peer) => peer.destroy('enough' as never)],
      ['text as message', async (peer) => peer.send('topic', 'text' as never)],
      ['no topic', async (peer) => peer.send('')],
      ['text as metadata', async (peer) => peer.openStream('s', 'text' as never)],
    ])('%s is refused, and the peer goes on', async (_, call) => {
      const { near } = await pair({ far: echo });
      expect(await codeOf(call(near))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
      expect(text(await near.request('echo', bytes('on')))).toBe('on');
    });

    test('a payload above the limit is refused, one at the limit is not', async () => {
      const limits = { frameBytesMax: 64 * kibi };
      const { near } = await pair({ near: limits, far: { ...limits, ...echo } });
      expect(await near.request('echo', pattern(64 * kibi))).toHaveLength(64 * kibi);
      expect(await codeOf(near.request('echo', pattern(64 * kibi + 1)))).toBe(
        'PAIPAI_ERR_FRAME_TOO_LARGE',
      );
    });

    test('more at once than the other side serves is shed', async () => {
      const { near } = await pair({ far: { ...never, requestsInFlightMax: 2 } });
      const first = [near.request('never'), near.request('never')].map(codeOf);
      expect(await codeOf(near.request('never'))).toBe('PAIPAI_ERR_OVERLOADED');
      near.destroy();
      expect(await Promise.all(first)).toEqual([
        'PAIPAI_ERR_PEER_CLOSED',
        'PAIPAI_ERR_PEER_CLOSED',
      ]);
    });

    test('more of ours at once than we may have is shed here, until one is answered', async () => {
      const answers: ((answer: Uint8Array) => void)[] = [];
      const came = [event<void>(), event<void>(), event<void>()];
      const later = () =>
        new Promise<Uint8Array>((done) => {
          came[answers.length]?.fire();
          answers.push(done);
        });
      const { near } = await pair({ near: { requestsPendingMax: 2 }, far: { methods: { later } } });
      const first = [near.request('later'), near.request('later')];
      const sent = near.stats().framesSent;
      expect(await codeOf(near.request('later'))).toBe('PAIPAI_ERR_OVERLOADED');
      expect(codeThrown(() => near.fast.request('later', pattern(1), () => {}))).toBe(
        'PAIPAI_ERR_OVERLOADED',
      );
      expect(near.stats().framesSent).toBe(sent);
      await came[1]?.promise;
      answers[0]?.(pattern(1));
      expect(await first[0]).toHaveLength(1);
      const third = near.request('later');
      await came[2]?.promise;
      for (const answer of answers.slice(1)) answer(pattern(2));
      expect((await Promise.all([first[1], third])).map((answer) => answer?.length)).toEqual([
        2, 2,
      ]);
    });
  });

  describe(`${name}: values`, () => {
    test('go in and come out', async () => {
      const address = freshAddress(setting.scheme);
      const listener = await listen(address, {
        codec: 'msgpack',
        engine: setting.listening,
        methods: { echo: (value) => value, nothing: () => {}, odd: () => () => {} },
      });
      onTestFinished(() => listener.close(0));
      const near = await connect(listener.address, {
        codec: 'msgpack',
        engine: setting.connecting,
      });
      onTestFinished(() => near.destroy());
      const value = { text: 'ü', list: [1, 2.5, null, true], big: 2n ** 60n, raw: bytes('b') };
      expect(await near.request('echo', value)).toEqual(value);
      expect(await near.request('nothing', 1)).toBeNull();
      const message = once<string>(near, 'message');
      expect(listener.broadcast('news', { of: 'today' }).queuedCount).toBe(1);
      expect(await message).toBe('news');
      expect(await codeOf(near.request('echo', { f: () => {} }))).toBe('PAIPAI_ERR_VALUE');
      expect(await codeOf(near.request('odd'))).toBe('PAIPAI_ERR_REMOTE');
    });

    test('bytes that are no value are the caller’s mistake', async () => {
      const listener = await listen(freshAddress(setting.scheme), {
        codec: 'msgpack',
        engine: setting.listening,
        methods: { echo: (value) => value },
      });
      onTestFinished(() => listener.close(0));
      const near = await connecting(setting, listener.address);
      expect(await codeOf(near.request('echo', new Uint8Array([0xc1])))).toBe('PAIPAI_ERR_VALUE');
    });
  });

  describe(`${name}: messages`, () => {
    test('go to the map, then to onMessage, in order with requests', async () => {
      const seen: string[] = [];
      const { near } = await pair({
        far: {
          ...echo,
          topics: { a: (payload) => void seen.push(`map ${text(payload)}`) },
          onMessage: (topic, payload) => void seen.push(`${topic} ${text(payload)}`),
        },
      });
      expect([near.send('a', bytes('1')), near.send('b', bytes('2')), near.send('a')]).toEqual([
        true,
        true,
        true,
      ]);
      await near.request('echo');
      expect(seen).toEqual(['map 1', 'b 2', 'map ']);
    });

    test('said in the event `peer` reach who listens right after connect', async () => {
      const listener = await listening(setting);
      listener.on('peer', (peer) => {
        peer.send('welcome', bytes('1'));
        peer.send('welcome', bytes('2'));
      });
      const near = await connecting(setting, listener.address);
      const events: string[] = [];
      near.on('connect', () => events.push('connect'));
      const both = new Promise<void>((resolve) => {
        near.on('message', (topic, payload) => {
          events.push(`${topic} ${text(payload)}`);
          if (events.length === 3) resolve();
        });
      });
      await both;
      expect(events).toEqual(['connect', 'welcome 1', 'welcome 2']);
    });

    test('that nobody takes, or whose handler throws, are counted', async () => {
      const { near, far } = await pair({
        far: {
          ...echo,
          topics: {
            bad: () => {
              throw new Error('oops');
            },
          },
        },
      });
      near.send('bad');
      near.send('lost');
      await near.request('echo');
      expect(far.stats()).toMatchObject({ handlerFailures: 1, messagesUnhandled: 1 });
    });

    test('broadcast reaches every peer once', async () => {
      const listener = await listening(setting);
      const peers = await Promise.all([1, 2, 3].map(() => connecting(setting, listener.address)));
      const heard = peers.map((peer) => once<string>(peer, 'message'));
      const counts = peers.map(() => 0);
      peers.forEach((peer, i) => void peer.on('message', () => counts[i]!++));
      // The last of them may still be on its way into the listener's set.
      while (listener.peers.size < 3) await once(listener, 'peer');
      expect(listener.broadcast('tick', bytes('x'))).toEqual({
        queuedCount: 3,
        aboveHighMark: [],
        skippedCount: 0,
      });
      expect(await Promise.all(heard)).toEqual(['tick', 'tick', 'tick']);
      expect(counts).toEqual([1, 1, 1]);
      expect(codeThrown(() => listener.broadcast('tick', 'text' as never))).toBe(
        'PAIPAI_ERR_INVALID_ARGUMENT',
      );
      await listener.close();
      expect(codeThrown(() => listener.broadcast('tick'))).toBe('PAIPAI_ERR_CLOSED');
    });
  });

  describe(`${name}: messages of the bulk lane`, () => {
    const lane = 'bulk';

    test('arrive in their order, and yours are the bytes at once', async () => {
      const seen: [string, number, number][] = [];
      const lengths = [0, 1, 16 * kibi, 16 * kibi + 1, mebi, 5 * mebi, 2];
      const all = event<void>();
      const { near } = await pair({
        far: {
          onMessage: (topic, payload) => {
            seen.push([topic, payload.length, crc32c(payload)]);
            if (seen.length === lengths.length) all.fire();
          },
        },
      });
      const expected = lengths.map((length, i) => {
        const payload = pattern(length);
        const sum = crc32c(payload);
        near.send(`topic ${i}`, payload, { lane });
        payload.fill(0xee);
        return [`topic ${i}`, length, sum];
      });
      await all.promise;
      expect(seen).toEqual(expected);
    });

    test('go to fast topics as well', async () => {
      const heard = event<void>();
      let count = 0;
      const topics = {
        t: (batch: MessageBatch) => {
          count += batch.length;
          if (count === 300) heard.fire();
        },
      };
      const { near } = await pair({ far: { fast: { topics } } });
      for (let i = 0; i < 300; i++) near.send('t', pattern(i), { lane });
      await heard.promise;
    });

    test('are overtaken by requests made behind them', async () => {
      const events: string[] = [];
      const all = event<void>();
      const { near } = await pair({
        far: {
          ...echo,
          onMessage: (topic) => {
            if (events.push(topic) === 15) all.fire();
          },
        },
      });
      for (let i = 0; i < 15; i++) near.send('bulk', pattern(mebi), { lane });
      await near.request('echo', bytes('quick'));
      expect(events.length).toBeLessThan(15);
      await all.promise;
    });

    test('all arrive before the goodbye of a close', async () => {
      let count = 0;
      const { near, far } = await pair({ far: { onMessage: () => void count++ } });
      const closed = once(far, 'close');
      for (let i = 0; i < 12; i++) near.send('bulk', pattern(mebi), { lane });
      await near.close(20_000);
      expect(await closed).toBeNull();
      expect(count).toBe(12);
    });

    test('a connection that breaks while a close waits for them is told as broken', async () => {
      const { near, far } = await pair({ near: { queuedBytesMax: 1024 * mebi } });
      const closed = once(near, 'close');
      for (let i = 0; i < 100; i++) near.send('bulk', pattern(mebi), { lane });
      const closing = near.close(20_000);
      far.destroy();
      await closing;
      expect(await closed).toMatchObject({ code: 'PAIPAI_ERR_PEER_CLOSED' });
    });

    test('bring their topic first, also when sent by a handler', async () => {
      const { near, far } = await pair({
        near: { topics: { a: () => void near.send('answer', pattern(5), { lane }) } },
      });
      const heard = once<string>(far, 'message');
      for (let i = 0; i < 10; i++) far.send('a', pattern(5), { lane });
      expect(await heard).toBe('answer');
    });

    test('may be broadcast', async () => {
      const { near, listener } = await pair();
      const heard = once<string>(near, 'message');
      expect(listener.broadcast('tick', pattern(mebi), { lane }).queuedCount).toBe(1);
      expect(await heard).toBe('tick');
    });

    test('options that say nothing are refused', async () => {
      const { near, listener } = await pair();
      for (const options of [{ lane: 'slow' }, { lanes: 'bulk' }, 'bulk', null] as never[]) {
        const sending = [
          () => near.send('t', pattern(1), options),
          () => listener.broadcast('t', pattern(1), options),
        ];
        expect(sending.map(codeThrown)).toEqual(sending.map(() => 'PAIPAI_ERR_INVALID_ARGUMENT'));
      }
    });
  });

  describe(`${name}: streams`, () => {
    const relay = async (stream: PeerStream): Promise<void> => {
      let byteCount = 0;
      for await (const chunk of stream) {
        byteCount += chunk.length;
        await stream.write(chunk);
      }
      stream.end(bytes(String(byteCount)));
    };

    test.each(['onStream', 'the event'])('both ways at once, through %s', async (how) => {
      const { near, far } = await pair({ far: how === 'onStream' ? { onStream: relay } : {} });
      if (how === 'the event') far.on('stream', (stream) => void relay(stream));
      const stream = near.openStream('relay', bytes('m'));
      const sent = pattern(600 * kibi);
      const received: Uint8Array[] = [];
      const reading = (async () => {
        for await (const chunk of stream) received.push(chunk);
      })();
      await stream.write(sent);
      stream.end();
      await reading;
      expect(Buffer.compare(Buffer.concat(received), sent)).toBe(0);
      expect(text(await stream.ended)).toBe(String(sent.length));
    });

    test('that nobody takes', async () => {
      const { near } = await pair();
      expect(await codeOf(near.openStream('lost').ended)).toBe('PAIPAI_ERR_METHOD_UNKNOWN');
    });

    test('one too many', async () => {
      const { near } = await pair({ near: { streamsMax: 1 }, far: { onStream: () => {} } });
      near.openStream('first');
      expect(codeThrown(() => near.openStream('second'))).toBe('PAIPAI_ERR_OVERLOADED');
    });
  });

  describe(`${name}: ends`, () => {
    test('in order: work under way is finished, new work refused, both sides told', async () => {
      const goOn = event<void>();
      const asked = event<void>();
      const { near, far, listener } = await pair({
        far: {
          methods: {
            slow: async () => {
              asked.fire();
              await goOn.promise;
            },
          },
        },
      });
      const closes = [once(near, 'close'), once(far, 'close')];
      const slow = near.request('slow');
      await asked.promise;
      const closing = near.close(10_000);
      expect(near.state).toBe('closing');
      expect(await codeOf(near.request('slow'))).toBe('PAIPAI_ERR_CLOSED');
      expect(codeThrown(() => near.send('t'))).toBe('PAIPAI_ERR_CLOSED');
      expect(codeThrown(() => near.openStream('s'))).toBe('PAIPAI_ERR_CLOSED');
      goOn.fire();
      expect(await slow).toHaveLength(0);
      await closing;
      expect(await Promise.all(closes)).toEqual([null, null]);
      expect(near.state).toBe('closed');
      expect(listener.peers.size).toBe(0);
      await near.close();
    });

    test.each<[string, (pair: TransportPair) => Promise<void> | void]>([
      ['close', ({ near }) => near.close(10)],
      ['destroy', ({ near }) => near.destroy(new Error('enough'))],
      ['the other side’s close', ({ listener }) => listener.close(10)],
      ['the other side’s destroy', ({ far }) => far.destroy()],
    ])('%s with 1,000 requests under way settles each once', async (_, end) => {
      const made = await pair({ far: never });
      const codes = new Map<string, number>();
      const all = Array.from({ length: 1_000 }, async () => {
        const code = await codeOf(made.near.request('never', bytes('x')));
        codes.set(code, (codes.get(code) ?? 0) + 1);
      });
      const closed = once(made.near, 'close');
      await end(made);
      await Promise.all([...all, closed]);
      expect([...codes]).toEqual([['PAIPAI_ERR_PEER_CLOSED', 1_000]]);
      expect(made.near.state).toBe('closed');
    });

    test('a listener tells when it has closed', async () => {
      const { listener, near } = await pair();
      const ends = [once(listener, 'close'), once(near, 'close')];
      await listener[Symbol.asyncDispose]();
      await Promise.all(ends);
    });
  });

  describe(`${name}: who may join`, () => {
    const secret = 'sixteen bytes ok';

    test('the same secret', async () => {
      const { near } = await pair({ near: { secret }, far: { secret, ...echo } });
      expect(await near.request('echo', bytes('x'))).toHaveLength(1);
    });

    test.each([
      ['another secret', { secret: 'another secret altogether' }, 'PAIPAI_ERR_SECRET'],
      ['no secret', {}, 'PAIPAI_ERR_SECRET'],
      ['another name', { secret, name: 'elsewhere' }, 'PAIPAI_ERR_NET_NAME'],
    ])('not with %s', async (_, options, code) => {
      const listener = await listening(setting, { secret });
      expect(await codeOf(connecting(setting, listener.address, options))).toBe(code);
      expect(listener.peers.size).toBe(0);
    });
  });

  describe(`${name}: a peer that does not read`, () => {
    const far = { queuedBytesMax: 2 * mebi };

    /** Sends until the queue is full; how many went in. */
    const fill = (peer: Peer, lane: Lane): number => {
      const chunk = pattern(64 * kibi);
      for (let count = 0; ; count++) {
        try {
          peer.send('flood', chunk, { lane });
        } catch (error) {
          expect(error).toMatchObject({ code: 'PAIPAI_ERR_BACK_PRESSURE' });
          return count;
        }
      }
    };

    const lanes: Lane[] = ['first', 'bulk'];
    test.each(lanes)('has a bounded queue, and goes on when it reads again: %s', async (lane) => {
      const listener = await listening(setting, far);
      const [raw, peer] = await rawPeer(listener);
      raw.channel.pause();
      const events: string[] = [];
      peer.on('pressure', () => events.push('pressure'));
      peer.on('drain', () => events.push('drain'));
      // What the system takes at first makes room again, until its buffers are full too.
      while (fill(peer, lane) > 0) await new Promise(setImmediate);
      expect(peer.stats().queuedBytes).toBeLessThanOrEqual(2 * mebi);
      expect(peer.stats().queuedBytes).toBeGreaterThan(mebi);
      expect(await codeOf(peer.request('x', pattern(64 * kibi)))).toBe('PAIPAI_ERR_BACK_PRESSURE');
      expect(events.at(-1)).toBe('pressure');
      const drained = once(peer, 'drain');
      raw.channel.resume();
      await Promise.all([drained, peer.drained()]);
      // One after the other, however often the system made room meanwhile.
      expect(events.join(' ')).toMatch(/^(pressure drain ?)+$/);
      expect(peer.send('after', undefined, { lane })).toBe(true);
    });

    test.each([
      ['a short queue', 64 * kibi, 1_000, 300],
      ['a frame as long as the queue', mebi, mebi - 100, 3],
    ])(
      'who tries again behind drained() gets it all through: %s',
      async (_, queuedBytesMax, payloadBytes, count) => {
        let cameBytes = 0;
        const { near } = await pair({
          near: { queuedBytesMax },
          far: {
            topics: {
              flood(payload) {
                cameBytes += payload.length;
              },
            },
            methods: { came: () => bytes(`${cameBytes}`) },
          },
        });
        const payload = pattern(payloadBytes);
        near.send('flood', bytes('before'));
        let refused = 0;
        for (let sent = 0; sent < count; ) {
          try {
            near.send('flood', payload);
            sent++;
          } catch (error) {
            expect(error).toMatchObject({ code: 'PAIPAI_ERR_BACK_PRESSURE' });
            // Where nothing ever leaves, nothing else would end it.
            expect(++refused).toBeLessThan(100_000);
            await near.drained();
          }
        }
        while (near.stats().queuedBytes > 0) await new Promise(setImmediate);
        expect(text(await near.request('came'))).toBe(`${count * payloadBytes + 6}`);
      },
    );

    test('what never fits is said to be too long, whatever waits', async () => {
      const { near } = await pair({ near: { frameBytesMax: mebi, queuedBytesMax: mebi } });
      const payload = pattern(mebi + 1);
      near.send('flood', bytes('before'));
      for (const lane of lanes) {
        expect(codeThrown(() => near.send('flood', payload, { lane }))).toBe(
          'PAIPAI_ERR_FRAME_TOO_LARGE',
        );
      }
      expect(await codeOf(near.request('x', payload))).toBe('PAIPAI_ERR_FRAME_TOO_LARGE');
    });

    test.each(['skip', 'drop'] as const)('does not hold up a broadcast: %s', async (slowPeers) => {
      const listener = await listening(setting, { ...far, slowPeers });
      const [raw, slow] = await rawPeer(listener);
      const slowClosed = once(slow, 'close');
      raw.channel.pause();
      const quick = await connecting(setting, listener.address);
      while (listener.peers.size < 2) await once(listener, 'peer');
      const chunk = pattern(512 * kibi);
      let heard = 0;
      quick.on('message', () => heard++);
      let sent = 0;
      for (let skippedCount = 0; skippedCount === 0; sent++) {
        const message = once(quick, 'message');
        ({ skippedCount } = listener.broadcast('tick', chunk));
        await message;
      }
      expect(heard).toBe(sent);
      if (slowPeers === 'drop') {
        expect(await slowClosed).toMatchObject({ code: 'PAIPAI_ERR_BACK_PRESSURE' });
      } else {
        expect(slow.state).toBe('open');
        expect(listener.broadcast('tick', chunk)).toMatchObject({
          queuedCount: 1,
          skippedCount: 1,
        });
      }
    });
  });
}
