import { between, ended, once, type Pair, pair, type Scenes, settle, turn } from '../support.js';

/** Which half ends when, and what is heard of it. */

const bothHalfOpen = { server: { allowHalfOpen: true }, client: { allowHalfOpen: true } };

export const scenes: Scenes = {
  'echo and end': between(async (client, accepted) => {
    accepted.on('data', (chunk) => accepted.write(chunk));
    client.write('hello');
    await once(client, 'data');
    client.end('bye');
  }),

  'the server ends first': between((_client, accepted) => {
    accepted.end('all');
  }),

  'both end at once': between((client, accepted) => {
    client.end('one');
    accepted.end('other');
  }),

  'half-open on both sides': between(async (client, accepted) => {
    client.end('question');
    await once(accepted, 'end');
    accepted.write('answer');
    accepted.end();
  }, bothHalfOpen),

  'half-open here only': between(
    async (client, accepted) => {
      accepted.end();
      await once(client, 'end');
      client.end('late');
    },
    { client: { allowHalfOpen: true } },
  ),

  'half-open there only': between(
    async (client, accepted) => {
      client.end();
      await once(accepted, 'end');
      accepted.end('late');
    },
    { server: { allowHalfOpen: true } },
  ),

  'half-open, and ended from a timer': between(
    async (client, accepted, recorder) => {
      accepted.end('all');
      await once(client, 'end');
      await new Promise((resolve) => setTimeout(resolve, 1));
      client.end('late', () => recorder.note('callback', 'ended'));
    },
    { client: { allowHalfOpen: true } },
  ),

  'allowHalfOpen set on the way': between(async (client, accepted) => {
    client.allowHalfOpen = true;
    accepted.end();
    await once(client, 'end');
    await turn();
    client.end('late');
  }),

  'write after end': between((client, _accepted, recorder) => {
    client.end('last');
    client.write('too late', (error) => recorder.note('callback', error));
  }),

  'written after the other side has ended': between(async (client, accepted, recorder) => {
    accepted.end();
    await once(client, 'end');
    client.write('too late', (error) => recorder.note('callback', error ?? null));
  }),

  'written to what is gone': between(
    async (client, accepted, recorder) => {
      accepted.destroy();
      await once(client, 'end');
      for (let i = 0; i < 3 && !client.destroyed; i++) {
        client.write('x', (error) => recorder.note('callback', i, error ?? null));
        await settle(recorder);
      }
    },
    { client: { allowHalfOpen: true } },
  ),

  'ended twice': between((client, _accepted, recorder) => {
    client.end(() => recorder.note('callback', 'first'));
    client.end((error?: Error) => recorder.note('callback', 'second', error));
  }),

  'ended, then destroyed': between((client, _accepted, recorder) => {
    client.end('last', () => recorder.note('callback', 'ended'));
    client.destroy();
  }),

  'destroySoon with bytes that wait': between((client, accepted) => {
    accepted.pause();
    client.write(Buffer.alloc(8 << 20));
    client.destroySoon();
    accepted.resume();
  }),

  'destroyed in a handler of end': between((client, accepted) => {
    client.on('end', () => client.destroy());
    accepted.end('all');
  }),

  'destroyed in a handler of data': between((client, accepted) => {
    client.on('data', () => client.destroy());
    accepted.end('all');
  }),

  'destroyed with a reason in a handler of data': between((client, accepted) => {
    client.on('data', () => client.destroy(new Error('a reason')));
    accepted.write('x');
    accepted.on('end', () => accepted.end());
  }),

  'ended in a handler of data': between((client, accepted) => {
    client.on('data', () => client.end('enough'));
    accepted.write('x');
  }),

  'callbacks in order': between((client, _accepted, recorder) => {
    client.on('finish', () => recorder.note('order', 'finish event'));
    for (let i = 0; i < 5; i++) client.write(`${i}`, () => recorder.note('order', `write ${i}`));
    client.end(() => recorder.note('order', 'end callback'));
    process.nextTick(() => recorder.note('order', 'tick'));
    queueMicrotask(() => recorder.note('order', 'microtask'));
    setImmediate(() => recorder.note('order', 'immediate'));
  }),

  'write callbacks when it is destroyed': between(async (client, accepted, recorder) => {
    accepted.pause();
    for (let i = 0; i < 4; i++) {
      client.write(Buffer.alloc(8 << 20, i), (error) =>
        recorder.note(`callback ${i}`, error ?? null),
      );
    }
    client.end((error?: Error) => recorder.note('end callback', error ?? null));
    client.destroy();
    await settle(recorder);
    accepted.destroy();
  }),

  'write callbacks when it is destroyed with a reason': between(
    async (client, accepted, recorder) => {
      accepted.pause();
      for (let i = 0; i < 4; i++) {
        client.write(Buffer.alloc(8 << 20, i), (error) =>
          recorder.note(`callback ${i}`, error ?? null),
        );
      }
      await settle(recorder);
      client.destroy(new Error('a reason'));
      await settle(recorder);
      accepted.destroy();
    },
  ),

  'the end waits for who reads': async (net, recorder) => {
    const { server, client, accepted } = await pair(net, recorder, { reads: false });
    accepted.end('kept');
    await settle(recorder);
    recorder.note('client', client.readableEnded, client.readyState, client.readableLength);
    recorder.note('client', String(client.read()));
    await settle(recorder);
    recorder.note('client', client.read());
    await settle(recorder);
    accepted.resume();
    client.destroy();
    await ended(server, client, accepted);
  },

  'iterated to its end': async (net, recorder) => {
    const { server, client, accepted }: Pair = await pair(net, recorder, { reads: false });
    accepted.resume();
    accepted.write('one');
    accepted.end('two');
    let text = '';
    for await (const chunk of client) text += chunk;
    recorder.note('client', text);
    await ended(server, client, accepted);
  },

  'iterated, and left': async (net, recorder) => {
    const { server, client, accepted }: Pair = await pair(net, recorder, { reads: false });
    accepted.resume();
    accepted.write('one');
    for await (const chunk of client) {
      recorder.note('client', String(chunk));
      break;
    }
    await ended(server, client, accepted);
  },

  'over a Unix socket': between(
    async (client, accepted) => {
      client.end('question');
      await once(accepted, 'end');
      accepted.end('answer');
    },
    { ...bothHalfOpen, isUnix: true },
  ),
};
