import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Data, type DataOptions, Net, Node } from '../../../dist/index.js';
import { decodeNodeInfo } from '../../../dist/node/node-info.js';
import { createRealEnv } from '../../../dist/node/real-env.js';
import { runNode } from '../../../dist/node/serve.js';
import { connectPeer } from '../../../dist/session/connect.js';
import { crc32c } from '../../../dist/wire/crc32c.js';
import { FrameType, frameHeaderBytes, writeFrameHeader } from '../../../dist/wire/frame.js';
import { encodeHello } from '../../../dist/wire/hello.js';
import { writeU32 } from '../../../dist/wire/little-endian.js';
import { noise, openDescriptors, reached } from '../../main-job/nets.js';
import { bound } from '../../support/bounds.js';
import { engines } from '../../support/native-networks.js';

/** Remote nodes that are none, and sources that go bad on the way to one. */

const engineNames = ['native', 'js'] as const;

/** A server that answers every connection with `bytes`. */
async function answering(bytes: Uint8Array): Promise<{ address: string; sockets: Set<Socket> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.resume();
    socket.write(bytes);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo; // It listens on TCP.
  return { address: `tcp://127.0.0.1:${port}`, sockets };
}

function helloFrame(wireVersion: number): Uint8Array {
  const payload = encodeHello({
    versionMin: wireVersion,
    versionMax: wireVersion,
    features: 0,
    nonce: new Uint8Array(32),
    netName: 'default',
    nodeId: 'other',
  });
  const bytes = new Uint8Array(frameHeaderBytes + payload.length);
  const sum = crc32c(payload);
  writeFrameHeader(bytes, 0, FrameType.hello, 0, 0, 0, 0, 0, payload.length, sum);
  bytes.set(payload, frameHeaderBytes);
  return bytes;
}

describe.each(engineNames)('at the address of a remote node, on the %s engine', (engine) => {
  async function failedStart(address: string): Promise<unknown> {
    const net = new Net({ engine });
    net.addNode(new Node('far', { address })).addNode(new Node('near', { runAs: 'inline' }));
    const error = await net.start().then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    await net.close();
    return error;
  }

  test('somebody speaks another version of the wire', async () => {
    const { address, sockets } = await answering(helloFrame(2));
    expect(await failedStart(address)).toMatchObject({
      code: 'PAIPAI_ERR_VERSION_MISMATCH',
      nodeId: 'far',
      address,
      cause: { code: 'PAIPAI_ERR_VERSION_MISMATCH' },
    });
    expect(await reached(2_000, () => sockets.size === 0)).toBe(true);
  });

  test('somebody sends frames of another version', async () => {
    const frame = helloFrame(1);
    frame[2] = 2;
    writeU32(frame, 28, crc32c(frame, 0, 28));
    const { address, sockets } = await answering(frame);
    expect(await failedStart(address)).toMatchObject({
      code: 'PAIPAI_ERR_FRAME_VERSION',
      nodeId: 'far',
      address,
    });
    expect(await reached(2_000, () => sockets.size === 0)).toBe(true);
  });

  test('nobody answers: connecting ends at its time-out', async () => {
    const { port } = await deafListener();
    const { network } = engines[engine];
    const before = openDescriptors();
    const startMs = performance.now();
    await expect(
      connectPeer({ ...createRealEnv(), network }, `tcp://127.0.0.1:${port}`, {
        nodeId: 'test',
        connectTimeoutMs: 300,
      }),
    ).rejects.toMatchObject({ code: 'PAIPAI_ERR_DEADLINE' });
    expect(performance.now() - startMs).toBeLessThan(bound(3_000));
    expect(await reached(2_000, () => openDescriptors() <= before)).toBe(true);
  });
});

/** A stopped process whose queue of connections is full, so that the system leaves the next ones without an answer. */
async function deafListener(): Promise<{ port: number }> {
  const child = spawn(
    process.execPath,
    [
      '-e',
      `const server = require('node:net').createServer();
      server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => console.log(server.address().port));`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  onTestFinished(() => void child.kill('SIGKILL'));
  const [line] = await once(child.stdout, 'data');
  const port = Number(line);
  child.kill('SIGSTOP');
  const isStopped = () => /^State:\s+T/m.test(readFileSync(`/proc/${child.pid}/status`, 'utf8'));
  expect(await reached(2_000, isStopped)).toBe(true);
  // The system takes one more than the backlog; the third is the first that hangs.
  const sockets = Array.from({ length: 2 }, () => connect(port, '127.0.0.1'));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
  });
  for (const socket of sockets) socket.on('error', () => {});
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  return { port };
}

describe('a source goes bad in a transfer', () => {
  const shardBytes = 16 * 1024;

  function tempFile(content: Uint8Array | string): string {
    const folder = mkdtempSync(join(tmpdir(), 'paipai-test-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'source');
    writeFileSync(file, content);
    return file;
  }

  /** A net of one remote node, and what that node stores. */
  async function remoteNet(): Promise<{ net: Net; stored: () => Promise<object> }> {
    const remote = await runNode({ listen: 'tcp://127.0.0.1:0' });
    onTestFinished(() => remote.close());
    const { network } = engines.js;
    const peer = await connectPeer({ ...createRealEnv(), network }, remote.address, {
      nodeId: 'test',
    });
    onTestFinished(() => peer.destroy());
    const net = new Net().addNode(new Node('far', { address: remote.address }));
    onTestFinished(() => net.close());
    await net.start();
    return {
      net,
      async stored() {
        const { shards, bytes } = decodeNodeInfo(await peer.request('node.info'));
        return { shards, bytes };
      },
    };
  }

  async function worksOn(net: Net): Promise<void> {
    const next = new Data('next', 10_000, { shardBytes: 1_000 });
    net.addData(next);
    expect((await net.process(next)).value).toMatchObject({ bytes: 10_000, shards: 10 });
  }

  test.each([
    ['vanishes', 'PAIPAI_ERR_SOURCE_FAILED', unlinkSync],
    ['shrinks', 'PAIPAI_ERR_SOURCE_CHANGED', (file: string) => truncateSync(file, 100_000)],
    ['is written to', 'PAIPAI_ERR_SOURCE_CHANGED', (file: string) => writeFileSync(file, 'new')],
  ] as const)('a file that %s', async (_how, code, spoil) => {
    const { net, stored } = await remoteNet();
    const file = tempFile(noise(16 * 1024 * 1024));
    const data = Data.fromFile('d', file, { shardBytes });
    net.addData(data);
    const before = openDescriptors();
    let isSpoilt = false;
    const transfer = net.transfer(data, undefined, {
      onProgress: () => {
        if (!isSpoilt) spoil(file);
        isSpoilt = true;
      },
    });
    await expect(transfer).rejects.toMatchObject({ code });
    expect(await stored()).toEqual({ shards: 0, bytes: 0 });
    expect(openDescriptors()).toBeLessThanOrEqual(before);
    await expect(net.read(data)).rejects.toMatchObject({ code: 'PAIPAI_ERR_UNKNOWN_DATA' });
    await worksOn(net);
  });

  const rows = 'key,value\n'.repeat(10_000);
  test.each<[string, string, string, DataOptions]>([
    [
      'a record longer than a shard',
      'PAIPAI_ERR_RECORD_TOO_LONG',
      `${rows}${'x'.repeat(shardBytes)}\n${rows}`,
      { shardBytes, records: 'csv' },
    ],
    [
      'a quote that is never closed, with a shard of rows behind it',
      'PAIPAI_ERR_RECORD_TOO_LONG',
      `${rows}1,"2\n${rows}`,
      { shardBytes, records: 'csv' },
    ],
    [
      'a quote that is never closed, near the end',
      'PAIPAI_ERR_CSV_SYNTAX',
      `${rows}1,"2\n`,
      { shardBytes, records: 'csv' },
    ],
  ])('a table with %s', async (_what, code, table, options) => {
    const { net, stored } = await remoteNet();
    const data = Data.fromFile('d', tempFile(table), options);
    net.addData(data);
    await expect(net.transfer(data)).rejects.toMatchObject({ code });
    expect(await stored()).toEqual({ shards: 0, bytes: 0 });
    await worksOn(net);
  });
});
