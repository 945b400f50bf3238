import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Data, Net, Node, type PaipaiError } from '../../dist/index.js';
import { isAlive, openDescriptors, ownTmpdir, reached, startNet } from '../main-job/nets.js';

/** What is left when a net is over: nothing. */

const starter = fileURLToPath(new URL('./starter.mjs', import.meta.url));

interface Started {
  readonly child: ChildProcess;
  readonly pids: readonly number[];
  /** All that it printed after the pids. */
  readonly output: () => string;
}

/** Runs starter.mjs in a process group of its own, with embedded nodes at work. */
async function runStarter(ending: string): Promise<Started> {
  const child = spawn(process.execPath, [starter, ending], {
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  let text = '';
  child.stdout.setEncoding('utf8');
  const pids = await new Promise<number[]>((resolve) =>
    child.stdout.on('data', (chunk: string) => {
      text += chunk;
      const end = text.indexOf('\n');
      if (end >= 0) resolve(JSON.parse(text.slice(0, end)));
    }),
  );
  return { child, pids, output: () => text.slice(text.indexOf('\n') + 1) };
}

describe('the process that started the nodes', () => {
  test('is killed: they are gone within 2 s, in the middle of an endless handler', async () => {
    const folder = ownTmpdir();
    const { child, pids } = await runStarter('wait');
    expect(pids.every(isAlive)).toBe(true);
    child.kill('SIGKILL');
    expect(await reached(2_000, () => !pids.some(isAlive))).toBe(true);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('gets Ctrl-C, with the whole group, and minds it not', async () => {
    const folder = ownTmpdir();
    const { child, pids } = await runStarter('wait');
    process.kill(-(child.pid ?? 0), 'SIGINT');
    const [, signal] = await once(child, 'exit');
    expect(signal).toBe('SIGINT');
    expect(await reached(2_000, () => !pids.some(isAlive))).toBe(true);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('gets Ctrl-C and closes in order: the nodes answer until then', async () => {
    const folder = ownTmpdir();
    const { child, pids, output } = await runStarter('close on SIGINT');
    process.kill(-(child.pid ?? 0), 'SIGINT');
    const [code] = await once(child, 'close');
    expect(output()).toBe('read 10 bytes\nclosed\n');
    expect(code).toBe(0);
    expect(pids.some(isAlive)).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
  });

  test.each([
    ['process.exit', 5],
    ['uncaught error', 1],
  ])('ends by %s', async (ending, expectedCode) => {
    const folder = ownTmpdir();
    const { child, pids } = await runStarter(ending);
    const code = child.exitCode ?? (await once(child, 'exit'))[0];
    expect(code).toBe(expectedCode);
    expect(await reached(2_000, () => !pids.some(isAlive))).toBe(true);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('close', () => {
  test.each(['process', 'thread', 'inline'] as const)(
    'leaves no process, descriptor or file of nodes as %s, also in the middle of work',
    async (runAs) => {
      const folder = ownTmpdir();
      // The first net opens what the process keeps: the engine's own handles and standard streams.
      const { net: first } = await startNet(1, { runAs });
      await first.close();
      const before = openDescriptors();
      for (let round = 0; round < 3; round++) {
        const { net, pids } = await startNet(2, { runAs });
        const data = new Data('d', 100_000, { shardBytes: 1_000 });
        net.addData(data);
        await net.transfer(data);
        const endless = net.process(data, 'endless').catch((error: unknown) => error);
        await net.close();
        expect(await endless).toMatchObject({ code: 'PAIPAI_ERR_CLOSED' });
        if (runAs === 'process') expect(pids.some(isAlive)).toBe(false);
      }
      // The system may close what a thread held a moment after the thread's end.
      expect(await reached(2_000, () => openDescriptors() <= before)).toBe(true);
      expect(readdirSync(folder)).toEqual([]);
    },
  );

  test('by `await using`', async () => {
    let pids: readonly number[];
    {
      const started = await startNet(1);
      await using _net = started.net;
      pids = started.pids;
      expect(pids.every(isAlive)).toBe(true);
    }
    expect(pids.some(isAlive)).toBe(false);
  });

  test('a node that is lost already holds it up in no way', async () => {
    const { net, pids } = await startNet(2);
    process.kill(pids[0] ?? 0, 'SIGKILL');
    await net.close();
    expect(pids.some(isAlive)).toBe(false);
  });
});

describe('a node that dies at its start', () => {
  test('takes the others along; what it said is in the error', async () => {
    const folder = ownTmpdir();
    const crash = join(folder, 'crash.cjs');
    writeFileSync(
      crash,
      "process.stderr.write('x'.repeat(20000) + ' the last words'); process.exit(7);",
    );
    process.env['NODE_OPTIONS'] = `--require=${crash}`;
    onTestFinished(() => {
      delete process.env['NODE_OPTIONS'];
    });
    const net = new Net().addNode(new Node(1)).addNode(new Node(2));
    const error = (await net.start().catch((thrown: unknown) => thrown)) as PaipaiError;
    expect(error).toMatchObject({ code: 'PAIPAI_ERR_NODE_START', nodeId: '1' });
    expect(error.message).toContain('exit code 7');
    expect(error.cause).toMatchObject({ errors: [{ nodeId: '1' }, { nodeId: '2' }] });
    expect(error.stderr).toHaveLength(8 * 1024);
    expect(error.stderr).toMatch(/the last words$/);
    expect(readdirSync(folder)).toEqual(['crash.cjs']);
    await net.close();
  });

  test('a long TMPDIR does not stand in the way', async () => {
    const folder = ownTmpdir();
    process.env['TMPDIR'] = join(folder, 'a'.repeat(100));
    const { net } = await startNet(1, { runAs: 'inline' });
    expect(net.info().nodes).toHaveLength(1);
    process.env['TMPDIR'] = folder;
  });
});
