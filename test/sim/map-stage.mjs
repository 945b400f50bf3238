import { SimulatedWorld } from './simulated-world.mjs';

/** Scenes with a script: clients of three nodes, of which the first coordinates them, all of the shipped code. */

const nodeNames = ['node-0', 'node-1', 'node-2'];
/** Virtual time for one step of a script. */
const stepMsMax = 120_000;

export class MapStage {
  /** @param handlers by name, beside the built-in one */
  constructor(code, handlers = {}) {
    const all = Object.entries(handlers).map(([name, process]) => [name, { process }]);
    this.code = code;
    this.world = new SimulatedWorld(
      code,
      1,
      () => new Map([['digest', code.digestHandler(code.crc32c)], ...all]),
    );
  }

  async open() {
    for (const name of nodeNames) this.startNode(name);
    await this.until(() => nodeNames.every((name) => this.world.listeners.has(`/${name}`)));
  }

  startNode(name) {
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

  crash(name) {
    this.world.crash(this.world.processes.get(name));
  }

  stall(name, forMs) {
    this.world.stall(this.world.processes.get(name), forMs);
  }

  disk(name) {
    return this.world.disks.get(name);
  }

  /** A started net of some of the nodes, in a process of its own. */
  async client(name, nodes = nodeNames, options = {}) {
    const { world, code } = this;
    const process = world.startProcess(name);
    const net = world.within(
      process,
      () => new code.Net({ placement: 'roundRobin', deadlineMs: 60_000, ...options }),
    );
    for (const node of nodes) net.addNode(this.node(node));
    await this.run(world.within(process, () => net.start()));
    return net;
  }

  /** @param name of the node that `id` of the client stands for */
  node(id, name = id) {
    return new this.code.Node(id, { address: `unix:///${name}` });
  }

  /** @param content undefined: what others have stored */
  data(net, content, { id = 'data', shardBytes = 200, replicas = 1 } = {}) {
    const { Data } = this.code;
    const data =
      content === undefined
        ? Data.stored(id, { replicas })
        : new Data(id, content, { shardBytes, replicas });
    net.addData(data);
    return data;
  }

  async map(net, id = 'data') {
    const { value } = await this.run(net.coordinator.get(`paipainet/shards/0/${id}`));
    return value === undefined ? undefined : this.code.decodeMapValue(value);
  }

  /** Copies that the table names, and that are not where it says. */
  async gone(net, id = 'data') {
    const { shards = [] } = (await this.map(net, id)) ?? {};
    return shards.flatMap(({ index, crc32c, holders }) =>
      holders.filter((name) => {
        const found = [...this.disk(name).synced.values()].some(
          ({ shard: { key, meta } }) =>
            key.dataId === id && key.index === index && meta.crc32c === crc32c,
        );
        return !found;
      }),
    );
  }

  /** Lets time pass until the promise settles. */
  async run(promise) {
    let isSettled = false;
    const settle = () => {
      isSettled = true;
    };
    promise.then(settle, settle);
    await this.until(() => isSettled);
    return promise;
  }

  async until(isReached) {
    const { world } = this;
    if (await world.run(world.time.nowMs + stepMsMax, isReached)) return;
    throw new Error(['a step has not come to its end', ...world.violations].join('; '));
  }

  pass(ms) {
    return this.world.run(this.world.time.nowMs + ms);
  }
}
