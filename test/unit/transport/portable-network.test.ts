import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { PortableNetwork } from '../../../dist/transport/portable-network.js';
import { FrameType } from '../../../dist/wire/frame.js';
import { FrameLog } from '../../support/frame-log.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A process of its own running `source`; settles with the first number it prints. */
async function helper(source: string, filesMax = 256): Promise<number> {
  const command = `ulimit -n ${filesMax}; exec "$0" --input-type=module -e "$1"`;
  const child = spawn('/bin/sh', ['-c', command, process.execPath, source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanups.push(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  const [chunk] = await once(child.stdout, 'data');
  return Number(String(chunk));
}

describe('the portable network', () => {
  test('connecting to a host that does not answer ends at the deadline', async () => {
    // A listener with a backlog of one that never gets to accept: once it is full, the kernel leaves others waiting.
    const port = await helper(`
      import { createServer } from 'node:net';
      const server = createServer().listen(0, '127.0.0.1', 1, () => {
        process.stdout.write(String(server.address().port), () => {
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
        });
      });`);
    const fillers = Array.from({ length: 8 }, (): Socket => {
      const socket = connect({ host: '127.0.0.1', port });
      socket.on('error', () => {}); // It is only there to take a place.
      cleanups.push(() => socket.destroy());
      return socket;
    });
    await once(fillers[0]!, 'connect');
    await once(fillers[1]!, 'connect');
    const network = new PortableNetwork();
    await expect(
      network.connect({ scheme: 'tcp', host: '127.0.0.1', port }, { connectTimeoutMs: 100 }),
    ).rejects.toMatchObject({ code: 'PAIPAI_ERR_DEADLINE', address: `tcp://127.0.0.1:${port}` });
  });

  test.each([0, -1, Number.NaN, Infinity])(
    'a timeout of %d is refused',
    async (connectTimeoutMs) => {
      await expect(
        new PortableNetwork().connect(
          { scheme: 'tcp', host: '127.0.0.1', port: 1 },
          { connectTimeoutMs },
        ),
      ).rejects.toMatchObject({ code: 'PAIPAI_ERR_INVALID_ARGUMENT' });
    },
  );

  test('a host with several addresses fails with one error that says what happened', async () => {
    const network = new PortableNetwork();
    const listener = await network.listen({ scheme: 'tcp', host: '127.0.0.1', port: 0 }, () => {});
    const { address } = listener;
    await listener.close();
    if (address.scheme !== 'tcp') throw new Error('it was asked to listen on TCP');
    await expect(network.connect({ ...address, host: 'localhost' })).rejects.toMatchObject({
      code: 'ECONNREFUSED',
      message: expect.stringMatching(/ECONNREFUSED/),
    });
  });

  test('a file in the way of a Unix socket is reported and left alone', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'paipainet-'));
    cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
    const path = join(folder, 'a.sock');
    writeFileSync(path, 'precious');
    const network = new PortableNetwork();
    await expect(network.listen({ scheme: 'unix', path }, () => {})).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
    expect(readFileSync(path, 'utf8')).toBe('precious');
    await expect(network.connect({ scheme: 'unix', path })).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
    await expect(
      network.connect({ scheme: 'unix', path: join(folder, 'no') }),
    ).rejects.toMatchObject({
      code: 'ENOENT',
    });
  });

  test('a listener outlives a lack of file descriptors', async () => {
    // In a process of its own, which has few descriptors and uses them up; then it says how many frames came again.
    const url = new URL('../../../dist/transport/portable-network.js', import.meta.url).href;
    const framesAfterwards = await helper(`
      import { closeSync, openSync } from 'node:fs';
      import { connect } from 'node:net';
      import { PortableNetwork } from ${JSON.stringify(url)};
      const network = new PortableNetwork();
      let frames = 0;
      const receiver = () => ({ onFrame() { frames++; }, onSink() {}, onDrain() {}, onClose() {} });
      const listener = await network.listen({ scheme: 'tcp', host: '127.0.0.1', port: 0 }, (channel) => {
        channel.receiver = receiver();
      });
      // The socket of the client is opened first, so that it is the accepting side that runs out.
      const client = connect({ host: '127.0.0.1', port: listener.address.port });
      await new Promise((resolve) => process.nextTick(resolve));
      const taken = [];
      try { for (;;) taken.push(openSync('/dev/null', 'r')); } catch (error) { if (error.code !== 'EMFILE') throw error; }
      await new Promise((resolve) => client.once('connect', resolve));
      for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
      for (const fd of taken) closeSync(fd);
      client.destroy();
      const channel = await network.connect(listener.address);
      channel.receiver = receiver();
      channel.send(${FrameType.message}, 0, 0, 0, 0);
      while (frames === 0) await new Promise((resolve) => setImmediate(resolve));
      process.stdout.write(String(frames));
      channel.destroy();
      await listener.close();`);
    expect(framesAfterwards).toBe(1);
  });

  test('a turn that sends much is written before it is over', async () => {
    const network = new PortableNetwork();
    const log = new FrameLog();
    const listener = await network.listen(
      { scheme: 'tcp', host: '127.0.0.1', port: 0 },
      (channel) => {
        channel.receiver = log;
        cleanups.push(() => channel.destroy());
      },
    );
    cleanups.push(() => listener.close());
    const near = await network.connect(listener.address);
    near.receiver = new FrameLog();
    cleanups.push(() => near.destroy());
    // Payloads by value and by reference in turns, which is where segments could come out of order.
    const sizes = Array.from({ length: 300 }, (_, i) =>
      i % 7 === 0 ? 20_000 + i : (i * 131) % 3000,
    );
    for (const [i, size] of sizes.entries()) {
      near.send(FrameType.message, 0, 0, 0, i, new Uint8Array(size));
    }
    await log.frameCount(sizes.length);
    expect(log.frames.map(({ payloadBytes }) => payloadBytes)).toEqual(sizes);
  });
});
