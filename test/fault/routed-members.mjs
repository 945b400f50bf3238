// Three members that agree, a quorum or an etcd, each in a network of its own, for programs that kill and stop them, cut them off, and set their clocks.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { NodeProcess, paipainet } from '../support/node-process.mjs';
import { makeRoutedPlaces } from '../support/routed-places.mjs';

const wrongClock = fileURLToPath(new URL('../support/wrong-clock.mjs', import.meta.url));
const names = ['a', 'b', 'c'];
const secret = 'nobody else listens here';

/**
 * @param kind quorum or etcd
 * @param wrongClocks whether the clocks of members of a quorum jump by hours, each at its own moments
 * @returns `members`, of which each has an `address` of its network, `kill` and `start`, and `signal`; `router`; `netOptions` of a client, and `end`
 */
export async function startRoutedMembers(kind, { wrongClocks = true } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'paipainet-routed-'));
  const router = makeRoutedPlaces(names.length);
  const start = { quorum: startQuorum, etcd: startEtcd }[kind];
  let members = [];
  const end = async () => {
    await Promise.all(members.map((member) => member.kill()));
    router.remove();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const started = await start(router.places, folder, wrongClocks);
    members = started.members;
    return { ...started, router, end };
  } catch (thrown) {
    await end();
    throw thrown;
  }
}

async function startQuorum(places, folder, wrongClocks) {
  const members = [];
  const addresses = places.map(({ address }) => `tcp://${address}:7100`);
  for (const [at, { before, address }] of places.entries()) {
    const env = { ...process.env, PAIPAINET_SECRET: secret };
    const clock = wrongClocks ? ['--import', wrongClock] : [];
    Object.assign(env, { WRONG_CLOCK_MS: `${(at - 1) * 7_200_000}`, WRONG_CLOCK_JUMPS: '700' });
    const [program, ...main] = paipainet;
    const command = [...before, program, ...clock, ...main];
    const store = ['--store', `files:${join(folder, names[at])}`];
    const joined = addresses.filter((_, other) => other !== at).flatMap((one) => ['--join', one]);
    const node = new NodeProcess(
      ['--id', names[at], ...store, '--quorum', names.join(), ...joined],
      { command, env },
    );
    node.address = addresses[at];
    await node.start();
    members.push({
      name: names[at],
      address,
      kill: () => node.kill(),
      start: () => node.start(),
      signal: (name) => process.kill(node.pid, name),
    });
  }
  return { members, netOptions: { join: addresses, secret, coordination: { quorum: names } } };
}

async function startEtcd(places, folder) {
  const urlOf = (at, port) => `http://${places[at].address}:${port}`;
  const cluster = names.map((name, at) => `${name}=${urlOf(at, 2380)}`).join();
  const members = places.map(({ before, address }, at) => {
    const [command, ...first] = before;
    const [client, peer] = [urlOf(at, 2379), urlOf(at, 2380)];
    const own = ['--name', names[at], '--data-dir', join(folder, names[at]), '--logger', 'zap'];
    const clients = ['--listen-client-urls', client, '--advertise-client-urls', client];
    const peers = ['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer];
    const clock = ['--heartbeat-interval', '50', '--election-timeout', '500'];
    const args = ['etcd', ...own, ...clients, ...peers, ...clock, '--initial-cluster', cluster];
    let child;
    return {
      name: names[at],
      address,
      start() {
        child = spawn(command, [...first, ...args], { stdio: 'ignore' });
      },
      async kill() {
        if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
        const gone = once(child, 'exit');
        child.kill('SIGKILL');
        await gone;
      },
      signal: (name) => child.kill(name),
    };
  });
  for (const member of members) member.start();
  const urls = names.map((_, at) => urlOf(at, 2379));
  for (let tries = 0; !(await isServing(urls[0])); tries++) {
    if (tries > 200) throw new Error('etcd does not serve');
    await sleep(50);
  }
  // Its clients are members of no net of nodes that agree.
  return { members, netOptions: { coordination: { etcd: urls } } };
}

async function isServing(url) {
  try {
    const key = Buffer.from('!').toString('base64');
    const body = JSON.stringify({ key });
    const response = await fetch(`${url}/v3/kv/put`, {
      method: 'POST',
      body,
      signal: AbortSignal.timeout(1_000),
    });
    return response.ok;
  } catch {
    return false;
  }
}
