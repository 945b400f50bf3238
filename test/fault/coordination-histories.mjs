// Five clients ask three members for all kinds of things while those are killed, stopped and cut off, and their clocks jump; then it is looked for an order of all answers:
// node coordination-histories.mjs quorum|etcd RUNS [OPERATIONS] [SEED]. Ends with one line of JSON, and with 1 when some answers have no order, or when nobody was served two seconds
// after the last trouble.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { SeededRandom } from '../sim/virtual-time.mjs';
import { isLinearizable } from '../support/linearizability.mjs';
import { startRoutedMembers } from './routed-members.mjs';

const [, , kind = 'quorum', runs = '2', operations = '10000', seedText] = process.argv;
const program = fileURLToPath(new URL('./historian.mjs', import.meta.url));
const clientCount = 5;
const keyCount = 320;
/** After two of three members were cut off. */
const resumeMsMost = 2_000;
/** For how much longer than it takes until the third refuses. */
const cutsMs = [0, 0, 0, 500, 10_000];
const seed = Number(seedText ?? Math.floor(Math.random() * 2 ** 31));
const random = new SeededRandom(seed);

/** @param state what the key holds; null: nothing */
function stepOf(state, { what, value, expected, set, isSet, endedAt }) {
  if (what === 'get') return state === value ? state : undefined;
  if (what === 'put') return set;
  if (endedAt === Infinity) return state === expected ? set : state;
  if (isSet) return state === expected ? set : undefined;
  return state !== expected && state === value ? state : undefined;
}

/** What is wrong with the answers about one key, or undefined. */
function flawOf(calls) {
  const versions = new Map();
  for (const { version, value, set, what, isSet } of calls) {
    const content = what === 'put' || isSet ? set : value;
    if (version === undefined || version === 0) continue;
    if ((versions.get(version) ?? content) !== content) return `version ${version} was two values`;
    versions.set(version, content);
  }
  return isLinearizable(calls, { first: null, step: stepOf }) ? undefined : 'there is no order';
}

function byKey(calls) {
  const keys = new Map();
  for (const call of calls) {
    if (call.what === 'refused') continue;
    const list = keys.get(call.key) ?? [];
    keys.set(call.key, list);
    list.push({ ...call, endedAt: call.endedAt ?? Infinity });
  }
  return keys;
}

/** It finds out when one answer is another one's. */
function checkTheCheck() {
  const call = (what, startedAt, more) => ({
    key: 'k',
    what,
    startedAt,
    endedAt: startedAt + 1,
    ...more,
  });
  const right = [
    call('put', 1, { set: 'x', version: 5 }),
    call('put', 3, { set: 'y', version: 6 }),
    call('get', 5, { value: 'y', version: 6 }),
  ];
  const stale = [...right.slice(0, 2), call('get', 5, { value: 'x', version: 5 })];
  if (flawOf(right) !== undefined || flawOf(stale) === undefined)
    throw new Error('the check is none');
}

checkTheCheck();
const { members, router, netOptions, end } = await startRoutedMembers(kind);
const clients = [];
for (let at = 0; at < clientCount; at++) {
  const child = fork(program, [JSON.stringify(netOptions), `client-${at}`]);
  clients.push(child);
}

const figures = {
  kind,
  seed,
  runs: 0,
  calls: 0,
  unknown: 0,
  refused: 0,
  disturbances: 0,
  resumedMs: [],
};
let violations = 0;
let isTroubled = false;

/** One kind of trouble, and its end; one at a time, so that most are there. */
async function disturb() {
  figures.disturbances++;
  const member = random.pick(members);
  const others = members.filter((one) => one !== member);
  const forMs = random.between(100, 1_500);
  switch (random.pick(['kill', 'kill', 'stop', 'stopClient', 'cut', 'cutOneWay', 'isolate'])) {
    case 'kill':
      await member.kill();
      await sleep(forMs);
      await member.start();
      return;
    case 'stop':
      member.signal('SIGSTOP');
      await sleep(forMs);
      member.signal('SIGCONT');
      return;
    case 'stopClient': {
      const client = random.pick(clients);
      client.kill('SIGSTOP');
      await sleep(forMs);
      client.kill('SIGCONT');
      return;
    }
    case 'cut':
      for (const { address } of others) {
        router.cut(member.address, address);
        router.cut(address, member.address);
      }
      break;
    case 'cutOneWay':
      for (const { address } of others) router.cut(member.address, address);
      break;
    case 'isolate':
      for (const address of [router.address, ...others.map((one) => one.address)]) {
        router.cut(member.address, address);
        router.cut(address, member.address);
      }
      break;
  }
  await sleep(forMs);
  router.heal();
}

async function trouble() {
  while (isTroubled) {
    await sleep(random.between(50, 500));
    if (isTroubled) await disturb();
  }
}

/** What the client says next. Fails when it ends instead. */
async function messageOf(child) {
  const over = new AbortController();
  const { signal } = over;
  const ending = async () => {
    const [code, name] = await once(child, 'exit', { signal });
    throw new Error(`a client ended with ${code ?? name}`);
  };
  try {
    const [message] = await Promise.race([once(child, 'message', { signal }), ending()]);
    return message;
  } finally {
    over.abort();
  }
}

async function runOnce(run) {
  isTroubled = true;
  const troubling = trouble();
  const prefix = `${seed}/${run}`;
  const histories = clients.map(async (child) => {
    const perClient = Math.ceil(Number(operations) / clientCount);
    const answer = messageOf(child);
    const its = Math.floor(random.next() * 2 ** 31);
    child.send({ prefix, keys: keyCount, operations: perClient, seed: its });
    return answer;
  });
  const calls = (await Promise.all(histories)).flat();
  isTroubled = false;
  await troubling;
  figures.runs++;
  figures.calls += calls.length;
  figures.unknown += calls.filter(({ endedAt }) => endedAt === null).length;
  figures.refused += calls.filter(({ what }) => what === 'refused').length;
  for (const [key, its] of byKey(calls)) {
    const flaw = flawOf(its);
    if (flaw === undefined) continue;
    violations++;
    const path = join(tmpdir(), `paipainet-history-${key.replaceAll('/', '-')}.json`);
    writeFileSync(path, JSON.stringify(its, undefined, 1));
    console.error(`run ${run}, key ${key}: ${flaw}; its history is in ${path}`);
  }
}

/** How long it takes until somebody is answered when two of three were cut off, and the third has refused. */
async function resumeMs(cutMs) {
  const [member, ...others] = members;
  for (const { address } of others) {
    router.cut(member.address, address);
    router.cut(address, member.address);
  }
  const [one, other] = others;
  router.cut(one.address, other.address);
  router.cut(other.address, one.address);
  const [client] = clients;
  const answer = messageOf(client);
  client.send({ probe: `${seed}/probe` });
  await answer; // It was refused.
  await sleep(cutMs);
  router.heal();
  const healedMs = performance.now();
  const served = messageOf(client);
  client.send({ untilServed: `${seed}/probe` });
  await served;
  return performance.now() - healedMs;
}

try {
  for (const child of clients) await messageOf(child);
  for (let run = 1; run <= Number(runs); run++) await runOnce(run);
  for (const cutMs of cutsMs) figures.resumedMs.push(Math.round(await resumeMs(cutMs)));
} finally {
  for (const child of clients) child.kill('SIGKILL');
  await end();
}
if (kind === 'quorum' && Math.max(...figures.resumedMs) > resumeMsMost) {
  violations++;
  console.error(`nobody was served for ${figures.resumedMs} ms after healing`);
}
console.log(JSON.stringify({ ...figures, keys: keyCount, violations }));
process.exitCode = violations > 0 ? 1 : 0;
