import { join } from 'node:path';
import { afterAll, describe, expect, onTestFinished } from 'vitest';
import { PaipaiError } from '../../../dist/base/errors.js';
import type { CallOptions, Coordinator, KeyState } from '../../../dist/coordination/coordinator.js';
import { CoordinatorClient } from '../../../dist/coordination/coordinator-client.js';
import { EtcdCoordinator } from '../../../dist/coordination/etcd/etcd-coordinator.js';
import { checkEtcd } from '../../../dist/coordination/etcd/etcd-options.js';
import type { Journal } from '../../../dist/coordination/local/journal.js';
import { LocalCoordinator } from '../../../dist/coordination/local/local-coordinator.js';
import { LogJournal } from '../../../dist/coordination/local/log-journal.js';
import { QuorumCoordinator } from '../../../dist/coordination/quorum/quorum-coordinator.js';
import type { AskAcceptor } from '../../../dist/coordination/quorum/register.js';
import { SlotsFile } from '../../../dist/coordination/quorum/slots-file.js';
import { RemoteCoordinator } from '../../../dist/coordination/remote/remote-coordinator.js';
import { CoordinatorService } from '../../../dist/coordination/serve-coordinator.js';
import { selectEngine } from '../../../dist/node/select-network.js';
import { connectPeer } from '../../../dist/session/connect.js';
import { listenPeers } from '../../../dist/session/listen.js';
import type { Peer, PeerListener } from '../../../dist/session/types.js';
import { type EtcdServer, startEtcd, withoutEtcd } from '../../support/etcd.js';
import { makeFolder } from '../../support/folders.js';
import { seeded } from '../../support/seeded.js';
import { testEnv } from '../../support/test-env.js';

/** What every backend promises above `coordinator.ts` is held against each of these, one file for a promise. */
export interface Backend {
  readonly name: string;
  readonly makeWorld: () => CoordinatorWorld;
  /** Of each property; a backend in other processes takes fewer. */
  readonly runs: number;
  /** That it is not here. */
  readonly why?: string;
}

export interface CoordinatorWorld {
  /** As many clients of one empty table as asked for; they may be the same object. */
  connect(count: number): Promise<Coordinator[]>;
  /** Has the table forget all changes there were; what keys hold stays. */
  forgetHistory(): Promise<void>;
  close(): Promise<void>;
}

export const text = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : Buffer.from(value).toString();
export const bytes = (value: string): Uint8Array => Buffer.from(value);

/** A world of its own for one test, or one run of a property, which closes it itself. */
export async function startWorld({ makeWorld }: Backend, count = 1) {
  const world = makeWorld();
  const close = (): Promise<void> => world.close();
  onTestFinished(close);
  const clients = await world.connect(count);
  return { world, clients, one: clients[0]!, other: clients.at(-1)!, close };
}

/** As `startWorld`, for what is built on the table. */
export async function startClients(backend: Backend, count = 1) {
  const { clients: tables } = await startWorld(backend, count);
  const lines = tables.map((table) => lineTo(table));
  const clients = lines.map(({ table }) => new CoordinatorClient(env, table));
  onTestFinished(async () => {
    await Promise.all(clients.map((client) => client.close()));
  });
  return {
    clients,
    one: clients[0]!,
    other: clients.at(-1)!,
    /** What the client of that index asks for is not heard of any more, nor answered. */
    silence: (at: number) => lines[at]!.silence(),
    /** Whether closing one client closes the table for all. */
    isShared: new Set(tables).size < count,
  };
}

/** A call that ends at its deadline, if it has one. */
function unanswered(...args: unknown[]): Promise<never> {
  const { deadlineMs = Infinity } = args.at(-1) as CallOptions; // What all of them take in the end.
  return new Promise((_, reject) => {
    if (deadlineMs === Infinity) return;
    const late = new PaipaiError('PAIPAI_ERR_DEADLINE', 'silence');
    env.timers.after(deadlineMs, () => reject(late), { keepAlive: true });
  });
}

function lineTo(table: Coordinator): { table: Coordinator; silence: () => void } {
  let isSilent = false;
  return {
    silence: () => {
      isSilent = true;
    },
    table: new Proxy(table, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        if (isSilent && name !== 'close') return unanswered;
        return value.bind(target);
      },
    }),
  };
}

/** One turn of the event loop: what is asked of a table in this process would leave none to timers. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Sets the key one time after the other. */
export async function setAll(coordinator: Coordinator, key: string, values: string[]) {
  let state: KeyState = await coordinator.get(key);
  for (const value of values) {
    const result = await coordinator.compareAndSet(key, state.version, bytes(value));
    expect(result.isSet).toBe(true);
    state = result;
  }
  return state;
}

const env = testEnv(selectEngine('auto').network);
const historyCountMax = 200;

class LocalWorld implements CoordinatorWorld {
  readonly #journal: Journal | undefined;
  #coordinator: Coordinator | undefined;

  constructor(journal?: Journal) {
    this.#journal = journal;
  }

  async connect(count: number): Promise<Coordinator[]> {
    const journal = this.#journal === undefined ? {} : { journal: this.#journal };
    const coordinator = await LocalCoordinator.open(env, { historyCountMax, ...journal });
    this.#coordinator = coordinator;
    return Array.from({ length: count }, () => coordinator);
  }

  /** Changes of other keys push those of the test out; the deletions are forgotten too. */
  async forgetHistory(): Promise<void> {
    for (let change = 0; change < historyCountMax; change++) {
      const { version } = (await this.#coordinator?.get('other')) ?? { version: NaN };
      const value = version === 0 ? new Uint8Array(1) : undefined;
      await this.#coordinator?.compareAndSet('other', version, value);
    }
  }

  async close(): Promise<void> {
    await this.#coordinator?.close();
  }
}

/** Keeps nothing, but takes its time. */
function slowJournal(seed: number): Journal {
  const random = seeded(seed);
  return {
    read: async () => ({ lastVersion: 0, entries: [] }),
    write: async () => {
      for (let turns = Math.floor(random.next() * 4); turns > 0; turns--) {
        await new Promise<void>((resolve) => {
          setImmediate(resolve);
        });
      }
    },
    close: async () => {},
  };
}

class RemoteWorld implements CoordinatorWorld {
  #listener: PeerListener | undefined;
  #coordination: CoordinatorService | undefined;
  readonly #clients: Coordinator[] = [];
  readonly #peers: Peer[] = [];

  async connect(count: number): Promise<Coordinator[]> {
    const local = await LocalCoordinator.open(env, { historyCountMax });
    const coordination = new CoordinatorService(local);
    this.#coordination = coordination;
    this.#listener = await listenPeers(env, 'tcp://127.0.0.1:0', {
      nodeId: 'coordinator',
      service: {
        onRequest: (request) => coordination.onRequest(request),
        onStream: (stream) => coordination.onStream(stream),
      },
    });
    for (let at = 0; at < count; at++) {
      const peer = await connectPeer(env, this.#listener.address, { nodeId: `client-${at}` });
      this.#peers.push(peer);
      this.#clients.push(new RemoteCoordinator(() => [peer]));
    }
    return [...this.#clients];
  }

  /** On the session of the first client, behind what that has asked for. */
  async forgetHistory(): Promise<void> {
    const [client] = this.#clients;
    for (let change = 0; change < historyCountMax; change++) {
      const { version } = (await client?.get('other')) ?? { version: NaN };
      const value = version === 0 ? new Uint8Array(1) : undefined;
      await client?.compareAndSet('other', version, value);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    for (const peer of this.#peers) peer.destroy();
    await this.#coordination?.close();
    await this.#listener?.close(0);
  }
}

/** Three members of a quorum in this process, of which the first serves all clients. */
class QuorumWorld implements CoordinatorWorld {
  readonly #members = new Map<string, QuorumCoordinator>();

  async connect(count: number): Promise<Coordinator[]> {
    const nodeIds = ['1', '2', '3'];
    for (const nodeId of nodeIds) {
      const disk = new SlotsFile(join(makeFolder(), 'quorum'));
      const ask: AskAcceptor = async (id, question) => this.#members.get(id)!.answer(question);
      this.#members.set(
        nodeId,
        await QuorumCoordinator.open({
          env,
          nodeId,
          nodeIds,
          disk,
          ask,
          startVersion: 0,
          historyCountMax,
        }),
      );
    }
    return Array.from({ length: count }, () => this.#members.get('1')!);
  }

  async forgetHistory(): Promise<void> {
    const one = this.#members.get('1')!;
    for (let change = 0; change < 300; change++) {
      const { version } = await one.get('other');
      await one.compareAndSet('other', version, version === 0 ? new Uint8Array(1) : undefined);
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#members.values()].map((member) => member.close()));
  }
}

/** One etcd for all worlds of a file, each with a prefix of its own. */
let etcd: Promise<EtcdServer> | undefined;
let etcdWorlds = 0;

class EtcdWorld implements CoordinatorWorld {
  readonly #prefix = `world-${++etcdWorlds}`;
  #hasForgotten = false;
  readonly #clients: Coordinator[] = [];

  async connect(count: number): Promise<Coordinator[]> {
    etcd ??= startEtcd();
    const { urls } = await etcd;
    const settings = checkEtcd({ etcd: urls, prefix: this.#prefix }, 'default');
    for (let at = 0; at < count; at++) this.#clients.push(new EtcdCoordinator(env, settings));
    return [...this.#clients];
  }

  async forgetHistory(): Promise<void> {
    this.#hasForgotten = true;
    await (await etcd)?.compact();
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    if (!this.#hasForgotten) return;
    // That of all worlds is gone, and the next one begins with all there ever was.
    const ending = etcd;
    etcd = undefined;
    await (await ending)?.end();
  }
}

/** `promises` for each backend; those that are not here are skipped, and say why. */
export function describeBackends(promises: (backend: Backend) => void): void {
  afterAll(async () => (await etcd)?.end());
  for (const backend of backends) {
    const { name, why = '' } = backend;
    describe.skipIf(why)(`${name}${why}`, () => promises(backend));
  }
}

const backends: readonly Backend[] = [
  { name: 'local', makeWorld: () => new LocalWorld(), runs: 200 },
  {
    name: 'local with files',
    makeWorld: () => new LocalWorld(new LogJournal(join(makeFolder(), 'coordination'))),
    runs: 20,
  },
  {
    name: 'local with a slow journal',
    makeWorld: () => new LocalWorld(slowJournal(7)),
    runs: 200,
  },
  { name: 'over a session', makeWorld: () => new RemoteWorld(), runs: 60 },
  { name: 'quorum', makeWorld: () => new QuorumWorld(), runs: 20 },
  { name: 'etcd', makeWorld: () => new EtcdWorld(), runs: 20, why: withoutEtcd },
];
