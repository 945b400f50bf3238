import { execFile, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { encodeMessage } from './raw-frame.js';

const child = fileURLToPath(new URL('child.mjs', import.meta.url));

interface Ended {
  code: number | string | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

/** Runs a scenario of child.mjs to its end. */
function run(scenario: string, ...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { timeout: 100_000, env: process.env };
    execFile(
      process.execPath,
      ['--expose-gc', child, scenario, ...args],
      options,
      (error, stdout, stderr) => {
        resolve({ code: error?.code ?? 0, signal: error?.signal ?? null, stdout, stderr });
      },
    );
  });
}

/** Starts a scenario that prints a port; then its output so far and its end. */
function start(
  scenario: string,
  command: readonly string[] = [],
): {
  port: Promise<number>;
  output: () => string;
  write: (text: string) => void;
  exited: Promise<number | null>;
} {
  const [program, ...args] = [...command, process.execPath, child, scenario];
  const process_ = spawn(program!, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => {
    process_.kill('SIGKILL');
  });
  let text = '';
  const port = new Promise<number>((resolve) => {
    process_.stdout.on('data', (piece) => {
      text += String(piece);
      if (text.includes('\n')) resolve(Number.parseInt(text, 10));
    });
  });
  const exited = new Promise<number | null>((resolve) => process_.once('close', resolve));
  return { port, output: () => text, write: (input) => process_.stdin.write(input), exited };
}

const clean: Partial<Ended> = { code: 0, signal: null, stderr: '' };

it('stays for a listener that is all there is, and ends after it', async () => {
  const started = start('listener alone');
  const socket = connect(await started.port, '127.0.0.1');
  socket.write(encodeMessage(new Uint8Array(3)));
  expect(await started.exited).toBe(0);
});

it('stays for a connection that is all there is, and ends after it', async () => {
  const started = start('connection alone');
  const socket = connect(await started.port, '127.0.0.1');
  await new Promise((resolve) => socket.once('connect', resolve));
  // Its turn with nothing to do has passed when it answers for another process: here, when a second one has started and ended.
  await run('unref');
  socket.write(encodeMessage(new Uint8Array(3)));
  expect(await started.exited).toBe(0);
  expect(started.output()).toContain('frame');
});

it('does not stay for what is unreferenced', async () => {
  expect(await run('unref')).toMatchObject({ ...clean, stdout: 'end\n' });
});

it('ends in the middle of a delivery with everything open', async () => {
  expect(await run('exit inside a delivery')).toMatchObject(clean);
});

it('ends with what a receiver threw, as for any callback', async () => {
  const ended = await run('uncaught inside a delivery');
  expect(ended.code).toBe(1);
  expect(ended.signal).toBeNull();
  expect(ended.stderr).toContain('on purpose');
});

it('loses no frame of others to a receiver that throws', async () => {
  const ended = await run('throwing receiver');
  expect(ended).toMatchObject(clean);
  expect(JSON.parse(ended.stdout)).toEqual({ seen: 100, otherSeen: 100, thrownCount: 50 });
});

it('rests while there are no descriptors, and goes on', async () => {
  const started = start('out of descriptors', ['sh', '-c', 'ulimit -n 40 && exec "$@"', 'sh']);
  const port = await started.port;
  while (!started.output().includes('full')) await new Promise((resolve) => setImmediate(resolve));
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('connect', resolve));
  started.write('go');
  socket.write(encodeMessage(new Uint8Array(3)));
  const ended = new Promise((resolve) => socket.once('end', resolve));
  socket.resume();
  await ended;
  expect(await started.exited).toBe(0);
});

it('survives 50 workers terminated with transfers in flight', { timeout: 110_000 }, async () => {
  const ended = await run('workers', '50');
  expect(ended).toMatchObject(clean);
  const { descriptorGrowth, residentGrowth } = JSON.parse(ended.stdout);
  expect(descriptorGrowth).toBe(0);
  // A worker's heap is larger than this: one leaked in three would show.
  expect(residentGrowth).toBeLessThan(100 * 1024 * 1024);
});
