import { shortened } from '../recorder.js';
import { between, closed, ended, once, pair, type Scenes, settle, withServer } from '../support.js';

/** What is counted, what waits, and that what waits is what was written. */

const encodings = ['utf8', 'utf-8', 'latin1', 'binary', 'ascii', 'ucs2', 'utf16le', 'hex'] as const;

export const scenes: Scenes = {
  'more than anything takes': between(async (client, accepted, recorder) => {
    accepted.pause();
    const size = 16 << 20;
    recorder.note(
      'write',
      client.write(Buffer.alloc(size, 1)),
      client.writableLength,
      client.writableNeedDrain,
      client.bufferSize,
    );
    setImmediate(() => accepted.resume());
    await once(client, 'drain');
    recorder.note('after', client.writableLength, client.bytesWritten);
    client.end();
    await once(accepted, 'end');
  }),

  'counts before, during and after': between(async (client, accepted, recorder) => {
    const note = (name: string): void => {
      for (const socket of [client, accepted]) {
        const { bytesRead, bytesWritten, bufferSize, writableLength } = socket;
        recorder.note(name, { bytesRead, bytesWritten, bufferSize, writableLength });
      }
    };
    note('before');
    client.cork();
    client.write('some text: ä');
    client.write(Buffer.alloc(10));
    client.write('68656c6c6f', 'hex');
    note('corked');
    client.uncork();
    await settle(recorder);
    note('uncorked');
    accepted.pause();
    client.write(Buffer.alloc(8 << 20));
    client.write('ä'.repeat(100));
    note('waiting');
    accepted.resume();
    await once(client, 'drain');
    await settle(recorder);
    note('read');
    client.destroy();
    note('destroyed');
    await settle(recorder);
    note('closed');
  }),

  'a slow reader': between(async (client, accepted, recorder) => {
    // One that takes a piece at a time, and lets the other side wait in between.
    accepted.pause();
    accepted.on('data', () => {
      accepted.pause();
      setImmediate(() => accepted.resume());
    });
    for (let i = 0; i < 8; i++) {
      client.write(Buffer.alloc(1 << 20, i), () => recorder.note('written', i));
    }
    client.end();
    accepted.resume();
    await once(accepted, 'end');
  }),

  'as fast as drain allows': between(async (client, accepted, recorder) => {
    let left = 64;
    const chunk = Buffer.alloc(128 << 10, 'abc');
    await new Promise<void>((resolve) => {
      const fill = (): void => {
        while (left > 0) {
          left--;
          if (!client.write(chunk)) break;
        }
        if (left > 0) client.once('drain', fill);
        else client.end(resolve);
      };
      fill();
    });
    await once(accepted, 'end');
    recorder.note('sum', accepted.bytesRead, client.bytesWritten);
  }),

  'piped to where it came from': withServer(async (net, recorder, { server, port }) => {
    server.removeAllListeners('connection');
    server.on('connection', (socket) => socket.pipe(socket));
    const client = recorder.socket('client', net.connect(port, '127.0.0.1'));
    for (let i = 0; i < 16; i++) client.write(Buffer.alloc(100_000, i));
    while (client.bytesRead < 1_600_000) await once(client, 'data');
    client.end();
    await closed(client);
  }),

  corked: between((client) => {
    client.cork();
    client.write('a');
    client.write(Buffer.from('b'));
    client.write('c', 'latin1');
    client.uncork();
    client.end('d');
  }),

  'corked twice': between(async (client, _accepted, recorder) => {
    client.cork();
    client.cork();
    client.write('a', () => recorder.note('callback', 'a'));
    client.uncork();
    await settle(recorder);
    client.write(Buffer.alloc(100_000), () => recorder.note('callback', 'b'));
    client.uncork();
    await settle(recorder);
    client.end();
  }),

  'corked, then ended': between((client) => {
    client.cork();
    client.write('a');
    client.end('b');
  }),

  'corked, then destroyed': between((client, _accepted, recorder) => {
    client.cork();
    client.write('a', (error) => recorder.note('callback', error));
    client.destroy();
  }),

  'a thousand small pieces': between(async (client, accepted, recorder) => {
    let count = 0;
    for (let i = 0; i < 1_000; i++) client.write(`${i} `, () => count++);
    client.end();
    await once(accepted, 'end');
    recorder.note('callbacks', count);
  }),

  'a thousand corked pieces of all kinds': between(async (client, accepted) => {
    client.cork();
    for (let i = 0; i < 250; i++) {
      client.write(`${i}ä`);
      client.write(Buffer.from(`${i}`));
      client.write(new Uint8Array([i, i, i]));
      client.write('ÿ', 'latin1');
    }
    client.uncork();
    client.end();
    await once(accepted, 'end');
  }),

  'all encodings': between((client) => {
    for (const encoding of ['utf8', 'latin1', 'ascii', 'ucs2'] as const)
      client.write('grüße €', encoding);
    client.write('68656c6c6f', 'hex');
    client.write('aGVsbG8=', 'base64');
    client.write('aGVsbG8', 'base64url');
    client.end();
  }),

  'all encodings, long': between(async (client, accepted) => {
    for (const encoding of encodings) client.write('abÿ€'.repeat(10_000), encoding);
    client.write('YWJj'.repeat(50_000), 'base64');
    client.end('6162'.repeat(50_000), 'hex');
    await once(accepted, 'end');
  }),

  'text called a buffer': between(async (client, _accepted, recorder) => {
    recorder.attempt('write', () => client.write('text', 'buffer' as never));
    recorder.note('left', client.writableLength, client.bytesWritten);
    client.write('more');
    await settle(recorder);
    client.destroy();
  }),

  'encodings in capitals, and what they cannot decode': between((client) => {
    client.write('zzzz', 'HEX' as BufferEncoding);
    client.write('aGVs\nbG8=', 'BASE64' as BufferEncoding);
    client.write('6', 'hex');
    client.write('grüße', 'LATIN1' as BufferEncoding);
    client.end('x', 'UTF8' as BufferEncoding);
  }),

  'halves of characters': between((client) => {
    client.write('\ud83d');
    client.write('\ude00');
    client.write('a\ud800b');
    client.write('\udc00'.repeat(20_000));
    client.end('\ud83d', 'ucs2');
  }),

  'a default encoding': between((client) => {
    client.setDefaultEncoding('hex');
    client.write('616263');
    client.setDefaultEncoding('latin1');
    client.end('ÿ');
  }),

  'text beyond any buffer': between((client) => {
    client.write('é'.repeat(3 << 20));
    client.write('z'.repeat(3 << 20), 'latin1');
    client.end();
  }),

  'empty writes': between((client, _accepted, recorder) => {
    client.write('', () => recorder.note('callback', 'empty text'));
    client.write(Buffer.alloc(0), () => recorder.note('callback', 'empty buffer'));
    client.end('x');
  }),

  'views of all kinds': between((client, _accepted, recorder) => {
    const bytes = new Uint8Array(32).map((_, i) => i);
    client.write(bytes);
    client.write(bytes.subarray(4, 8));
    client.write(Buffer.from(bytes.buffer, 8, 8));
    client.write(new Uint8Array(new SharedArrayBuffer(8)));
    for (const each of [new DataView(bytes.buffer), new Uint16Array(4), bytes.buffer]) {
      recorder.attempt('refused', () => client.write(each as never));
    }
    client.destroy();
  }),

  'memory changed when the callback is heard': between(async (client, accepted) => {
    accepted.pause();
    // Large enough to wait: it must not be read after its callback, nor copied wrongly before.
    const chunk = Buffer.alloc(8 << 20, 'one');
    const written = new Promise<void>((resolve) => client.write(chunk, () => resolve()));
    accepted.resume();
    await written;
    chunk.fill('two');
    client.end(chunk);
    await once(accepted, 'end');
  }),

  'memory that nobody else holds': between(async (client, accepted) => {
    accepted.pause();
    for (let i = 0; i < 16; i++) client.write(Buffer.alloc(1 << 20, `piece ${i}`));
    // vitest.config.ts exposes it.
    for (let i = 0; i < 3; i++) (globalThis as { gc?: () => void }).gc!();
    for (let i = 0; i < 8; i++) Buffer.alloc(1 << 20, 'other');
    accepted.resume();
    client.end();
    await once(accepted, 'end');
  }),

  'text with setEncoding': between((client, accepted) => {
    accepted.setEncoding('utf8');
    client.write(Buffer.from('€').subarray(0, 1));
    setImmediate(() => client.end(Buffer.from('€').subarray(1)));
  }),

  'paused, then resumed': between(async (client, accepted) => {
    accepted.pause();
    client.write('kept');
    setImmediate(() => accepted.resume());
    await once(accepted, 'data');
    client.end();
  }),

  'paused in a handler of data': between(async (client, accepted, recorder) => {
    accepted.once('data', () => accepted.pause());
    client.write('first');
    await settle(recorder);
    client.write('second');
    await settle(recorder);
    recorder.note('paused', accepted.isPaused(), accepted.readableLength);
    accepted.resume();
    client.end();
  }),

  'read by hand': async (net, recorder) => {
    const { server, client, accepted } = await pair(net, recorder, { reads: false });
    client.write('0123456789');
    await settle(recorder);
    const note = (count?: number): void => {
      const chunk: Buffer | null = accepted.read(count);
      recorder.note('read', chunk === null ? null : shortened(chunk.toString('latin1')));
    };
    note(4);
    await settle(recorder);
    note(4);
    note(4);
    client.end('ab');
    await settle(recorder);
    note(4);
    await settle(recorder);
    note();
    client.resume();
    await ended(server, client, accepted);
  },

  'put back': async (net, recorder) => {
    const { server, client, accepted } = await pair(net, recorder, { reads: false });
    client.end('header and body');
    const chunks: string[] = [];
    await once(accepted, 'readable');
    accepted.unshift(Buffer.from(`again: ${accepted.read()}`));
    accepted.on('data', (chunk) => chunks.push(String(chunk)));
    client.resume();
    await ended(server, client, accepted);
    recorder.note('accepted', chunks.join(''));
  },

  'high-water marks': async (net, recorder) => {
    for (const highWaterMark of [1, 1_024, 1 << 20]) {
      const { server, client, accepted } = await pair(net, recorder, {
        server: { highWaterMark },
        client: { highWaterMark } as object,
      });
      for (const socket of [client, accepted]) {
        recorder.note('marks', socket.readableHighWaterMark, socket.writableHighWaterMark);
      }
      recorder.note('write', client.write('x'), client.write(Buffer.alloc(2_000)));
      await settle(recorder);
      client.end();
      await ended(server, client, accepted);
    }
  },
};
