import { SimulatedWorld } from './simulated-world.mjs';

/**
 * Clients who change the same data side by side, on nodes one of which coordinates them, all of the shipped code: they transfer to one node or
 * to all, repair, rebalance, find, process and drop, sometimes two at once, and stand still and die in the middle; nodes die and come back. What
 * must hold: no map in the table names a copy that is gone; what was transferred, and not dropped since, is read by a client that comes later; what
 * was processed is all of it.
 */

const deadlineMs = 60_000;
const clientNames = ['client-0', 'client-1', 'client-2'];
/** What somebody else may be the reason of, or the end of a client. */
const expectedCodes = new Set([
  'PAIPAI_ERR_STALE_MAP',
  'PAIPAI_ERR_NODE_LOST',
  'PAIPAI_ERR_UNKNOWN_DATA',
  'PAIPAI_ERR_DEADLINE',
  'PAIPAI_ERR_COORDINATOR_DOWN',
  'PAIPAI_ERR_PEER_CLOSED',
  'PAIPAI_ERR_SHARD_INCOMPLETE',
]);

/** Those in which nothing is dropped come more often. */
const works = [
  ...['toOne', 'toOne', 'toOne', 'toAll', 'toAll', 'repair', 'repair', 'rebalance', 'rebalance'],
  ...['rebalance', 'process', 'find', 'drop', 'processAndDrop', 'processAndDropOne'],
];
const dropping = new Set(['drop', 'processAndDrop', 'processAndDropOne']);
/** What a client that died has sent has arrived by then. */
const lastWordsMs = 1_000;

/** @param note hears of everything that happens, as sentences */
export async function runMapChaos({ code, seed, note = () => {} }) {
  const run = new MapRun(code, seed, note);
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
  return { violations: run.world.violations, counts: run.counts };
}

class MapRun {
  counts = { done: 0, stale: 0, failed: 0, kept: 0 };
  /** Somebody has transferred something. */
  isMapped = false;
  /** Somebody has, and since that was begun nobody was dropping anything. */
  isKept = false;
  /** Of works that drop: how many were begun, and how many of these are under way. */
  dropsBegun = 0;
  dropsUnderWay = 0;

  constructor(code, seed, note) {
    this.code = code;
    this.note = (sentence) => note(`${this.world.time.nowMs.toFixed(0)} ms: ${sentence}`);
    const handlers = new Map([['digest', code.digestHandler(code.crc32c)]]);
    this.world = new SimulatedWorld(code, seed, () => handlers);
    this.names = Array.from({ length: 3 + (seed % 3) }, (_, at) => `node-${at}`);
  }

  async play() {
    const { world } = this;
    const { random } = world;
    for (const name of this.names) this.#startNode(name);
    const listen = () => this.names.every((name) => world.listeners.has(`/${name}`));
    if (!(await world.run(10_000, listen))) return world.violate('the nodes do not start');
    this.content = random.bytes(1 + Math.floor(random.next() * 6_000));
    this.shardBytes = 200 + Math.floor(random.next() * 500);
    const works = clientNames.map((name) => this.#useNet(name));
    for (let count = Math.floor(random.next() * 3); count > 0; count--) this.#restartOne();
    await this.#await('the clients', Promise.all(works), 20 * deadlineMs);
    if (world.violations.length > 0) return;
    // Nodes that died are back, and nobody looks for them any more.
    await world.run(world.time.nowMs + 10_000);
    const [net, data] = await this.#await('a last client', this.#start('last'), 20_000);
    // What the last ones have asked for is done, or refused.
    await world.run(world.time.nowMs + 5_000);
    await this.#check(net, data);
    await this.#await('the end', net.close(), 20_000);
  }

  #startNode(name) {
    const { world, code } = this;
    const process = world.startProcess(name);
    const started = world.within(process, () =>
      code.startNode({
        nodeId: name,
        listen: `unix:///${name}`,
        handlers: name,
        workers: 1,
        store: { files: `/disks/${name}` },
        storeBytesMax: 16 * 2 ** 20,
        heartbeat: { intervalMs: 5_000, timeoutMs: 30_000 },
        coordinator: name === 'node-0',
      }),
    );
    started.catch((error) => world.violate(`${name} does not start: ${error.message}`));
  }

  #restartOne() {
    const { world } = this;
    const { random } = world;
    const name = random.pick(this.names);
    const atMs = random.between(100, 1_000);
    world.time.after(atMs, () => {
      const process = world.processes.get(name);
      if (!process.isRunning) return;
      this.note(`${name} dies`);
      world.crash(process);
      world.time.after(random.between(10, 2_000), () => this.#startNode(name));
    });
  }

  async #start(clientName) {
    const { world, code } = this;
    const client = world.startProcess(clientName);
    const placement = world.random.pick(['weighted', 'roundRobin', 'rendezvous']);
    const net = world.within(client, () => new code.Net({ placement, deadlineMs }));
    for (const name of this.names) net.addNode(new code.Node(name, { address: `unix:///${name}` }));
    const { shardBytes, content } = this;
    const data = new code.Data('data', content, { shardBytes, replicas: 2 });
    net.addData(data);
    await world.within(client, () => net.start());
    return [net, data, client];
  }

  async #useNet(clientName) {
    const { world } = this;
    const started = await this.#start(clientName).catch((error) => {
      this.note(`${clientName} does not start: ${error.message}`);
    });
    // A node died meanwhile.
    if (started === undefined) return undefined;
    const [net, data, client] = started;
    const { random } = client;
    const working = this.#work(clientName, net, data, client);
    if (random.next() > 0.25) return working;
    working.catch(() => {}); // Whoever is dead says nothing.
    const dying = new Promise((resolve) => {
      world.time.after(random.between(0, 500), () => {
        this.note(`${clientName} dies`);
        world.crash(client);
        world.time.after(lastWordsMs, () => {
          for (const end of client.drops ?? []) end();
        });
        resolve();
      });
    });
    return Promise.race([working, dying]);
  }

  async #work(clientName, net, data, client) {
    const { world } = this;
    const { random } = client;
    for (let step = 0; step < 6; step++) {
      await client.sleep(random.exponential(50));
      if (random.next() < 0.3) {
        // In the middle of something, mostly.
        world.time.after(random.between(0, 30), () => world.stall(client, random.exponential(200)));
      }
      const count = random.next() < 0.2 ? 2 : 1;
      const doing = Array.from({ length: count }, () =>
        this.#do(clientName, random.pick(works), net, data, client),
      );
      await Promise.all(doing);
    }
    await net.close();
  }

  async #do(clientName, what, net, data, client) {
    const { world, content } = this;
    const endDrop = dropping.has(what) ? this.#beginDrop(client) : undefined;
    const dropsBefore = this.dropsUnderWay === 0 ? this.dropsBegun : NaN;
    this.note(`${clientName} begins ${what}`);
    try {
      const result = await this.#workOf(what, net, data, client);
      this.counts.done++;
      if (what.startsWith('to')) {
        this.isMapped = true;
        this.isKept ||= dropsBefore === this.dropsBegun;
      }
      if (what === 'process' && result.value.bytes !== content.length) {
        world.violate(`${result.value.bytes} of ${content.length} bytes were processed`);
      }
      this.note(`${clientName} has done ${what}`);
    } catch (error) {
      this.counts[error.code === 'PAIPAI_ERR_STALE_MAP' ? 'stale' : 'failed']++;
      this.note(`${clientName}: ${what} failed: ${error.message}`);
      if (!expectedCodes.has(error.code)) world.violate(`${what} failed: ${error.stack}`);
    }
    endDrop?.();
  }

  /** It ends when what this gives is called, or some time after the client has died. */
  #beginDrop(client) {
    this.dropsBegun++;
    this.dropsUnderWay++;
    this.isKept = false;
    let isUnderWay = true;
    const end = () => {
      if (isUnderWay) this.dropsUnderWay--;
      isUnderWay = false;
    };
    client.drops ??= [];
    client.drops.push(end);
    return end;
  }

  #workOf(what, net, data, { random }) {
    switch (what) {
      case 'toOne':
        return net.transfer(data, net.node(random.pick(this.names)));
      case 'toAll':
        return net.transfer(data);
      case 'rebalance':
        return net.rebalance();
      case 'processAndDrop':
        return net.process(data, 'digest', { keep: false });
      case 'processAndDropOne':
        return net.node(random.pick(this.names)).process(data, 'digest', { keep: false });
      default:
        return net[what](data);
    }
  }

  /** Every copy that the table names is on disk where it says. */
  async #check(net, data) {
    const { world, code } = this;
    const key = `paipainet/shards/0/${data.id}`;
    const { value } = await this.#await('the map', net.coordinator.get(key), 20_000);
    if (value === undefined) {
      if (this.isMapped) world.violate('the map is gone');
      return;
    }
    for (const { index, crc32c, holders } of code.decodeMapValue(value).shards ?? []) {
      for (const name of holders) {
        const { synced } = world.disks.get(name);
        const found = [...synced.values()].find(({ shard }) => shard.key.index === index);
        if (found?.shard.meta.crc32c === crc32c) continue;
        world.violate(`the map names a copy of shard ${index} on ${name}, which is gone`);
      }
    }
    if (!this.isKept || world.violations.length > 0) return;
    this.counts.kept++;
    const read = await this.#await('reading of what was transferred', net.read(data), 60_000);
    if (Buffer.compare(read, this.content) !== 0) world.violate('something else was read');
  }

  async #await(what, promise, msMax) {
    const { world } = this;
    let settled;
    promise.then(
      (result) => {
        settled = { result };
      },
      (error) => {
        settled = { error };
      },
    );
    const isOver = () => settled !== undefined || world.violations.length > 0;
    if (!(await world.run(world.time.nowMs + msMax, isOver))) {
      world.violate(`${what} has not come to its end`);
    }
    if (settled?.error !== undefined) world.violate(`${what} failed: ${settled.error.stack}`);
    return settled?.result ?? [];
  }
}
