// Lets clients and servers work while processes are killed and stopped and connections are cut, and says how it went in one JSON object.
//
//   node test/accept/soak/run.mjs SECONDS [SEED]
//
// The seed decides what is done, in which order and to whom; when is up to the machine.

import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chanceOf } from './chance.mjs';
import { Wire } from './proxy.mjs';

const runMs = Number(process.argv[2]) * 1e3;
const seed = Number(process.argv[3] ?? Math.floor(Math.random() * 2 ** 32));
const chance = chanceOf(seed);
const folder = mkdtempSync(join(tmpdir(), 'paipainet-soak-'));
const faults = {};
const wrongs = [];
/** Memory over time of each process that lives as long as the soak. */
const memory = {};

/** A process that comes back when it is killed. */
class Restarting {
  #file;
  #args;
  #onMessage;
  #child = null;
  #isOver = false;
  #isStopped = false;

  constructor(file, args, onMessage) {
    this.#file = fileURLToPath(new URL(file, import.meta.url));
    this.#args = args;
    this.#onMessage = onMessage;
    this.#start();
  }

  send(message) {
    this.#child.send(message);
  }

  kill() {
    this.#isStopped = false;
    this.#child.expected = true;
    return this.#child.kill('SIGKILL');
  }

  stopFor(ms) {
    if (this.#isStopped) return false;
    const child = this.#child;
    this.#isStopped = child.kill('SIGSTOP');
    setTimeout(() => {
      child.kill('SIGCONT');
      if (child === this.#child) this.#isStopped = false;
    }, ms);
    return true;
  }

  end() {
    this.#isOver = true;
    this.kill();
  }

  /** Its own end is in order from now on. */
  retire() {
    this.#isOver = true;
    this.#child.expected = true;
  }

  get ended() {
    return this.#child.ended;
  }

  #start() {
    const child = fork(this.#file, this.#args, { execArgv: ['--expose-gc'] });
    this.#child = child;
    child.on('message', (message) => this.#onMessage(message));
    // A message to one that is just being killed.
    child.on('error', () => {});
    child.ended = new Promise((resolve) => {
      child.on('exit', (code, signal) => {
        const isMeant = child.expected && (signal === 'SIGKILL' || code === 0);
        if (!isMeant)
          wrongs.push(`${this.#args[0]} process ended by itself with ${code ?? signal}`);
        if (!this.#isOver) this.#start();
        resolve();
      });
    });
  }
}

/** A server, once it says where it listens; from then on it listens there whenever it is started. */
function startServer(engine, address, name) {
  return new Promise((resolve) => {
    const server = new Restarting('server.mjs', [engine, address], (message) => {
      if (message.facts !== undefined) note(name, message.facts);
      else resolve({ server, address: message.address });
    });
  });
}

function startClient(engine, targets, onMessage) {
  const args = [engine, String(chance.between(0, 2 ** 31)), JSON.stringify(targets)];
  return new Restarting('client.mjs', args, onMessage);
}

/** A client that nobody kills, once it is at work; `ended` settles with its last report. */
function startLasting(engine) {
  return new Promise((resolveStarted) => {
    let resolve;
    const ended = new Promise((resolve_) => {
      resolve = resolve_;
    });
    const client = startClient(engine, targets, (message) => {
      if (message.isReady) return resolveStarted({ client, ended, resolve });
      reports[engine] = message;
      if (message.isLast) resolve();
      else note(`${engine} client`, message.facts);
    });
  });
}

function note(name, { residentMiB }) {
  memory[name] ??= [];
  memory[name].push({ minutes: performance.now() / 60e3, residentMiB });
}

/** Least squares, without the first third, in which code and heaps grow to their size. */
function slopeMiBPerMinute(samples) {
  const rest = samples.slice(Math.ceil(samples.length / 3));
  const mean = (of) => rest.reduce((sum, sample) => sum + of(sample), 0) / rest.length;
  const meanMinutes = mean(({ minutes }) => minutes);
  const meanMiB = mean(({ residentMiB }) => residentMiB);
  const covariance = mean((s) => (s.minutes - meanMinutes) * (s.residentMiB - meanMiB));
  return covariance / mean((s) => (s.minutes - meanMinutes) ** 2);
}

// A fixed port each, so that a server that was killed comes back to where it was looked for.
const free = async () => {
  const probe = await new Wire('tcp://127.0.0.1:1').listen();
  probe.close();
  return probe.address;
};
const shaky = await Promise.all([
  startServer('native', await free()),
  startServer('native', `unix://${join(folder, 'server.sock')}`),
  startServer('js', await free()),
]);
const steady = await startServer('native', 'tcp://127.0.0.1:0', 'server');
const tcpServers = [shaky[0], shaky[2], steady];
const proxies = await Promise.all(tcpServers.map(({ address }) => new Wire(address).listen()));
const targets = [
  ...[...shaky, steady].map(({ address }) => ({ address, path: 'auto' })),
  ...proxies.map(({ address }) => ({ address, path: 'tcp' })),
];

const reports = {};
const lasting = await Promise.all(['native', 'js'].map(startLasting));
const victims = ['native', 'js'].map((engine) => startClient(engine, targets, () => {}));

const oneOf = (list) => list[chance.between(0, list.length - 1)];
const strikes = {
  'server killed': () => oneOf(shaky).server.kill(),
  'server stopped': () => oneOf(shaky).server.stopFor(chance.between(50, 2_500)),
  'client killed': () => oneOf(victims).kill(),
  'client stopped': () => oneOf(victims).stopFor(chance.between(50, 2_500)),
  'connection cut in a frame': () => oneOf(proxies).spoil('cut', chance),
  'connection reset': () => oneOf(proxies).spoil('reset', chance),
  'connection half-closed': () => oneOf(proxies).spoil('halfClose', chance),
  'connection stalled': () => oneOf(proxies).spoil('stall', chance),
};
const weights = {
  'server killed': 6,
  'server stopped': 10,
  'client killed': 4,
  'client stopped': 8,
  'connection cut in a frame': 25,
  'connection reset': 20,
  'connection half-closed': 12,
  'connection stalled': 15,
};

const facts = setInterval(() => steady.server.send('facts'), 1_000);
const endMs = performance.now() + runMs;
while (performance.now() < endMs) {
  const name = chance.pick(weights);
  if (strikes[name]()) faults[name] = (faults[name] ?? 0) + 1;
  await new Promise((resolve) => setTimeout(resolve, chance.between(20, 300)));
}
clearInterval(facts);

for (const { client } of lasting) {
  client.retire();
  client.send('stop');
}
const patience = setTimeout(() => {
  wrongs.push('a client did not end');
  for (const { resolve } of lasting) resolve();
}, 15_000);
await Promise.all(lasting.map(({ ended }) => ended));
clearTimeout(patience);
for (const { client } of lasting) client.end();
for (const victim of victims) victim.end();
for (const { server } of [...shaky, steady]) server.end();
for (const proxy of proxies) proxy.close();
await Promise.all([...lasting.map(({ client }) => client), ...victims].map(({ ended }) => ended));
rmSync(folder, { recursive: true, force: true });

for (const [engine, report] of Object.entries(reports)) {
  for (const wrong of report.wrongs) wrongs.push(`${engine} client: ${wrong}`);
}
const result = {
  seed,
  seconds: runMs / 1e3,
  faults,
  operations: Object.fromEntries(
    Object.entries(reports).map(([engine, { outcomes }]) => [engine, outcomes]),
  ),
  worst: Object.fromEntries(Object.entries(reports).map(([engine, { worst }]) => [engine, worst])),
  memorySlopeMiBPerMinute: Object.fromEntries(
    Object.entries(memory).map(([name, samples]) => [name, slopeMiBPerMinute(samples)]),
  ),
  residentMiB: Object.fromEntries(
    Object.entries(memory).map(([name, samples]) => [name, samples.at(-1).residentMiB]),
  ),
  wrongs,
};
console.log(JSON.stringify(result));
process.exitCode = wrongs.length > 0 ? 1 : 0;
