import { describe, expect, onTestFinished, test } from 'vitest';
import {
  type ConnectOptions,
  type Listener,
  type ListenOptions,
  listen,
  type PaipaiError,
  type Peer,
} from '../../dist/api/transport.js';
import { bytes, codeOf, codeThrown, event, text } from '../support/session-pair.js';
import {
  connecting,
  enginePairs,
  freshAddress,
  listening,
  once,
  type Setting,
} from './transport-pairs.js';

const soon = { backoffMs: 1, backoffMsMax: 20 };
const echo = { methods: { echo: (payload: Uint8Array) => payload } };

/** The next exception that nobody catches; meanwhile the runner does not hear of it. */
function uncaught(): Promise<unknown> {
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  return new Promise<unknown>((resolve) => process.once('uncaughtException', resolve)).finally(
    () => {
      for (const listener of others) process.on('uncaughtException', listener);
    },
  );
}

for (const [near, far] of enginePairs) {
  for (const scheme of ['tcp', 'unix'] as const) {
    const setting: Setting = { connecting: near, listening: far, scheme };

    /** A server that can be taken away, and started again at the same address. */
    const server = async (
      options: ListenOptions = echo,
    ): Promise<{
      address: string;
      stop(graceMs?: number): Promise<void>;
      start(): Promise<Listener>;
    }> => {
      let current = await listening(setting, options);
      const { address } = current;
      return {
        address,
        stop: (graceMs = 0) => current.close(graceMs),
        start: async () => {
          current = await listen(address, { engine: far, ...options });
          onTestFinished(() => current.close(0));
          return current;
        },
      };
    };

    const lostPeer = async (
      options: ConnectOptions = {},
    ): Promise<{ peer: Peer; start(): Promise<Listener> }> => {
      const { address, stop, start } = await server();
      const peer = await connecting(setting, address, { reconnect: soon, ...options });
      const dropped = once(peer, 'drop');
      await stop();
      await dropped;
      return { peer, start };
    };

    describe(`transport ${near}–${far} over ${scheme}, reconnecting`, () => {
      test('a server that starts again is found, and what waited is answered', async () => {
        const { address, stop, start } = await server();
        const peer = await connecting(setting, address, { reconnect: soon });
        const events: string[] = [];
        for (const name of ['connect', 'drop', 'close'] as const) {
          peer.on(name, () => events.push(name));
        }
        await once(peer, 'connect');
        expect(text(await peer.request('echo', bytes('1')))).toBe('1');
        const dropped = once<PaipaiError>(peer, 'drop');
        await stop();
        expect(await dropped).toMatchObject({ code: 'PAIPAI_ERR_PEER_CLOSED' });
        expect(peer.state).toBe('reconnecting');
        const waiting = ['2', '3'].map((word) => peer.request('echo', bytes(word)));
        expect(peer.stats().requestsWaiting).toBe(2);
        await start();
        expect((await Promise.all(waiting)).map(text)).toEqual(['2', '3']);
        expect(peer.state).toBe('open');
        expect(peer.stats()).toMatchObject({ connections: 2, requestsWaiting: 0 });
        expect(peer.stats().framesSent).toBeGreaterThanOrEqual(3);
        await peer.close();
        expect(events).toEqual(['connect', 'drop', 'connect', 'close']);
      });

      test('a listener of connect that throws costs neither the connection nor what waited', async () => {
        const { address, stop, start } = await server();
        const peer = await connecting(setting, address, { reconnect: soon });
        await once(peer, 'connect');
        const surfaced = uncaught();
        peer.on('connect', () => {
          throw new Error('of the user');
        });
        const dropped = once(peer, 'drop');
        await stop();
        await dropped;
        const waiting = peer.request('echo', bytes('kept'), { deadlineMs: Infinity });
        await start();
        expect(text(await waiting)).toBe('kept');
        expect(await surfaced).toMatchObject({ message: 'of the user' });
        expect(peer.state).toBe('open');
        expect(peer.stats().connections).toBe(2);
        await peer.close();
        expect(peer.state).toBe('closed');
      });

      test('a request under way fails and is not made again', async () => {
        const asked = event<void>();
        let calls = 0;
        const { address, stop, start } = await server({
          methods: {
            ...echo.methods,
            once: () => {
              calls++;
              asked.fire();
              return new Promise<Uint8Array>(() => {});
            },
          },
        });
        const peer = await connecting(setting, address, { reconnect: soon });
        const failure = codeOf(peer.request('once'));
        await asked.promise;
        await stop();
        expect(await failure).toBe('PAIPAI_ERR_PEER_CLOSED');
        await start();
        expect(text(await peer.request('echo', bytes('on')))).toBe('on');
        expect(calls).toBe(1);
      });

      test('meanwhile what cannot wait fails, and what waits is bounded', async () => {
        const { peer } = await lostPeer({ queuedRequestsMax: 2 });
        expect(codeThrown(() => peer.send('t'))).toBe('PAIPAI_ERR_PEER_CLOSED');
        expect(codeThrown(() => peer.openStream('s'))).toBe('PAIPAI_ERR_PEER_CLOSED');
        expect(await codeOf(peer.request('echo', undefined, { failFast: true }))).toBe(
          'PAIPAI_ERR_PEER_CLOSED',
        );
        expect(await codeOf(peer.request('echo', undefined, { deadlineMs: NaN }))).toBe(
          'PAIPAI_ERR_INVALID_ARGUMENT',
        );
        expect(await codeOf(peer.request('', undefined))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
        expect(await codeOf(peer.request('echo', undefined, { deadlineMs: 10 }))).toBe(
          'PAIPAI_ERR_DEADLINE',
        );
        const controller = new AbortController();
        const aborted = codeOf(peer.request('echo', undefined, { signal: controller.signal }));
        const kept = codeOf(peer.request('echo'));
        expect(await codeOf(peer.request('echo'))).toBe('PAIPAI_ERR_OVERLOADED');
        controller.abort();
        expect(await aborted).toBe('PAIPAI_ERR_ABORTED');
        expect(peer.stats().requestsWaiting).toBe(1);
        const closed = once(peer, 'close');
        await peer.close();
        expect(await kept).toBe('PAIPAI_ERR_CLOSED');
        expect(await closed).toBeNull();
        expect(await codeOf(peer.request('echo'))).toBe('PAIPAI_ERR_CLOSED');
      });

      test('a payload is the caller’s again at once, also where the request has to wait', async () => {
        const { peer, start } = await lostPeer();
        const payload = bytes('as it was');
        const answer = peer.request('echo', payload);
        payload.fill(0);
        await start();
        expect(text(await answer)).toBe('as it was');
      });

      test('failFast of the peer is that of requests without their own', async () => {
        const { peer, start } = await lostPeer({ failFast: true });
        expect(await codeOf(peer.request('echo'))).toBe('PAIPAI_ERR_PEER_CLOSED');
        const waiting = peer.request('echo', bytes('x'), { failFast: false });
        await start();
        expect(text(await waiting)).toBe('x');
      });

      test('attempts come to an end when they are told to', async () => {
        const { address, stop } = await server();
        const peer = await connecting(setting, address, {
          reconnect: { ...soon, attemptsMax: 2 },
        });
        // Before the server stops: both attempts may be over by the time it has.
        const closed = once<Error>(peer, 'close');
        const waiting = once(peer, 'drop')
          .then(() => peer.request('echo'))
          .catch((error: unknown) => error);
        await stop();
        const error = await closed;
        expect(error).toMatchObject({ code: scheme === 'tcp' ? 'ECONNREFUSED' : 'ENOENT' });
        expect(await waiting).toMatchObject({ code: 'PAIPAI_ERR_PEER_CLOSED', cause: error });
        expect(peer.state).toBe('closed');
      });

      test('a server that now has a secret ends them at once', async () => {
        const { address, stop } = await server();
        const peer = await connecting(setting, address, { reconnect: soon });
        const closed = once(peer, 'close');
        await stop();
        const other = await listen(address, { engine: far, secret: 'a secret that is new' });
        onTestFinished(() => other.close(0));
        expect(await closed).toMatchObject({ code: 'PAIPAI_ERR_SECRET' });
      });

      test('destroyed meanwhile', async () => {
        const { peer } = await lostPeer();
        const closed = once(peer, 'close');
        const reason = new Error('enough');
        peer.destroy(reason);
        expect(await closed).toBe(reason);
        expect(peer.state).toBe('closed');
      });

      test('the first attempt is the caller’s to repeat', async () => {
        const failure = connecting(
          setting,
          scheme === 'tcp' ? 'tcp://127.0.0.1:1' : freshAddress(scheme),
          {
            reconnect: soon,
          },
        );
        await expect(failure).rejects.toMatchObject({
          code: scheme === 'tcp' ? 'ECONNREFUSED' : 'ENOENT',
        });
      });
    });
  }
}
