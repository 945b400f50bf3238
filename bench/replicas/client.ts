import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomFillSync } from 'node:crypto';
import { createInterface } from 'node:readline';
import { connect, type Peer } from 'paipainet/transport';
import { cpuSeconds } from '../support/program.js';
import { type Start, words } from './node.js';
import type { Uplink } from './uplink.js';

const nodeCount = 3;
/** Under way to a node, as a net has it (`lib/cluster/transfer/node-link.ts`). */
const windowBytes = 32 * 2 ** 20;
const windowShards = 64;

const content: Buffer = randomFillSync(Buffer.alloc(64 * 2 ** 20));

export const ways = ['star', 'chain', 'chain-whole'] as const;

export interface Task {
  /** The client sends every copy, or one that the nodes hand on: in pieces as it comes, or when it is whole and checked. */
  readonly way: (typeof ways)[number];
  readonly copies: number;
  readonly shardBytes: number;
}

/** Of one round. CPU seconds and what left the client are per byte, which counts once whatever the copies. */
export interface Figures {
  readonly bytesPerSecond: number;
  readonly clientCpu: number;
  readonly nodesCpu: number;
  readonly leftClient: number;
  /** Of shards of which one alone was under way. */
  readonly latenciesMs: readonly number[];
}

interface Holder {
  readonly process: ChildProcess;
  readonly address: string;
  readonly peer: Peer;
  /** For so many more shards. */
  room: number;
}

/** Connected to three nodes in fresh processes. */
export class Client {
  readonly #nodes: Holder[] = [];

  /** Over loopback, unless there is an uplink. */
  static async start(path: 'auto' | 'tcp', uplink?: Uplink): Promise<Client> {
    const client = new Client();
    const address = uplink?.address ?? 'tcp://127.0.0.1:0';
    const start: Start = { address, options: { path, secret: randomBytes(16).toString('hex') } };
    const command = [process.execPath, process.argv[1] ?? '', 'node', JSON.stringify(start)];
    const [file = '', ...args] = [...(uplink?.before ?? []), ...command];
    while (client.#nodes.length < nodeCount) {
      const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
      const line = await createInterface(child.stdout)[Symbol.asyncIterator]().next();
      if (line.done === true) throw new Error('a node did not start');
      const peer = await connect(line.value, start.options);
      if (peer.path !== (path === 'tcp' ? 'tcp' : 'shm')) throw new Error(`over ${peer.path}`);
      client.#nodes.push({ process: child, address: line.value, peer, room: 0 });
    }
    const addresses = Buffer.from(JSON.stringify(client.#nodes.map((node) => node.address)));
    for (const { peer } of client.#nodes) await peer.request('join', addresses);
    return client;
  }

  /** Warms up, sends as much as it can for `seconds`, and then one shard at a time for half of that. */
  async measure(task: Task, seconds: number): Promise<Figures> {
    await this.#send(task, seconds / 4);
    const before = await this.#usage();
    const startMs = performance.now();
    const bytes = (await this.#send(task, seconds)).length * task.shardBytes;
    const bytesPerSecond = (bytes * 1e3) / (performance.now() - startMs);
    const after = await this.#usage();
    const [clientCpu = 0, nodesCpu = 0, leftClient = 0] = after.map(
      (value, i) => (value - (before[i] ?? 0)) / bytes,
    );
    const latenciesMs = await this.#send(task, seconds / 2, true);
    return { bytesPerSecond, clientCpu, nodesCpu, leftClient, latenciesMs };
  }

  async close(): Promise<void> {
    await Promise.all(this.#nodes.map(({ peer }) => peer.close()));
    for (const node of this.#nodes) node.process.stdin?.end();
  }

  /** As many as the nodes have room for, or one alone; what each took until all of its copies were confirmed. */
  async #send(task: Task, seconds: number, isAlone = false): Promise<number[]> {
    for (const node of this.#nodes)
      node.room = Math.min(windowShards, windowBytes / task.shardBytes);
    let onRoom = (): void => {};
    const latenciesMs: number[] = [];
    const store = async (index: number, holders: readonly Holder[]): Promise<void> => {
      const startMs = performance.now();
      await this.#store(task, index, holders, (holder) => {
        holder.room++;
        onRoom();
      });
      latenciesMs.push(performance.now() - startMs);
    };
    const all: Promise<void>[] = [];
    const endMs = performance.now() + seconds * 1e3;
    for (let index = 0; performance.now() < endMs; index++) {
      // Each begins with another node.
      const turn = index % nodeCount;
      const inTurn = [...this.#nodes.slice(turn), ...this.#nodes.slice(0, turn)];
      const holders = inTurn.slice(0, task.copies);
      while (holders.some(({ room }) => room < 1)) {
        await new Promise<void>((resolve) => {
          onRoom = resolve;
        });
      }
      for (const holder of holders) holder.room--;
      const storing = store(index, holders);
      all.push(storing);
      if (isAlone) await storing;
    }
    await Promise.all(all);
    return latenciesMs;
  }

  /** Settles when all holders have the shard, and tells of each as soon as that is known; of a chain at its end. */
  async #store(
    { way, shardBytes }: Task,
    index: number,
    holders: readonly Holder[],
    onStored: (holder: Holder) => void,
  ): Promise<void> {
    const start = (index * shardBytes) % content.length;
    const shard = content.subarray(start, start + shardBytes);
    const put = async (method: string, first: Holder, rest: readonly Holder[]): Promise<void> => {
      const route = rest.map((node) => this.#nodes.indexOf(node));
      const stream = first.peer.openStream(method, words(shardBytes, ...route));
      await stream.write(shard);
      const checksum = words(stream.sentCrc32c);
      stream.end(checksum);
      if (!checksum.equals(await stream.ended)) throw new Error('other bytes were confirmed');
      for (const holder of [first, ...rest]) onStored(holder);
    };
    const [first, ...rest] = holders;
    if (way === 'star') await Promise.all(holders.map((holder) => put('whole', holder, [])));
    else if (first !== undefined) await put(way === 'chain' ? 'pieces' : 'whole', first, rest);
  }

  /** CPU seconds of this process and of all nodes, and bytes sent from here. */
  async #usage(): Promise<number[]> {
    const peers = this.#nodes.map(({ peer }) => peer);
    const answers = await Promise.all(peers.map((peer) => peer.request('cpuSeconds')));
    const nodes = answers.reduce((sum, answer) => sum + Number(Buffer.from(answer).toString()), 0);
    return [cpuSeconds(), nodes, peers.reduce((sum, peer) => sum + peer.stats().bytesSent, 0)];
  }
}
