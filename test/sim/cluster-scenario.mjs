import { keyText, SimulatedWorld } from './simulated-world.mjs';

/**
 * A client with 3 to 9 nodes, all of them the shipped code, on a simulated network: data are transferred, read, processed and repaired while
 * connections are cut, networks fall silent and nodes stand still, die and come back. One seed, one run.
 */

/** What a run needs of the code of `withShippedCode`. */
const files = [
  'simulation.js',
  'index.js',
  'base/errors.js',
  'cluster/transfer/map-value.js',
  'cluster/transfer/messages.js',
  'node/node-info.js',
  'node/runtime.js',
  'processing/digest.js',
  'processing/handlers.js',
  'processing/worker.js',
  'session/connect.js',
  'transport/memory-channel.js',
  'wire/crc32c.js',
  'wire/frame.js',
  'wire/shard-header.js',
];

/** All that these files export. */
export async function loadCode(load) {
  return Object.assign({}, ...(await Promise.all(files.map(load))));
}

/** Handlers take their time, and say what they have seen so that nothing can count twice unnoticed. */
function handlersFor(process, { crc32c, digestHandler }) {
  const work = () => process.sleep(process.random.exponential(5));
  const seen = async (shard, { shardIndex }) => {
    await work();
    if (process.random.next() < 0.02) throw new Error(`no luck with shard ${shardIndex}`);
    return [[shardIndex, crc32c(shard)]];
  };
  return new Map([
    ['digest', digestHandler(crc32c)],
    ['list', { process: async (shard, context) => (await seen(shard, context))[0] }],
    ['merge', { process: seen, merge: (a, b) => [...a, ...b] }],
    [
      'emitBytes',
      {
        process: async (shard, { emit, shardIndex }) => {
          await work();
          emit(`shard ${shardIndex}`, 1);
          for (const byte of shard.subarray(0, 50)) emit(`byte ${byte % 16}`, 1);
        },
      },
    ],
    [
      'sum',
      {
        process: (_, values) => {
          let sum = 0;
          for (const value of values) sum += value;
          return sum;
        },
      },
    ],
  ]);
}

const deadlineMs = 180_000;
/** After the deadline of an operation: one more round of asking nodes to drop what was stored. */
const afterDeadlineMs = 3_000;
/** The heartbeat, an attempt to connect that hangs, and the longest wait between two attempts. */
const recoveryMsMax = 90_000;
const troubleMsMax = 20_000;

/** Nothing is held up for so long that an operation would come to its deadline instead of an answer. */
const disturbances = [
  'cut',
  'cut',
  'cutSome',
  'silence',
  'stall',
  'crash',
  'crash',
  'powerCut',
  'rot',
];

/** @param note hears of everything that happens, as sentences */
export async function runClusterChaos({ code, seed, note = () => {} }) {
  const run = new ClusterRun(code, seed, note);
  const onRejection = (reason) => {
    run.world.violate(`nobody listened to a failure: ${reason?.stack ?? reason}`);
  };
  process.on('unhandledRejection', onRejection);
  try {
    await run.play();
    await new Promise(setImmediate);
  } finally {
    process.off('unhandledRejection', onRejection);
  }
  const { world, counts } = run;
  return { violations: world.violations, counts, virtualMs: world.time.nowMs };
}

class ClusterRun {
  counts = { transfers: 0, failed: 0, results: 0, disturbances: 0 };
  /** Of all data: what they are, and what is known of them. */
  #cargos = [];
  #underWay = new Map();
  #lastOperation = 0;

  constructor(code, seed, note) {
    this.code = code;
    this.note = (sentence) => note(`${this.world.time.nowMs.toFixed(0)} ms: ${sentence}`);
    const world = new SimulatedWorld(code, seed, (process) => handlersFor(process, code));
    this.world = world;
    const { random } = world;
    this.nodeCount = 3 + (seed % 7);
    this.isDurable = random.next() < 0.6;
    this.isPeaceful = random.next() < 0.1;
    this.names = Array.from({ length: this.nodeCount }, (_, at) => `node-${at}`);
    const share = Math.floor((32 * 1024) / this.nodeCount);
    world.rules.linkBytesMax = Math.max(4 * 1024, Math.min(16 * 1024, share));
  }

  async play() {
    const { world } = this;
    const { random } = world;
    for (const name of this.names) this.#startNode(name);
    if (
      !(await world.run(10_000, () => this.names.every((name) => world.listeners.has(`/${name}`))))
    ) {
      return world.violate('the nodes do not start');
    }
    const placement = random.pick(['weighted', 'roundRobin', 'rendezvous', 'boundedRendezvous']);
    const net = this.#makeNet('client', placement);
    await this.#await('the start', net.start(), 10_000);

    const cargoCount = 1 + Math.floor(random.next() * 3);
    for (let at = 0; at < cargoCount; at++) this.#cargos.push(this.#makeCargo(`data-${at}`, net));
    const jobs = this.#cargos.flatMap((cargo) =>
      Array.from({ length: cargo.users }, () => this.#work(net, cargo)),
    );
    let isDone = false;
    const all = Promise.all(jobs).then(() => {
      isDone = true;
    });
    all.catch(() => {}); // Looked at below.
    if (!this.isPeaceful) this.#disturb();
    const latestMs = world.time.nowMs + 5 * (deadlineMs + afterDeadlineMs) + troubleMsMax;
    if (!(await world.run(latestMs, () => isDone || world.violations.length > 0))) {
      return world.violate(`operations have not ended: ${[...this.#underWay.values()].join(', ')}`);
    }
    if (world.violations.length > 0) return;
    await all;
    await this.#peace(net);
    if (world.violations.length > 0) return;
    this.#checkDisks();
    if (this.isDurable) await this.#await('a look at the nodes', this.#checkUsage(), 10_000);
    await this.#await('the end of the net', net.close(), 10_000);
    if (this.isDurable) await this.#readAnew();
  }

  #startNode(name) {
    const { world, code } = this;
    const process = world.startProcess(name);
    this.note(`${name} starts`);
    const store = this.isDurable ? { files: `/disks/${name}` } : 'memory';
    const started = world.within(process, () =>
      code.startNode({
        nodeId: name,
        listen: `unix:///${name}`,
        handlers: name,
        workers: 2,
        store,
        storeBytesMax: 16 * 2 ** 20,
        heartbeat: { intervalMs: 5_000, timeoutMs: 30_000 },
      }),
    );
    started.catch((error) => {
      if (process.isRunning) world.violate(`${name} does not start: ${error.message}`);
    });
  }

  #makeNet(clientName, placement) {
    const { world, code } = this;
    const client = world.startProcess(clientName);
    this.client = client;
    const net = world.within(client, () => new code.Net({ placement, deadlineMs }));
    const { start } = net;
    net.start = () => world.within(client, () => start.call(net));
    net.on('nodeLost', ({ id }) => this.note(`${clientName} has lost ${id}`));
    net.on('nodeBack', ({ id }) => this.note(`${clientName} has ${id} again`));
    for (const name of this.names) net.addNode(new code.Node(name, { address: `unix:///${name}` }));
    return net;
  }

  #makeCargo(id, net) {
    const { random } = this.world;
    const shardBytes = 1 + Math.floor(random.next() ** 2 * 3_000);
    const shardCount = 1 + Math.floor(random.next() ** 2 * 40);
    const size = Math.max(1, Math.ceil(shardBytes * (shardCount - random.next() * 0.99)));
    const content = random.bytes(size);
    const replicas = 1 + Math.floor(random.next() * Math.min(3, this.nodeCount));
    this.note(
      `${id} have ${Math.ceil(size / shardBytes)} shards of ${shardBytes} bytes, ${replicas} replicas`,
    );
    const data = new this.code.Data(id, content, { shardBytes, replicas });
    const shards = [];
    for (let at = 0; at < size; at += shardBytes)
      shards.push(content.subarray(at, at + shardBytes));
    net.addData(data);
    const sums = shards.map((shard) => this.code.crc32c(shard));
    /** Copies of each shard that a transfer has confirmed; 0: none has. */
    return {
      id,
      data,
      content,
      shards,
      sums,
      confirmed: 0,
      /** Indexes of shards of which a copy came to harm. */
      rotten: new Set(),
      isPassing: random.next() < 0.15,
      /** How many work with it side by side. */
      users: random.next() < 0.2 ? 2 : 1,
    };
  }

  /** What the user does with one piece of data. */
  async #work(net, cargo) {
    const { random } = this.world;
    await this.client.sleep(random.between(0, 2_000));
    if (cargo.isPassing) {
      for (let turn = 0; turn < 2; turn++) await this.#process(net, cargo, { keep: false });
      return;
    }
    const steps = ['transfer', 'read', 'process', 'mapReduce', 'repair', 'transfer'];
    const stepCount = 2 + Math.floor(random.next() * 4);
    for (let at = 0; at < stepCount; at++) {
      const step = at === 0 ? 'transfer' : random.pick(steps);
      switch (step) {
        case 'transfer':
          await (random.next() < 0.2
            ? this.#abortedTransfer(net, cargo)
            : this.#transfer(net, cargo));
          break;
        case 'read':
          if (cargo.confirmed > 0) await this.#read(net, cargo);
          break;
        case 'process':
          await this.#process(net, cargo, {});
          break;
        case 'mapReduce':
          await this.#mapReduce(net, cargo);
          break;
        case 'repair':
          if (cargo.confirmed > 0) await this.#repair(net, cargo);
          break;
      }
      await this.client.sleep(random.exponential(1_000));
    }
  }

  async #transfer(net, cargo, signal) {
    const { random } = this.world;
    const { data } = cargo;
    const confirm =
      random.next() < 0.7 ? data.replicas : 1 + Math.floor(random.next() * data.replicas);
    this.counts.transfers++;
    const report = await this.#operate(
      `transfer of ${cargo.id}`,
      cargo,
      () => net.transfer(data, undefined, { confirm, ...(signal && { signal }) }),
      signal,
    );
    if (report === undefined) {
      // What it had stored is dropped; in memory that may be all that cuts have left.
      if (!this.isDurable) cargo.confirmed = 0;
      return;
    }
    this.#expect(
      report.bytes === cargo.content.length && report.shards === cargo.shards.length,
      `the transfer of ${cargo.id} reports ${report.bytes} bytes in ${report.shards} shards`,
    );
    this.#checkConfirmed(cargo, confirm);
    cargo.confirmed = Math.max(cargo.confirmed, confirm);
  }

  /** Of the client that there is now. */
  #abortSoon() {
    const controller = new AbortController();
    const { client, world } = this;
    const afterMs = world.random.exponential(20 * world.latencyMs);
    client.env.timers.after(afterMs, () => controller.abort());
    return controller;
  }

  /** Where nothing was before, nothing is left of it. */
  async #abortedTransfer(net, cargo) {
    const { client } = this;
    const { signal } = this.#abortSoon();
    await this.#transfer(net, cargo, signal);
    if (!this.isPeaceful || cargo.users > 1) return;
    await client.sleep(2_000);
    if (cargo.confirmed > 0) return;
    for (const index of cargo.shards.keys()) {
      const holders = this.#onDisk(cargo, index);
      this.#expect(holders.size === 0, `shard ${index} of ${cargo.id} stays on ${[...holders]}`);
    }
  }

  async #read(net, cargo) {
    const bytes = await this.#operate(`reading of ${cargo.id}`, cargo, () => net.read(cargo.data));
    if (bytes !== undefined) this.#checkContent(cargo, bytes);
    return bytes !== undefined;
  }

  async #repair(net, cargo) {
    return this.#operate(`repair of ${cargo.id}`, cargo, () => net.repair(cargo.data));
  }

  async #process(net, cargo, options) {
    const { random } = this.world;
    const handler = random.pick(['digest', 'list', 'merge']);
    const strategy = random.pick(['leastInFlight', 'p2cEwma', 'cpuLoad', 'roundRobin']);
    const limit = random.next() < 0.3 ? { concurrency: 1 } : {};
    const startMs = this.world.time.nowMs;
    const result = await this.#operate(`${handler} of ${cargo.id}`, cargo, () =>
      net.process(cargo.data, handler, { ...options, ...limit, strategy, retries: 20 }),
    );
    if (result === undefined) return;
    this.#noteTransfer(cargo, result, startMs, options);
    const { value, report } = result;
    const name = `${handler} of ${cargo.id}`;
    this.#expect(
      report.shards === cargo.shards.length && report.bytes === cargo.content.length,
      `${name} counts ${report.shards} shards and ${report.bytes} bytes`,
    );
    if (handler === 'digest') {
      const checksum = this.code.crc32c(cargo.content).toString(16).padStart(8, '0');
      this.#expect(value.checksum === checksum, `${name} has another checksum`);
      this.#expect(value.shards === cargo.shards.length, `${name} has ${value.shards} shards`);
      return;
    }
    const pairs = value.toSorted((a, b) => a[0] - b[0]);
    const isRight =
      pairs.length === cargo.sums.length &&
      pairs.every(([index, sum], at) => index === at && sum === cargo.sums[at]);
    this.#expect(
      isRight,
      `${name} should have each of ${cargo.sums.length} shards once: ${pairs.map(([index]) => index)}`,
    );
  }

  async #mapReduce(net, cargo) {
    const combine = this.world.random.next() < 0.5 ? { combine: 'sum' } : {};
    if (!this.isPeaceful && this.world.random.next() < 0.3) this.#silenceSoon();
    const startMs = this.world.time.nowMs;
    const result = await this.#operate(`MapReduce of ${cargo.id}`, cargo, () =>
      net.mapReduce(cargo.data, { map: 'emitBytes', reduce: 'sum', partitions: 3, ...combine }),
    );
    if (result === undefined) return;
    this.#noteTransfer(cargo, result, startMs);
    const expected = new Map();
    const add = (key) => expected.set(key, (expected.get(key) ?? 0) + 1);
    for (const [index, shard] of cargo.shards.entries()) {
      add(`shard ${index}`);
      for (const byte of shard.subarray(0, 50)) add(`byte ${byte % 16}`);
    }
    const wrong = [...expected].filter(([key, count]) => result.value.get(key) !== count);
    this.#expect(
      wrong.length === 0 && result.value.size === expected.size,
      `MapReduce of ${cargo.id} counts wrong: ${wrong.map(([key, count]) => `${key} ${result.value.get(key)} instead of ${count}`).slice(0, 3)}`,
    );
  }

  /** Processing has transferred what lay nowhere. Since then it took its time, in which memory may have gone with its node. */
  #noteTransfer(cargo, { transfer }, startMs, { keep = true } = {}) {
    if (transfer === undefined || !keep) return;
    this.#checkConfirmed(cargo, cargo.data.replicas, startMs + transfer.wallMs);
    cargo.confirmed = Math.max(cargo.confirmed, cargo.data.replicas);
  }

  /** What came of it; undefined when it failed in a way that these troubles explain. */
  async #operate(what, cargo, start, signal) {
    const { world } = this;
    const id = ++this.#lastOperation;
    this.#underWay.set(id, what);
    const startMs = world.time.nowMs;
    this.note(`${what} begins`);
    try {
      const result = await start();
      this.counts.results++;
      this.note(`${what} is done`);
      return result;
    } catch (error) {
      this.counts.failed++;
      this.note(`${what} failed: ${error?.code} ${error?.message}`);
      if (!this.#isOrdinary(error, cargo, signal)) {
        world.violate(`${what} failed: ${error?.code} ${error?.stack ?? error}`);
      }
      return undefined;
    } finally {
      this.#underWay.delete(id);
      const tookMs = world.time.nowMs - startMs;
      this.#expect(
        tookMs <= deadlineMs + afterDeadlineMs,
        `${what} took ${tookMs.toFixed(0)} ms, with a deadline of ${deadlineMs} ms`,
      );
    }
  }

  /** Whether an error is what a user has to expect of such troubles. */
  #isOrdinary({ code }, cargo, signal) {
    if (code === 'PAIPAI_ERR_ABORTED') return signal?.aborted === true;
    if (this.isPeaceful) return false;
    // What lies in memory is gone with its session, and what is not confirmed need not be anywhere.
    if (code === 'PAIPAI_ERR_UNKNOWN_DATA') return !this.isDurable || cargo.confirmed === 0;
    // The whole copy may be the one that is away.
    if (code === 'PAIPAI_ERR_SHARD_CHECKSUM') return cargo.rotten.size > 0;
    return code === 'PAIPAI_ERR_NODE_LOST';
  }

  #expect(isTrue, sentence) {
    if (!isTrue) this.world.violate(sentence);
  }

  #checkContent(cargo, bytes) {
    this.#expect(Buffer.compare(bytes, cargo.content) === 0, `${cargo.id} reads back differently`);
  }

  // ── What must hold of a transfer that was confirmed ──

  /** @param atMs when nodes should have had in memory what they have confirmed */
  #checkConfirmed(cargo, confirm, atMs = this.world.time.nowMs) {
    for (const index of cargo.shards.keys()) {
      const holders = this.isDurable
        ? this.#onDisk(cargo, index)
        : this.#inMemory(cargo, index, atMs);
      if (holders.size >= confirm) continue;
      this.world.violate(
        `shard ${index} of ${cargo.id} is confirmed with ${confirm} copies and lies on ${holders.size}`,
      );
    }
  }

  #onDisk(cargo, index) {
    const text = keyText({ dataId: cargo.id, version: 0n, index });
    const holders = new Set();
    for (const [name, { synced }] of this.world.disks) {
      const found = synced.get(text);
      if (found === undefined) continue;
      const isWhole = Buffer.compare(found.content, cargo.shards[index]) === 0;
      if (isWhole || cargo.rotten.has(index)) holders.add(name);
    }
    return holders;
  }

  /** Nodes that have said that they store it, to a client that had not been told by then that their session is over. */
  #inMemory(cargo, index, atMs = this.world.time.nowMs) {
    const { rules } = this.world;
    const holders = new Set();
    for (const { node, connection, key } of rules.confirmed) {
      if (key.dataId !== cargo.id || key.index !== index) continue;
      if (connection.nearToldMs >= atMs) holders.add(node);
    }
    return holders;
  }

  #checkDisks() {
    if (!this.isDurable) return;
    for (const cargo of this.#cargos) {
      if (cargo.confirmed > 0) this.#checkConfirmed(cargo, cargo.confirmed);
    }
  }

  /** What the nodes say that they store is what lies on their disks. */
  async #checkUsage() {
    const { client, world, code } = this;
    const env = { ...client.env, network: client.network };
    for (const [name, { synced }] of world.disks) {
      const peer = await code.connectPeer(env, `unix:///${name}`, { nodeId: 'inspector' });
      const { shards, bytes } = code.decodeNodeInfo(await peer.request('node.info'));
      peer.destroy();
      const onDisk = [...synced.values()].reduce((sum, { shard }) => sum + shard.bytes, 0);
      this.#expect(
        shards === synced.size && bytes === onDisk,
        `${name} says that it has ${shards} shards of ${bytes} bytes, and has ${synced.size} of ${onDisk}`,
      );
    }
  }

  // ── Trouble ──

  #disturb() {
    const { world } = this;
    const count = 1 + Math.floor(world.random.next() * 8);
    for (let i = 0; i < count; i++) {
      const atMs = world.random.next() ** 2 * troubleMsMax;
      world.time.after(atMs, () => this.#disturbOnce());
    }
  }

  #disturbOnce() {
    const { world } = this;
    const { random } = world;
    const name = random.pick(this.names);
    const process = world.processes.get(name);
    this.counts.disturbances++;
    const kind = random.pick(disturbances);
    this.note(`${kind} of ${name}`);
    switch (kind) {
      case 'cut':
        for (const connection of world.connections) {
          if (connection.far.owner === process) connection.cut();
        }
        break;
      case 'cutSome':
        for (const connection of world.connections) if (random.next() < 0.5) connection.cut();
        break;
      case 'silence':
        world.setSilent(name, true);
        world.time.after(random.exponential(8_000), () => this.#endSilence(process));
        break;
      case 'stall':
        if (process.isRunning && !process.isStalled)
          world.stall(process, random.exponential(5_000));
        break;
      case 'crash':
        this.#crash(process, false);
        break;
      case 'powerCut':
        this.#crash(process, true);
        break;
      case 'rot':
        this.#rot(name);
        break;
    }
  }

  /** A stored copy changes where it lies, as long as another one is whole. */
  #rot(name) {
    const { world } = this;
    const stored = [...(world.disks.get(name)?.synced.values() ?? [])];
    if (stored.length === 0) return;
    const { shard, content } = world.random.pick(stored);
    const cargo = this.#cargos.find(({ id }) => id === shard.key.dataId);
    const { index } = shard.key;
    if (cargo.confirmed < 2 || cargo.rotten.has(index)) return;
    cargo.rotten.add(index);
    content[Math.floor(world.random.next() * content.length)] ^= 1;
    this.note(`shard ${index} of ${cargo.id} on ${name} has another bit`);
  }

  /** A node does its part and cannot tell of it in time, so that somebody else does it too. */
  #silenceSoon() {
    const { world } = this;
    const { random } = world;
    const name = random.pick(this.names);
    world.time.after(random.exponential(50), () => {
      const process = world.processes.get(name);
      this.counts.disturbances++;
      this.note(`silence of ${name}`);
      world.setSilent(name, true);
      world.time.after(random.exponential(2_000), () => this.#endSilence(process));
    });
  }

  #endSilence(process) {
    // A host without power stays silent.
    if (process.isRunning) this.world.setSilent(process.name, false);
  }

  #crash(process, withHost) {
    const { world } = this;
    if (!process.isRunning) return;
    world.crash(process, { withHost });
    // Some machines stay dark until somebody sees to them.
    if (withHost && world.random.next() < 0.3) return;
    world.time.after(world.random.exponential(3_000), () => {
      // Unless peace has come before.
      if (world.processes.get(process.name) === process) this.#startNode(process.name);
    });
  }

  /** Everything runs again; then what was confirmed is there, and can be worked with. */
  async #peace(net) {
    const { world } = this;
    await world.run(world.time.nowMs + troubleMsMax); // What was to go wrong has.
    for (const name of this.names) {
      if (!world.processes.get(name).isRunning) this.#startNode(name);
      world.setSilent(name, false);
    }
    await world.run(world.time.nowMs + recoveryMsMax);
    this.isPeaceful = true;
    for (const cargo of this.#cargos) {
      if (cargo.isPassing) continue;
      const known = this.isDurable ? cargo.confirmed > 0 : this.#isHeld(cargo);
      if (known) {
        const finals = async () => {
          const repaired = await this.#repair(net, cargo);
          if (repaired !== undefined) this.#checkConfirmed(cargo, cargo.data.replicas);
          await this.#read(net, cargo);
          await this.#process(net, cargo, {});
          await this.#mapReduce(net, cargo);
        };
        await this.#await(`work on ${cargo.id} in peace`, finals(), recoveryMsMax);
      }
      await this.#await(
        `a transfer of ${cargo.id} in peace`,
        this.#transfer(net, cargo),
        recoveryMsMax,
      );
    }
  }

  #isHeld(cargo) {
    if (cargo.confirmed === 0) return false;
    return cargo.shards.every((_, index) => this.#inMemory(cargo, index).size > 0);
  }

  /** Another client finds what lies on the disks. */
  async #readAnew() {
    const net = this.#makeNet('client-2', 'weighted');
    await this.#await('the start of another net', net.start(), 10_000);
    for (const cargo of this.#cargos) {
      if (cargo.confirmed === 0) continue;
      const { id, data, content } = cargo;
      const { shardBytes, replicas } = data;
      const again = new this.code.Data(id, content, { shardBytes, replicas });
      net.addData(again);
      // It stores them once more, or begins to: what it gives up was there before.
      if (this.world.random.next() < 0.5) {
        const name = `transfer of ${id} by another net`;
        const { signal } = this.#abortSoon();
        const transfer = this.#operate(
          name,
          cargo,
          () => net.transfer(again, undefined, { signal }),
          signal,
        );
        await this.#await(name, transfer, recoveryMsMax);
      }
      const reading = this.#operate(`reading of ${id} by another net`, cargo, () =>
        net.read(again),
      );
      const bytes = await this.#await(`reading of ${id} by another net`, reading, recoveryMsMax);
      if (bytes !== undefined) this.#checkContent(cargo, bytes);
    }
    await this.#await('the end of another net', net.close(), 10_000);
  }

  /** Lets time pass until `work` settles; when it does not, or fails, that is a violation. */
  async #await(what, work, withinMs) {
    const { world } = this;
    let isDone = false;
    let result;
    work.then(
      (value) => {
        result = value;
        isDone = true;
      },
      (error) => {
        world.violate(`${what} failed: ${error?.code} ${error?.stack ?? error}`);
        isDone = true;
      },
    );
    if (!(await world.run(world.time.nowMs + withinMs, () => isDone))) {
      world.violate(`${what} did not end within ${withinMs} ms`);
    }
    return result;
  }
}
