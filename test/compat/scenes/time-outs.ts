import type { Socket } from 'node:net';
import {
  between,
  closed,
  ended,
  listening,
  once,
  type Scenes,
  settle,
  withServer,
} from '../support.js';
import type { Script } from '../ways.js';

/** Silence that is noticed, and what is no silence. */

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * The time-out of the client must not come earlier than so long after its last `activity`. How often it comes in between is for the
 * machine to say, so nothing else is noted.
 */
function activeEnds(
  activity: (client: Socket, accepted: Socket) => Promise<unknown>,
  timeoutMs = 40,
): Script {
  return async (net, recorder) => {
    const server = net.createServer();
    const port = await listening(server);
    const accepting = once(server, 'connection');
    const client = net.connect(port, '127.0.0.1').resume();
    const [accepted] = await accepting;
    accepted.resume();
    let lastMs = performance.now();
    let isEarly = false;
    client.on('timeout', () => {
      // Timers count whole milliseconds.
      if (performance.now() - lastMs < timeoutMs - 2) isEarly = true;
    });
    client.setTimeout(timeoutMs);
    for (let i = 0; i < 6; i++) {
      // Until it is done, the one before counts.
      const startMs = performance.now();
      await activity(client, accepted);
      lastMs = startMs;
      await wait(timeoutMs / 2);
    }
    if (performance.now() - lastMs < timeoutMs) await once(client, 'timeout');
    recorder.note('client', 'early', isEarly);
    client.destroy();
    await ended(server, client, accepted);
  };
}

/** As if its time were up: what the timer calls. */
function runOut(socket: Socket): void {
  (socket as never as { _onTimeout(): void })._onTimeout();
}

export const scenes: Scenes = {
  'a time-out': between(async (client) => {
    client.setTimeout(20);
    await once(client, 'timeout');
    client.setTimeout(0);
    client.end();
  }),

  'with a callback, once': between(async (client, _accepted, recorder) => {
    client.setTimeout(5, () => recorder.note('callback', 'called'));
    await once(client, 'timeout');
    client.write('x');
    await once(client, 'timeout');
    client.setTimeout(0);
    client.end();
  }),

  'a callback that is taken back': between(async (client, _accepted, recorder) => {
    const callback = (): void => recorder.note('callback', 'called');
    client.setTimeout(60_000, callback);
    recorder.note('listeners', client.listenerCount('timeout'), client.timeout);
    client.setTimeout(0, callback);
    recorder.note('listeners', client.listenerCount('timeout'), client.timeout);
    client.end();
  }),

  'as an option': withServer(async (net, recorder, { port }) => {
    const client = net.connect({ port, host: '127.0.0.1', timeout: 10 });
    recorder.note('client', client.timeout);
    // On a busy machine it may take longer than that to connect.
    await once(client, 'connect');
    recorder.socket('client', client);
    await once(client, 'timeout');
    client.destroy();
    await closed(client);
  }),

  'before it connects': withServer(async (net, recorder, { port }) => {
    const client = recorder.socket('client', new net.Socket());
    client.setTimeout(5);
    await once(client, 'timeout');
    client.setTimeout(0);
    client.connect(port, '127.0.0.1');
    await once(client, 'connect');
    client.end();
    await closed(client);
  }),

  'of an accepted socket': between(async (client, accepted) => {
    accepted.setTimeout(5);
    await once(accepted, 'timeout');
    accepted.setTimeout(0);
    client.end();
  }),

  'destroyed by its handler': between((client) => {
    client.setTimeout(5, () => client.destroy());
  }),

  'none after it is destroyed': between(async (client, _accepted, recorder) => {
    client.setTimeout(1);
    client.destroy();
    recorder.note('client', client.setTimeout(1) === client, client.timeout);
    await wait(10);
  }),

  'put off by writing': activeEnds(
    (client) => new Promise((resolve) => client.write('x', resolve)),
  ),

  'put off by reading': activeEnds(async (client, accepted) => {
    const heard = once(client, 'data');
    accepted.write('x');
    await heard;
  }),

  'while a write waits, and moves': between(async (client, accepted, recorder) => {
    accepted.pause();
    client.write(Buffer.alloc(16 << 20));
    await settle(recorder);
    accepted.once('data', () => accepted.pause());
    accepted.resume();
    await settle(recorder);
    // The first sees that something has moved since the write, and waits again.
    runOut(client);
    runOut(client);
    runOut(client);
    accepted.resume();
    client.end();
    await once(accepted, 'end');
  }),

  'while a write waits, and does not move': between(async (client, accepted, recorder) => {
    accepted.pause();
    client.write(Buffer.alloc(16 << 20));
    await settle(recorder);
    runOut(client);
    runOut(client);
    accepted.resume();
    await once(client, 'drain');
    runOut(client);
    client.end();
    await once(accepted, 'end');
  }),

  'when nothing waits': between((client) => {
    runOut(client);
    client.write('x');
    runOut(client);
    client.end();
  }),
};
