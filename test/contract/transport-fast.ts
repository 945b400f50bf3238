import { describe, expect, onTestFinished, test } from 'vitest';
import type {
  DeferredAnswer,
  FastHandlers,
  Lease,
  ListenOptions,
  MessageBatch,
  Peer,
  RequestBatch,
} from '../../dist/api/transport.js';
import { bytes, codeOf, codeThrown, event, pattern, text } from '../support/session-pair.js';
import { connecting, listening, nextPeer, type Setting, transportPair } from './transport-pairs.js';

const echo: FastHandlers = {
  methods: {
    echo(batch) {
      for (let i = 0; i < batch.length; i++) batch.replyRange(i, batch.start(i), batch.end(i));
    },
  },
};

function textOf(batch: MessageBatch, index: number): string {
  return text(batch.bytes.subarray(batch.start(index), batch.end(index)));
}

/** The answer as a copy. */
function ask(peer: Peer, method: string, payload: Uint8Array, deadlineMs?: number) {
  return new Promise<Uint8Array>((resolve, reject) => {
    peer.fast.request(
      method,
      payload,
      (error, from, start, end) => {
        if (error === null) resolve(from.slice(start, end));
        else reject(error);
      },
      deadlineMs,
    );
  });
}

/** A pair whose far side keeps copies of the messages of topic `a`, and says how many came. */
async function collectingPair(setting: Setting): Promise<{ near: Peer; came: Uint8Array[] }> {
  const came: Uint8Array[] = [];
  const { near } = await transportPair(setting, {
    far: {
      fast: {
        topics: {
          a(batch) {
            for (let i = 0; i < batch.length; i++)
              came.push(batch.bytes.slice(batch.start(i), batch.end(i)));
          },
        },
      },
      methods: { came: () => bytes(`${came.length}`) },
    },
  });
  return { near, came };
}

/** What the surface of callbacks promises, over one pair of engines. */
export function fastContract(name: string, setting: Setting): void {
  describe(`${name}: the fast surface`, () => {
    test('a request, an answer, either way', async () => {
      const { near, far } = await transportPair(setting, {
        near: { fast: echo },
        far: { fast: echo },
      });
      expect(text(await ask(near, 'echo', bytes('there')))).toBe('there');
      expect(text(await ask(far, 'echo', bytes('and back')))).toBe('and back');
    });

    test('one function serves several names, and is told which', async () => {
      const name = (batch: RequestBatch): void => {
        for (let i = 0; i < batch.length; i++) batch.reply(i, bytes(batch.name));
      };
      const { near } = await transportPair(setting, {
        far: { fast: { methods: { get: name, put: name } } },
      });
      await ask(near, 'get', bytes('once, so that the name is known'));
      await ask(near, 'put', bytes('and this one'));
      const answers = await Promise.all(
        ['get', 'put', 'get'].map((method) => ask(near, method, bytes('together'))),
      );
      expect(answers.map((answer) => text(answer))).toEqual(['get', 'put', 'get']);
    });

    test.each([0, 1, 7, 8, 64, 1_024, 1_025, 16_384, 16_385, 1_048_576])(
      '%i bytes',
      async (count) => {
        const { near } = await transportPair(setting, { far: { fast: echo } });
        const payload = pattern(count);
        expect(Buffer.compare(await ask(near, 'echo', payload), payload)).toBe(0);
      },
    );

    test('a thousand at once, each with its own answer, and meets promises half-way', async () => {
      const lengths: number[] = [];
      const { near } = await transportPair(setting, {
        far: {
          fast: {
            methods: {
              echo(batch) {
                lengths.push(batch.length);
                echo.methods?.echo?.(batch);
              },
            },
          },
        },
      });
      const answers = Array.from({ length: 1_000 }, (_, i) =>
        i % 2 === 0 ? ask(near, 'echo', bytes(`${i}`)) : near.request('echo', bytes(`${i}`)),
      );
      expect((await Promise.all(answers)).map(text)).toEqual(answers.map((_, i) => `${i}`));
      expect(lengths.reduce((sum, length) => sum + length)).toBe(1_000);
      expect(near.stats().requestsInFlight).toBe(0);
    });

    test('messages come in order, and in order with everything else', async () => {
      const seen: string[] = [];
      const { near } = await transportPair(setting, {
        far: {
          fast: {
            topics: {
              a(batch) {
                for (let i = 0; i < batch.length; i++)
                  seen.push(`${batch.name} ${textOf(batch, i)}`);
              },
            },
          },
          topics: { b: (payload) => void seen.push(`b ${text(payload)}`) },
          methods: { seen: () => bytes(seen.join()) },
        },
      });
      near.send('a', bytes('1'));
      near.fast.send('a', bytes('2'));
      near.send('b', bytes('3'));
      near.send('a', bytes('4'));
      expect(text(await near.request('seen'))).toBe('a 1,a 2,b 3,a 4');
    });

    test.each([1, 7, 8, 64, 1_020, 1_024, 1_025, 16_385])(
      'sendMany: payloads of %i bytes come in order, and in order with everything else',
      async (payloadBytes) => {
        const count = Math.min(3_000, Math.floor((1024 * 1024) / payloadBytes));
        const sent = pattern(payloadBytes * count);
        const { near, came } = await collectingPair(setting);
        near.fast.send('a', bytes('before'));
        near.fast.sendMany('a', sent, payloadBytes);
        near.fast.send('a', bytes('between'));
        near.fast.sendMany('a', new Uint8Array(0), payloadBytes);
        near.fast.sendMany('a', sent.subarray(0, payloadBytes), payloadBytes);
        expect(text(await near.request('came'))).toBe(`${count + 3}`);
        expect(text(came[0]!)).toBe('before');
        expect(Buffer.compare(Buffer.concat(came.slice(1, count + 1)), sent)).toBe(0);
        expect(text(came[count + 1]!)).toBe('between');
        expect(came[count + 2]).toEqual(came[1]);
        expect(near.stats().framesSent).toBeGreaterThan(count);
      },
    );

    test('sendMany reaches a topic of the other surface too', async () => {
      const came: string[] = [];
      const { near } = await transportPair(setting, {
        far: {
          topics: { a: (payload) => void came.push(text(payload)) },
          methods: { came: () => bytes(came.join()) },
        },
      });
      near.fast.sendMany('a', bytes('onetwosix'), 3);
      expect(text(await near.request('came'))).toBe('one,two,six');
    });

    test.each([0, 10, 16_384, 16_385, 1_048_576])(
      'a lease keeps a payload of %i bytes while others come, until it is released',
      async (count) => {
        const leases: Lease[] = [];
        const { near, far } = await transportPair(setting, {
          far: {
            fast: {
              topics: {
                a(batch) {
                  for (let i = 0; i < batch.length; i++) leases.push(batch.lease(i));
                },
                b() {},
              },
            },
            methods: { came: () => bytes(`${leases.length}`) },
          },
        });
        const payloads = [3, 4, 5].map((seed) => pattern(count).map((byte) => byte ^ seed));
        for (const payload of payloads) {
          near.fast.send('a', payload);
          near.fast.send('b', pattern(count));
        }
        expect(text(await near.request('came'))).toBe('3');
        leases[1]?.release();
        leases[1]?.release();
        expect(leases[1]?.bytes.length).toBe(0);
        for (let i = 0; i < 8; i++) near.fast.send('b', pattern(count));
        expect(text(await near.request('came'))).toBe('3');
        far.destroy();
        for (const i of [0, 2]) {
          expect(Buffer.compare(leases[i]!.bytes, payloads[i]!)).toBe(0);
          leases[i]![Symbol.dispose]();
        }
      },
    );

    test.each([10, 16_385, 1_048_576])(
      'two leases on a payload of %i bytes are two, and a deferred answer is a copy',
      async (count) => {
        const { near } = await transportPair(setting, {
          far: {
            fast: {
              methods: {
                twice(batch) {
                  for (let i = 0; i < batch.length; i++) {
                    batch.lease(i).release();
                    const lease = batch.lease(i);
                    const other = batch.lease(i);
                    const answer = batch.defer(i);
                    other.release();
                    answer.reply(lease.bytes);
                    lease.release();
                  }
                },
              },
            },
          },
        });
        const payload = pattern(count);
        const answers = await Promise.all(
          Array.from({ length: 10 }, () => ask(near, 'twice', payload)),
        );
        for (const answer of answers) expect(Buffer.compare(answer, payload)).toBe(0);
      },
    );

    test.each([0, 10, 16_384, 16_385, 1_048_576, 4_194_304])(
      'send by reference: %i bytes are told once to be yours again, and come as they were',
      async (count) => {
        const { near, came } = await collectingPair(setting);
        const payload = pattern(count);
        const calls: (Error | null)[] = [];
        const told = event<void>();
        near.fast.send('a', bytes('before'));
        near.fast.send('a', payload, (error) => {
          calls.push(error);
          told.fire();
        });
        expect(calls).toEqual([]);
        near.fast.send('a', bytes('after'));
        await told.promise;
        payload.fill(0);
        expect(text(await near.request('came'))).toBe('3');
        expect([text(came[0]!), text(came[2]!)]).toEqual(['before', 'after']);
        expect(Buffer.compare(came[1]!, pattern(count))).toBe(0);
        expect(calls).toEqual([null]);
      },
    );

    test('send by reference: what never left is told with the reason', async () => {
      const { near } = await transportPair(setting, { far: {} });
      const told = Promise.all(
        Array.from(
          { length: 4 },
          () =>
            new Promise<Error | null>((resolve) => {
              near.fast.send('a', new Uint8Array(3 * 1024 * 1024), resolve);
            }),
        ),
      );
      near.destroy();
      // The portable engine has copied them.
      const codes = (await told).map((error) => (error as { code?: string } | null)?.code);
      const expected = setting.connecting === 'native' ? 'PAIPAI_ERR_CLOSED' : undefined;
      expect(codes.at(-1)).toBe(expected);
    });

    test('the batch knows its peer and its name', async () => {
      const known = event<[unknown, string]>();
      const { near, far } = await transportPair(setting, {
        far: { fast: { topics: { a: (batch) => known.fire([batch.peer, batch.name]) } } },
      });
      near.send('a', bytes(''));
      expect(await known.promise).toEqual([far, 'a']);
    });

    test('what is failed, forgotten or thrown at fails, and nothing else', async () => {
      const { near } = await transportPair(setting, {
        far: {
          fast: {
            methods: {
              mixed(batch) {
                for (let i = 0; i < batch.length; i++) {
                  const what = textOf(batch, i);
                  if (what === 'good') batch.reply(i, bytes('ok'));
                  if (what === 'fail') batch.fail(i, new RangeError('too far'));
                  if (what === 'throw') throw new Error('thrown');
                }
              },
            },
          },
        },
      });
      const of = (what: string): Promise<string> =>
        ask(near, 'mixed', bytes(what)).then(text, ({ message }: Error) => message);
      const [good, failed, forgotten] = await Promise.all([of('good'), of('fail'), of('forget')]);
      expect(good).toBe('ok');
      expect(failed).toContain('too far');
      expect(forgotten).toContain('neither answered nor deferred');
      expect(await of('throw')).toContain('thrown');
      expect(await of('good')).toBe('ok');
    });

    test('a deferred answer comes later, once, and not after its deadline', async () => {
      const held: DeferredAnswer[] = [];
      const came = event<void>();
      const { near } = await transportPair(setting, {
        far: {
          fast: {
            methods: {
              later(batch) {
                for (let i = 0; i < batch.length; i++) held.push(batch.defer(i));
                came.fire();
              },
            },
          },
        },
      });
      const answer = ask(near, 'later', bytes(''));
      await came.promise;
      held[0]?.reply(bytes('late'));
      held[0]?.reply(bytes('again'));
      expect(text(await answer)).toBe('late');
      const short = ask(near, 'later', bytes(''), 20);
      expect(await codeOf(short)).toBe('PAIPAI_ERR_DEADLINE');
      held[1]?.fail(new Error('too late'));
      expect(await codeOf(ask(near, 'later', bytes(''), 20))).toBe('PAIPAI_ERR_DEADLINE');
    });

    test('more deferred at once than allowed is shed, also of one batch', async () => {
      const held: DeferredAnswer[] = [];
      let calls = 0;
      const { near } = await transportPair(setting, {
        far: {
          requestsInFlightMax: 2,
          fast: {
            methods: {
              later(batch) {
                calls++;
                for (let i = 0; i < batch.length; i++) held.push(batch.defer(i));
              },
            },
          },
        },
      });
      const asked = Array.from({ length: 5 }, () => ask(near, 'later', bytes('')));
      const shed = await Promise.all(asked.slice(2).map(codeOf));
      expect(shed).toEqual(Array(3).fill('PAIPAI_ERR_OVERLOADED'));
      for (const late of held.slice(2)) {
        expect(late.signal.aborted).toBe(true);
        late.reply(bytes('nobody waits'));
      }
      // While they are held no handler is called.
      const before = calls;
      expect(await codeOf(ask(near, 'later', bytes('')))).toBe('PAIPAI_ERR_OVERLOADED');
      expect(calls).toBe(before);
      for (const one of held.slice(0, 2)) one.reply(bytes('late'));
      expect((await Promise.all(asked.slice(0, 2))).map(text)).toEqual(['late', 'late']);
      const next = held.length;
      const again = ask(near, 'later', bytes(''));
      // Its answer comes behind that, so by then the request has come.
      expect(await codeOf(near.request('unknown'))).toBe('PAIPAI_ERR_METHOD_UNKNOWN');
      held[next]?.reply(bytes('again'));
      expect(text(await again)).toBe('again');
    });

    test('an answer given twice, a batch used too late, an index outside', async () => {
      const codes: (string | undefined)[] = [];
      let kept: RequestBatch | undefined;
      const { near } = await transportPair(setting, {
        far: {
          fast: {
            methods: {
              misuse(batch) {
                kept = batch;
                batch.reply(0, bytes('once'));
                codes.push(codeThrown(() => batch.reply(0)));
                codes.push(codeThrown(() => batch.reply(batch.length)));
                expect(() => batch.reply(-1)).toThrow('none of index -1');
                expect(() => batch.reply(0.5)).toThrow('none of index 0.5');
                codes.push(codeThrown(() => batch.start(-1)));
                codes.push(codeThrown(() => batch.end(Number.NaN)));
              },
            },
          },
        },
      });
      expect(text(await ask(near, 'misuse', bytes('')))).toBe('once');
      codes.push(codeThrown(() => kept?.reply(0)));
      expect(codes).toEqual(Array(5).fill('PAIPAI_ERR_INVALID_STATE'));
    });

    test('an answer that cannot be sent fails its request', async () => {
      const thrown: (string | undefined)[] = [];
      const { near } = await transportPair(setting, {
        far: {
          frameBytesMax: 64 * 1024,
          fast: {
            methods: {
              words: (batch) => batch.reply(0, 'no bytes' as never),
              much: (batch) => batch.reply(0, new Uint8Array(64 * 1024 + 1)),
              second: (batch) => {
                thrown.push(codeThrown(() => batch.reply(0, 'no bytes' as never)));
                batch.reply(0, bytes('bytes'));
              },
            },
          },
        },
      });
      // Without an answer they would wait for ever.
      const never = { deadlineMs: Infinity };
      expect(await codeOf(near.request('words', undefined, never))).toBe(
        'PAIPAI_ERR_INVALID_ARGUMENT',
      );
      expect(await codeOf(near.request('much', undefined, never))).toBe(
        'PAIPAI_ERR_FRAME_TOO_LARGE',
      );
      expect(text(await near.request('second', undefined, never))).toBe('bytes');
      expect(thrown).toEqual(['PAIPAI_ERR_INVALID_ARGUMENT']);
    });

    test('every callback is called once when the connection ends', async () => {
      const { near, far } = await transportPair(setting, {
        far: {
          fast: {
            methods: {
              hold: (batch) => {
                for (let i = 0; i < batch.length; i++) batch.defer(i);
              },
            },
          },
        },
      });
      const underWay = Array.from({ length: 1_000 }, () => codeOf(ask(near, 'hold', bytes('x'))));
      await near.request('hold', undefined, { deadlineMs: 20 }).catch(() => {});
      far.destroy();
      expect(new Set(await Promise.all(underWay))).toEqual(new Set(['PAIPAI_ERR_PEER_CLOSED']));
    });

    test('a callback that throws costs no other its answer', async () => {
      const { near } = await transportPair(setting, { far: { fast: echo } });
      const listeners = process.listeners('uncaughtException');
      process.removeAllListeners('uncaughtException');
      onTestFinished(() => {
        for (const listener of listeners) process.on('uncaughtException', listener);
      });
      const thrown = new Promise((resolve) => process.once('uncaughtException', resolve));
      near.fast.request('echo', bytes('a'), () => {
        throw new Error('mine');
      });
      expect(text(await ask(near, 'echo', bytes('b')))).toBe('b');
      expect(await thrown).toMatchObject({ message: 'mine' });
    });

    test('a peer that is closed by its handler gives the answer first', async () => {
      const closings: Promise<void>[] = [];
      const far: ListenOptions = {
        methods: {
          atOnce(payload, { peer }) {
            closings.push(peer.close());
            return payload;
          },
          async later(payload, { peer }) {
            closings.push(peer.close());
            return payload;
          },
        },
        fast: {
          methods: {
            batch(batch) {
              closings.push((batch.peer as Peer).close());
              batch.replyRange(0, batch.start(0), batch.end(0));
            },
          },
        },
      };
      for (const method of ['atOnce', 'later', 'batch']) {
        const { near } = await transportPair(setting, { far });
        expect(text(await near.request(method, bytes('still')))).toBe('still');
      }
      await Promise.all(closings);
    });

    test('a peer that is destroyed by its handler', async () => {
      const listener = await listening(setting, {
        fast: { topics: { end: (batch) => batch.peer.destroy() } },
      });
      const arrival = nextPeer(listener);
      const near = await connecting(setting, listener.address);
      const far = await arrival;
      const closed = new Promise((resolve) => far.once('close', resolve));
      for (let i = 0; i < 100; i++) near.send('end', bytes('x'));
      await closed;
    });

    test('bad arguments', async () => {
      const { near } = await transportPair(setting, { far: { fast: echo } });
      const nothing = (): void => {};
      for (const call of [
        () => near.fast.request('echo', 'text' as never, nothing),
        () => near.fast.request('echo', bytes(''), undefined as never),
        () => near.fast.request('', bytes(''), nothing),
        () => near.fast.request('echo', bytes(''), nothing, 0),
        () => near.fast.request('echo', bytes(''), nothing, Number.NaN),
        () => near.fast.send('a', 'text' as never, nothing),
        () => near.fast.send('a', bytes(''), 1 as never),
        () => near.fast.send('', bytes(''), nothing),
        () => near.fast.sendMany('a', 'text' as never, 1),
        () => near.fast.sendMany('a', bytes('text'), 0),
        () => near.fast.sendMany('a', bytes('text'), 3),
        () => near.fast.sendMany('a', bytes('text'), Number.NaN),
        () => near.fast.sendMany('a', new Uint8Array(1024 * 1024 + 1), 1),
        () => near.fast.sendMany('', bytes('text'), 1),
      ]) {
        expect(codeThrown(call)).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
      }
      await near.close();
      for (const call of [
        () => near.fast.request('echo', bytes(''), nothing),
        () => near.fast.send('a', bytes('text'), nothing),
        () => near.fast.sendMany('a', bytes('text'), 1),
      ]) {
        expect(codeThrown(call)).toBe('PAIPAI_ERR_CLOSED');
      }
    });
  });
}
