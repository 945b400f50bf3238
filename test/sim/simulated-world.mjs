import { EventEmitter } from 'node:events';
import { TrafficRules } from './traffic-rules.mjs';
import { SeededRandom, VirtualTime } from './virtual-time.mjs';

/**
 * Processes of the shipped code in one, with what they take from outside: clocks and timers of one virtual time, connections that are late, cut
 * or silent, disks that keep what was synced, workers that are no threads. One seed, one run.
 */

const connectMsMax = 10_000;
/** How long a worker takes to hear of something. */
const workerDelayMs = 0.05;

export class SimulatedWorld {
  time = new VirtualTime();
  /** What broke a rule, as sentences. */
  violations = [];
  /** By name: what runs there now, or ran last. */
  processes = new Map();
  connections = new Set();
  /** By name of the process. */
  disks = new Map();
  listeners = new Map();
  /** Nodes that nothing reaches and that reach nothing, by name. */
  silent = new Set();

  /**
   * @param code of `loadCode`
   * @param handlersFor the table of what a process has workers run
   */
  constructor(code, seed, handlersFor) {
    this.code = code;
    this.handlersFor = handlersFor;
    this.random = new SeededRandom(seed);
    /** Milliseconds one way: some nets are near, some far. */
    this.latencyMs = this.random.pick([0.1, 1, 1, 20]);
    this.rules = new TrafficRules(this);
    const { host } = code;
    host.openMedium = (path) => new SimulatedMedium(this, path.split('/').at(-1));
    host.openJournal = (path) => new SimulatedJournal(this, path);
    host.startWorker = ({ handlers }) => new SimulatedWorker(this, handlers);
  }

  violate(sentence) {
    this.violations.push(`${sentence} (at ${this.time.nowMs.toFixed(0)} ms)`);
  }

  /** A process that is not there yet, or not any more. */
  startProcess(name) {
    const process = new SimulatedProcess(this, name);
    this.processes.set(name, process);
    this.silent.delete(name);
    // What comes for the one before is refused from here on.
    for (const connection of this.connections) connection.refuseDead(name);
    this.releaseAll();
    return process;
  }

  /** Runs what takes its surroundings at once. */
  within(process, start) {
    this.code.host.process = process;
    return start();
  }

  /** Lets time pass until `isDone` holds; whatever an event sets going comes to rest before the next one. Whether it held. */
  async run(untilMs, isDone = () => false) {
    for (;;) {
      await new Promise(setImmediate);
      if (isDone()) return true;
      if (!this.time.runNext(untilMs)) return isDone();
    }
  }

  /** The process ends. With its host, nobody is told. */
  crash(process, { withHost = false } = {}) {
    process.isRunning = false;
    this.disks.get(process.name)?.crash();
    for (const [address, { owner }] of this.listeners) {
      if (owner === process) this.listeners.delete(address);
    }
    if (withHost) this.setSilent(process.name, true);
    else for (const connection of this.connections) connection.refuseDead(process.name);
  }

  stall(process, forMs) {
    process.stalledUntilMs = this.time.nowMs + forMs;
    this.time.after(forMs, () => this.releaseAll());
  }

  setSilent(name, isSilent) {
    if (isSilent) this.silent.add(name);
    else this.silent.delete(name);
    this.releaseAll();
  }

  releaseAll() {
    for (const connection of this.connections) connection.release();
  }

  isReachable(name) {
    return !this.silent.has(name);
  }
}

class SimulatedProcess {
  isRunning = true;
  stalledUntilMs = -Infinity;

  constructor(world, name) {
    this.world = world;
    this.name = name;
    const { time } = world;
    const startMs = time.nowMs;
    const wallMs = world.random.between(0, 2e12);
    this.random = new SeededRandom(Math.floor(world.random.next() * 2 ** 32));
    const noFiles = () => Promise.reject(new Error('a simulated process has no files'));
    this.env = {
      clock: { nowMs: () => time.nowMs - startMs, wallMs: () => wallMs + time.nowMs },
      timers: { after: (delayMs, callback) => this.#after(delayMs, callback) },
      random: this.random,
      files: { stat: noFiles, open: noFiles, readStream: noFiles },
    };
    this.network = new SimulatedNetwork(world, this);
  }

  get isStalled() {
    return this.world.time.nowMs < this.stalledUntilMs;
  }

  sleep(ms) {
    return new Promise((resolve) => this.#after(ms, resolve));
  }

  #after(delayMs, callback) {
    let isOver = false;
    const fire = () => {
      if (isOver || !this.isRunning) return;
      if (this.isStalled) return this.world.time.at(this.stalledUntilMs, fire);
      isOver = true;
      callback();
    };
    this.world.time.after(delayMs, fire);
    return {
      cancel: () => {
        isOver = true;
      },
    };
  }
}

class SimulatedNetwork {
  engine = 'memory';

  constructor(world, owner) {
    this.world = world;
    this.owner = owner;
  }

  async listen(address, onChannel) {
    const { path } = address;
    const listening = { owner: this.owner, onChannel };
    this.world.listeners.set(path, listening);
    return {
      address,
      close: async () => {
        const { listeners } = this.world;
        if (listeners.get(path) === listening) listeners.delete(path);
      },
      ref() {},
      unref() {},
    };
  }

  connect({ path }, { signal, connectTimeoutMs = connectMsMax } = {}) {
    const { world, owner } = this;
    const { PaipaiError, systemError, memoryChannelPair } = world.code;
    return new Promise((resolve, reject) => {
      const { timers } = owner.env;
      const fail = (error) => {
        timer.cancel();
        attempt.cancel();
        reject(error);
      };
      const timer = timers.after(connectTimeoutMs, () =>
        fail(new PaipaiError('PAIPAI_ERR_DEADLINE', `nobody answered at ${path}`)),
      );
      const onAbort = () =>
        fail(new PaipaiError('PAIPAI_ERR_ABORTED', `connecting to ${path} was aborted`));
      signal?.addEventListener('abort', onAbort, { once: true });
      const tryNow = () => {
        const name = path.slice(1);
        if (!world.isReachable(name)) {
          attempt = timers.after(500, tryNow);
          return;
        }
        timer.cancel();
        signal?.removeEventListener('abort', onAbort);
        const listener = world.listeners.get(path);
        if (listener === undefined) {
          return reject(
            systemError(-111, `connect ${path}`, { syscall: 'connect', address: path }),
          );
        }
        const connection = new Connection(world, owner, listener.owner, memoryChannelPair);
        listener.onChannel(connection.far.channel);
        resolve(connection.near.channel);
      };
      let attempt = timers.after(2 * world.latencyMs, tryNow);
      if (signal?.aborted) onAbort();
    });
  }
}

/** Two ends of a shipped channel in memory, each with the process that has it. */
class Connection {
  /** Nothing is delivered any more. */
  isBroken = false;
  /** When the side that connected was told of the end; Infinity while it was not. */
  nearToldMs = Infinity;
  #held = [];
  /** While an end is being destroyed: which of its two callbacks comes next. */
  #ending = null;

  constructor(world, nearOwner, farOwner, memoryChannelPair) {
    this.world = world;
    const schedule = (callback) => this.#schedule(callback);
    const [near, far] = memoryChannelPair({
      schedule,
      first: { remoteAddress: `unix:///${farOwner.name}` },
      second: { remoteAddress: `unix:///${nearOwner.name}` },
    });
    this.near = { owner: nearOwner, channel: near };
    this.far = { owner: farOwner, channel: far };
    world.connections.add(this);
    world.rules.opened(this);
    this.#watch(this.near, this.far);
    this.#watch(this.far, this.near);
  }

  /** Ends it: at once for one side, and for the other when it hears of it. */
  cut() {
    const side = this.world.random.next() < 0.5 ? this.near : this.far;
    const { PaipaiError } = this.world.code;
    side.channel.destroy(new PaipaiError('PAIPAI_ERR_PEER_CLOSED', 'the connection was cut'));
  }

  /** The host of a process that has ended says so, once it is heard. */
  refuseDead(name) {
    for (const side of [this.near, this.far]) {
      if (side.owner.name === name && !side.owner.isRunning) {
        side.channel.receiver = null;
        side.channel.destroy();
      }
    }
  }

  release() {
    if (this.#isHeld()) return;
    for (const callback of this.#held.splice(0)) this.#later(callback);
  }

  #isHeld() {
    const { near, far, world } = this;
    return (
      near.owner.isStalled ||
      far.owner.isStalled ||
      !world.isReachable(near.owner.name) ||
      !world.isReachable(far.owner.name)
    );
  }

  #schedule(callback) {
    if (this.#ending !== null) {
      const { side, callbacks } = this.#ending;
      callbacks.push(callback);
      // The end of this side is its own affair; that of the other one is news, which may be held up.
      if (callbacks.length === 1) this.#laterHere(side, callback);
      else this.#later(() => this.#tell(side === this.near ? this.far : this.near, callback));
      return;
    }
    if (this.isBroken) this.world.time.after(0, callback);
    else this.#later(callback);
  }

  #laterHere({ owner }, callback) {
    const run = () => {
      if (owner.isStalled) this.world.time.at(owner.stalledUntilMs, run);
      else callback();
    };
    this.world.time.after(0, run);
  }

  #later(callback) {
    const { time, random, latencyMs } = this.world;
    time.after(latencyMs * (0.5 + random.next()), () => {
      if (this.#isHeld()) this.#held.push(callback);
      else callback();
    });
  }

  #tell(side, callback) {
    if (side === this.near) this.nearToldMs = Math.min(this.nearToldMs, this.world.time.nowMs);
    callback();
  }

  /** The end of a process that has ended neither sends nor hears. */
  #watch(side, other) {
    const { channel, owner } = side;
    const { rules } = this.world;
    const { send, sendBulk, destroy } = channel;
    channel.send = (...args) => {
      if (!owner.isRunning) return;
      if (!this.isBroken) rules.sent(this, side, other, args);
      send.apply(channel, args);
    };
    channel.sendBulk = (streamId, bytes, onSent) => {
      if (!owner.isRunning) return;
      if (!this.isBroken) rules.sentBulk(this, side, other, streamId, bytes.length);
      sendBulk.call(channel, streamId, bytes, onSent);
    };
    channel.destroy = (error) => {
      const before = this.#ending;
      this.#ending = { side, callbacks: [] };
      destroy.call(channel, error);
      if (this.#ending.callbacks.length > 0) {
        this.isBroken = true;
        if (side === this.near) this.nearToldMs = Math.min(this.nearToldMs, this.world.time.nowMs);
      }
      this.#ending = before;
    };
  }
}

/** What a node has on disk: what was synced, and what of the changes under way made it when the process ended. */
class SimulatedDisk {
  /** By key: the shard and its content. */
  synced = new Map();
  #underWay = null;

  constructor(world) {
    this.world = world;
  }

  begin(changes) {
    this.#underWay = changes;
  }

  finish(changes) {
    this.#underWay = null;
    for (const change of changes) this.#apply(change);
  }

  /** Each change under way is there or is not. */
  crash() {
    for (const change of this.#underWay ?? []) {
      if (this.world.random.next() < 0.5) this.#apply(change);
    }
    this.#underWay = null;
  }

  #apply(change) {
    if (change.kind === 'drop') this.synced.delete(keyText(change.key));
    else {
      const { shard, content } = change;
      this.synced.set(keyText(shard.key), { shard, content: new Uint8Array(content) });
    }
  }
}

export function keyText({ dataId, version, index }) {
  return `${dataId}/${version}/${index}`;
}

class SimulatedMedium {
  constructor(world, name) {
    this.process = world.processes.get(name);
    this.disk = world.disks.get(name) ?? new SimulatedDisk(world);
    world.disks.set(name, this.disk);
  }

  async load() {
    await this.#wait(10);
    return { shards: Array.from(this.disk.synced.values(), ({ shard }) => shard), damaged: 0 };
  }

  async write(changes) {
    this.disk.begin(changes);
    await this.#wait(20);
    this.disk.finish(changes);
    return changes.map(() => undefined);
  }

  async read(key, into) {
    await this.#wait(2);
    const found = this.disk.synced.get(keyText(key));
    if (found === undefined || found.content.length !== into.length) return false;
    into.set(found.content);
    return true;
  }

  async close() {}

  #wait(msMax) {
    return this.process.sleep(this.process.random.between(0, msMax));
  }
}

/** What a process keeps beside its shards: a change is there when it is synced. */
class SimulatedJournal {
  /** @param path of a folder in that of the store */
  constructor(world, path) {
    const [name, folder] = path.split('/').slice(-2);
    this.process = world.processes.get(name);
    const disk = world.disks.get(name) ?? new SimulatedDisk(world);
    world.disks.set(name, disk);
    disk.journals ??= new Map();
    this.kept = disk.journals.get(folder) ?? new Map();
    disk.journals.set(folder, this.kept);
  }

  async read() {
    const versions = Array.from(this.kept.values(), ({ version }) => version);
    const entries = [...this.kept.values()].filter(({ value }) => value !== undefined);
    return { lastVersion: Math.max(0, ...versions), entries };
  }

  async write(changes) {
    await this.process.sleep(this.process.random.between(0, 20));
    for (const change of changes) this.kept.set(change.key, change);
  }

  async close() {}
}

/** The shipped worker code behind two queues of messages. */
class SimulatedWorker extends EventEmitter {
  #hasEnded = false;
  #onMessage = () => {};

  /** @param name of its node */
  constructor(world, name) {
    super();
    this.process = world.processes.get(name);
    const { serveTasks, loadHandlers } = world.code;
    const port = {
      postMessage: (message) => this.#later(() => this.emit('message', message)),
      on: (_, onMessage) => {
        this.#onMessage = onMessage;
      },
    };
    const load = () => loadHandlers(undefined, world.handlersFor(this.process));
    void serveTasks(port, load, this.process.env.clock);
  }

  postMessage(message) {
    this.#later(() => this.#onMessage(message));
  }

  async terminate() {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    await this.process.sleep(workerDelayMs);
    this.emit('exit', 1);
  }

  #later(callback) {
    this.process.env.timers.after(workerDelayMs, () => {
      if (!this.#hasEnded) callback();
    });
  }
}
