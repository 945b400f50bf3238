import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { CoordinatorClient } from '../../dist/coordination/coordinator-client.js';
import { EtcdCoordinator } from '../../dist/coordination/etcd/etcd-coordinator.js';
import { checkEtcd, type EtcdOptions } from '../../dist/coordination/etcd/etcd-options.js';
import { Data, Net, Node } from '../../dist/index.js';
import { createRealEnv } from '../../dist/node/real-env.js';
import { type EtcdServer, startEtcd, withoutEtcd } from '../support/etcd.js';
import { makeFolder } from '../support/folders.js';
import { NodeProcess } from '../support/node-process.mjs';
import { codeOf } from '../support/session-pair.js';

/** An etcd whose members die, stand still and come back, and one that refuses. */

const bytes = (value: string): Uint8Array => new Uint8Array(Buffer.from(value));

function clientOf(etcd: readonly string[], options: Omit<EtcdOptions, 'etcd'> = {}) {
  const env = createRealEnv();
  const table = new EtcdCoordinator(env, checkEtcd({ etcd, ...options }, 'default'));
  const client = new CoordinatorClient(env, table);
  onTestFinished(() => client.close());
  return client;
}

async function start(count = 1, args: readonly string[] = []): Promise<EtcdServer> {
  const server = await startEtcd(count, args);
  onTestFinished(() => server.end());
  return server;
}

const title = withoutEtcd;

describe.skipIf(title)(`etcd${title}`, () => {
  test('goes on with the others when a member dies, and fails in time when most have', async () => {
    const server = await start(3);
    const client = clientOf(server.urls);
    const [first, second, third] = server.members;
    const { version } = await client.compareAndSet('a', 0, bytes('1'));
    await first!.end('SIGKILL');
    expect((await client.get('a')).value).toEqual(bytes('1'));
    // The one that leads may have been the one that died.
    await server.untilServing();
    const next = await client.compareAndSet('a', version, bytes('2'));
    expect(next.isSet).toBe(true);

    await second!.end('SIGKILL');
    const limits = { deadlineMs: 1_000 };
    const beganMs = performance.now();
    const [reading, writing] = await Promise.all([
      codeOf(client.get('a', limits)),
      codeOf(client.compareAndSet('a', next.version, bytes('3'), limits)),
    ]);
    expect(['PAIPAI_ERR_DEADLINE', 'PAIPAI_ERR_COORDINATOR_DOWN']).toContain(reading);
    expect(['PAIPAI_ERR_DEADLINE', 'PAIPAI_ERR_PEER_CLOSED']).toContain(writing);
    expect(performance.now() - beganMs).toBeLessThan(5_000);
    await third!.end('SIGKILL');
    expect(await codeOf(client.get('a', limits))).toBe('PAIPAI_ERR_COORDINATOR_DOWN');
    expect(await codeOf(client.put('a', bytes('4'), limits))).toBe('PAIPAI_ERR_COORDINATOR_DOWN');

    for (const member of server.members) member.start();
    await server.untilServing();
    // What had no answer was made or not; what came before is there.
    expect(['2', '3']).toContain(Buffer.from((await client.get('a')).value!).toString());
  });

  test('a member that stands still is passed over by whatever can be asked twice', async () => {
    const server = await start(3);
    const [first] = server.members;
    const client = clientOf(server.urls);
    const lock = await client.lock('a', { ttlMs: 30_000 });
    first!.signal('SIGSTOP');
    onTestFinished(() => first!.signal('SIGCONT'));
    await server.untilServing();
    expect((await client.list('paipainet/lock/')).keys.length).toBe(1);
    // From then on the others are asked.
    expect((await client.put('b', bytes('1'))).version).toBeGreaterThan(0);
    await lock.release();
    expect((await client.list('paipainet/lock/')).keys).toEqual([]);
  });

  test('a lock outlives a restart of all members', async () => {
    const server = await start(1);
    const client = clientOf(server.urls);
    const lock = await client.lock('a', { ttlMs: 30_000 });
    const { version } = await client.put('x', bytes('1'));
    const watch = client.watch('x', { after: 0 });
    expect((await watch.next()).value.version).toBe(version);
    const waiting = codeOf(watch.next());
    const [member] = server.members;
    await member!.end('SIGKILL');
    expect(await waiting).toBe('PAIPAI_ERR_PEER_CLOSED');
    const late = client.watch('x', { after: 0 });
    expect(await codeOf(late.next())).toBe('PAIPAI_ERR_COORDINATOR_DOWN');
    const next = client.lock('a');
    next.catch(() => {}); // Where it could not even stand in the queue.
    member!.start();
    await server.untilServing();
    expect(lock.isHeld).toBe(true);
    const other = clientOf(server.urls);
    expect(await codeOf(other.lock('a', { deadlineMs: 300 }))).toBe('PAIPAI_ERR_DEADLINE');
    await lock.release();
    expect((await other.lock('a')).token).toBeGreaterThan(lock.token);
  });

  test('a user that etcd does not know, or that may not, is told so; one that may goes on', async () => {
    const server = await start(1);
    const add = (path: string, body: object) => server.post(`/v3/auth/${path}`, body);
    await add('user/add', { name: 'root', password: 'r' });
    await add('user/grant', { user: 'root', role: 'root' });
    await add('role/add', { name: 'ours' });
    const prefix = (text: string): string => Buffer.from(text).toString('base64');
    const perm = { permType: 'READWRITE', key: prefix('ours/'), range_end: prefix('ours0') };
    await add('role/grant', { name: 'ours', perm });
    await add('user/add', { name: 'ann', password: 'p:@/%' });
    await add('user/grant', { user: 'ann', role: 'ours' });
    await add('enable', {});
    const refused = 'PAIPAI_ERR_ACCESS';
    const wrong = clientOf(server.urls, { user: 'ann', password: 'wrong', prefix: 'ours' });
    expect(await codeOf(wrong.get('a'))).toBe(refused);
    expect(await codeOf(wrong.put('a', bytes('1')))).toBe(refused);
    const watch = wrong.watch('a', { after: 0 });
    expect(await codeOf(watch.next())).toBe(refused);
    expect(await codeOf(clientOf(server.urls).get('a'))).toBe(refused);
    const login = { user: 'ann', password: 'p:@/%' };
    expect(await codeOf(clientOf(server.urls, login).get('a'))).toBe(refused);
    const client = clientOf(server.urls, { ...login, prefix: 'ours' });
    const { version } = await client.put('a', bytes('1'));
    expect((await client.get('a')).version).toBe(version);
    const lock = await client.lock('a');
    await lock.release();
    // Tokens are gone with the process.
    const [member] = server.members;
    await member!.end('SIGKILL');
    member!.start();
    for (let isBack = false; !isBack; ) {
      isBack = (await codeOf(client.get('a'))) !== 'PAIPAI_ERR_COORDINATOR_DOWN';
    }
    expect((await client.get('a')).version).toBe(version);
    expect((await client.watch('a', { after: 0 }).next()).value.version).toBe(version);
  });

  test('over TLS, with a certificate that it trusts, and not with another', async () => {
    const folder = makeFolder();
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    const names = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const made = ['-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2'];
    execFileSync('openssl', ['req', '-x509', ...made, ...names], { stdio: 'ignore' });
    const server = await start(1, ['--cert-file', cert, '--key-file', key]);
    const trusting = clientOf(server.urls, { ca: readFileSync(cert) });
    const isThere = async (): Promise<boolean> =>
      (await codeOf(trusting.get('a'))) !== 'PAIPAI_ERR_COORDINATOR_DOWN';
    while (!(await isThere()));
    const { version } = await trusting.put('a', bytes('1'));
    expect((await trusting.watch('a', { after: 0 }).next()).value.version).toBe(version);
    expect(await codeOf(clientOf(server.urls).get('a'))).toBe('PAIPAI_ERR_COORDINATOR_DOWN');
  });

  test('a value above the limit of the server, and a server that is full', async () => {
    const small = await start(1, ['--max-request-bytes', '2048']);
    const client = clientOf(small.urls);
    const large = client.put('a', new Uint8Array(4_096));
    await expect(large).rejects.toMatchObject({
      code: 'PAIPAI_ERR_INVALID_ARGUMENT',
      message: expect.stringContaining('too large'),
    });
    const full = clientOf((await start(1, ['--quota-backend-bytes', '262144'])).urls);
    const filling = async (): Promise<void> => {
      for (let at = 0; at < 1_000; at++) await full.put(`${at}`, new Uint8Array(65_536));
    };
    expect(await codeOf(filling())).toBe('PAIPAI_ERR_STORE_FULL');
    expect((await full.get('0')).value?.byteLength).toBe(65_536);
  });

  test('two nets on one etcd do not see each other; before the start and after the end it says so', async () => {
    const [url = ''] = (await start(1)).urls;
    const coordination = `etcd://${new URL(url).host}` as const;
    const nets = ['one', 'other'].map((name) =>
      new Net({ name, coordination, runAs: 'inline' }).addNode(new Node('a')),
    );
    for (const net of nets) onTestFinished(() => net.close());
    const [one, other] = nets;
    expect(await codeOf(one!.coordinator.get('a'))).toBe('PAIPAI_ERR_NOT_STARTED');
    await Promise.all(nets.map((net) => net.start()));
    expect(one!.nodes()[0]?.coordinates).toBeUndefined();
    const lock = await one!.coordinator.lock('a');
    await one!.coordinator.put('a', bytes('1'));
    expect((await other!.coordinator.list('')).keys).toEqual([]);
    expect((await other!.coordinator.lock('a')).isHeld).toBe(true);
    await one!.close();
    expect(lock.isHeld).toBe(false);
    expect(await codeOf(one!.coordinator.get('a'))).toBe('PAIPAI_ERR_CLOSED');
  });

  test('shard maps lie there: what one client transferred another one finds without asking the nodes', async () => {
    const [url = ''] = (await start(1)).urls;
    const node = await NodeProcess.start(['--store', `files:${makeFolder()}/s`]);
    onTestFinished(() => node.kill());
    const joined = async (): Promise<Net> => {
      const net = new Net({ join: [node.address], coordination: { etcd: [url] } });
      onTestFinished(() => net.close());
      await net.start();
      return net;
    };
    const one = await joined();
    const data = new Data('d', bytes('something to keep'));
    one.addData(data);
    await one.transfer(data);
    const keys = (await one.coordinator.list('paipainet/shards/')).keys;
    expect(keys.map(({ key }) => key)).toEqual(['paipainet/shards/0/d']);
    const other = await joined();
    const same = new Data('d', bytes('something to keep'));
    other.addData(same);
    const { value } = await other.process(same, 'digest');
    expect(value).toMatchObject({ bytes: 17, shards: 1 });
  });
});

test('something that is no etcd, and nothing at all, are down', async () => {
  const server = createServer((_, response) => response.writeHead(404).end('<html>')).listen(0);
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const other = clientOf([`http://127.0.0.1:${port}`]);
  await expect(other.get('a')).rejects.toMatchObject({
    code: 'PAIPAI_ERR_COORDINATOR_DOWN',
    message: expect.stringContaining('is it an etcd'),
  });
  server.closeAllConnections();
  server.close();
  const fresh = clientOf([`http://127.0.0.1:${port}`]);
  expect(await codeOf(fresh.put('a', bytes('1')))).toBe('PAIPAI_ERR_COORDINATOR_DOWN');
  expect(await codeOf(fresh.watch('a', { after: 0 }).next())).toBe('PAIPAI_ERR_COORDINATOR_DOWN');
});
