import { flawOfTransactions } from './transaction-history.mjs';
import { SeededRandom, VirtualTime } from './virtual-time.mjs';

/**
 * Three nodes that keep records, a coordinator with a disk and three clients that move amounts between accounts, of the shipped code but for its disks,
 * its network and its clocks: messages are late and lost, those to the nodes doubled too, links are cut one way or both, and everybody crashes, with or without
 * what was just being written, or stands still.
 */

const nodeIds = ['n0', 'n1', 'n2'];
const clientIds = ['c0', 'c1', 'c2'];
const tableId = 'table';
const accounts = Array.from({ length: 5 }, (_, at) => `account/${at}`);
const notes = ['note/0', 'note/1'];
const firstBalance = 100;
const troubleMs = 6_000;
/** Each does two things at once, one transaction after the other. */
const linesPerClient = 2;
const transactionsPerLine = 8;
const fatalStepCount = 8;
const fatalStepsWithin = 1_500;
const deadlineMs = 4_000;
/** After the last trouble nothing is in doubt any longer than the lease of a driver, and a look. */
const settledMs = 3_000 + 5_000;

/** All that these files export. */
export async function loadTransactionCode(load) {
  const files = [
    'transactions/record-store.js',
    'transactions/serve-records.js',
    'transactions/transactor.js',
    'transactions/messages.js',
    'coordination/local/local-coordinator.js',
    'cluster/transfer/operation.js',
    'wire/values.js',
    'base/errors.js',
  ];
  return Object.assign({}, ...(await Promise.all(files.map((file) => load(file)))));
}

/**
 * @param fatalStep whoever takes this step crashes, and there is no other trouble
 * @returns `{ violations, counts }`
 */
export async function runTransactionChaos({ code, seed, fatalStep, note = () => {} }) {
  return new TransactionWorld(code, seed, fatalStep, note).run();
}

class TransactionWorld {
  time = new VirtualTime();
  violations = [];
  counts = { committed: 0, failed: 0, unknown: 0, disturbances: 0, steps: 0 };
  /** What clients have tried, as `flawOfTransactions` takes it. */
  tried = [];
  /** By key: what it held one after the other, as `flawOfTransactions` takes it. */
  histories = new Map();
  processes = new Map();
  cuts = new Set();
  /** By id: what nodes were asked to prepare. */
  preparations = new Map();
  moment = 0;
  running = 0;

  constructor(code, seed, fatalStep, note) {
    this.code = code;
    this.fatalStep = fatalStep;
    this.note = (sentence) => note(`${this.time.nowMs.toFixed(0)} ms: ${sentence}`);
    this.random = new SeededRandom(seed);
    const isCalm = fatalStep !== undefined;
    this.lossRate = isCalm ? 0 : this.random.pick([0, 0, 0.02, 0.1]);
    this.doubleRate = isCalm ? 0 : this.random.pick([0, 0.05, 0.3]);
    /** Whoever takes one of these crashes: messages and writes are counted. */
    this.fatalSteps = new Set();
  }

  async run() {
    for (const name of [tableId, ...nodeIds, ...clientIds]) {
      this.processes.set(name, { name, life: 0, disk: new SimulatedDisk(this, name) });
      await this.start(name);
    }
    await this.open();
    for (const name of clientIds) {
      for (let line = 0; line < linesPerClient; line++) void this.runClient(name);
    }
    if (this.fatalStep === undefined) this.planTrouble();
    await this.advance(this.time.nowMs + troubleMs, () => false);
    this.endTrouble();
    const healedMs = this.time.nowMs;
    await this.advance(healedMs + 60_000, () => this.running === 0);
    if (this.running > 0) this.wrong(`${this.running} transactions have no end`);
    await this.advance(Math.max(healedMs, this.time.nowMs) + settledMs, () => false);
    for (const name of nodeIds) {
      for (const { id } of this.processes.get(name).records.inDoubt()) {
        this.wrong(`${id} is in doubt on ${name} for ever`);
      }
    }
    await this.checkTotal();
    const flaw = flawOfTransactions(this.tried, this.histories);
    if (flaw !== undefined) this.wrong(flaw);
    for (const process of this.processes.values()) this.crash(process);
    await this.advance(this.time.nowMs + 1, () => true);
    return { violations: this.violations, counts: this.counts };
  }

  wrong(sentence) {
    this.note(`wrong: ${sentence}`);
    this.violations.push(sentence);
  }

  /** Whatever an event sets going comes to rest before the next one. */
  async advance(untilMs, isDone) {
    for (;;) {
      await new Promise(setImmediate);
      if (isDone() || !this.time.runNext(untilMs)) return;
    }
  }

  /** All accounts have their first balance. */
  async open() {
    let isOpen = false;
    void this.transact('c0', { reads: [], writes: accounts, amounts: () => firstBalance }).then(
      () => {
        isOpen = true;
      },
    );
    const { lossRate } = this;
    this.lossRate = 0;
    await this.advance(this.time.nowMs + deadlineMs, () => isOpen);
    this.lossRate = lossRate;
    if (!isOpen) this.wrong('nothing works without trouble');
    const { steps } = this.counts;
    if (this.fatalStep !== undefined) {
      this.fatalSteps.add(steps + this.fatalStep);
      return;
    }
    for (let count = 0; count < fatalStepCount; count++) {
      this.fatalSteps.add(steps + Math.floor(this.random.between(0, fatalStepsWithin)));
    }
  }

  // Processes.

  envOf(process, life) {
    const { time } = this;
    return {
      clock: { nowMs: () => time.nowMs, wallMs: () => 1_000_000 + time.nowMs },
      timers: {
        after: (delayMs, callback) => {
          let isCancelled = false;
          const fire = () => {
            if (isCancelled || process.life !== life || !process.isRunning) return;
            if (process.resumesAtMs > time.nowMs) time.at(process.resumesAtMs, fire);
            else callback();
          };
          time.after(delayMs, fire);
          return {
            cancel: () => {
              isCancelled = true;
            },
          };
        },
      },
      random: new SeededRandom(this.random.next() * 2 ** 32),
    };
  }

  async start(name) {
    const process = this.processes.get(name);
    const life = ++process.life;
    process.isRunning = true;
    process.death = new Promise((resolve) => {
      process.die = () => resolve(dead);
    });
    const env = this.envOf(process, life);
    const journal = process.disk.of(life);
    const { LocalCoordinator, RecordStore, Transactor } = this.code;
    let part;
    if (name === tableId) {
      part = { coordinator: await LocalCoordinator.open(env, { journal }) };
    } else if (nodeIds.includes(name)) {
      part = { records: await RecordStore.open({ clock: env.clock, journal }) };
    } else {
      const coordinator = this.coordinatorFor(process, life);
      const ask = (to, method, payload, { deadlineMs: limitMs, signal }) =>
        this.ask(process, life, to, limitMs, signal, ({ records }) =>
          this.serve(records, method, payload),
        );
      const nodes = { found: () => nodeIds, ask };
      part = { env, transactor: new Transactor({ env, coordinator, nodes }) };
    }
    if (process.life === life) Object.assign(process, part);
  }

  crash(process) {
    if (!process.isRunning) return;
    process.isRunning = false;
    process.coordinator = undefined;
    process.records = undefined;
    process.transactor = undefined;
    process.die();
    process.disk.crash();
  }

  crashFor(process, forMs) {
    if (!process.isRunning) return;
    this.note(`${process.name} crashes for ${forMs.toFixed(0)} ms`);
    this.crash(process);
    this.time.after(forMs, () => this.restart(process));
  }

  restart(process) {
    if (process.isRunning) return;
    this.note(`${process.name} is back`);
    void this.start(process.name);
  }

  /** Each may be the last one of its process. */
  step(process) {
    if (!this.fatalSteps.has(this.counts.steps++)) return;
    this.time.after(0, () => this.crashFor(process, this.random.between(20, 3_000)));
  }

  async serve(records, method, payload) {
    if (method === 'transaction.prepare') {
      const { id, records: touched } = this.code.decodePreparation(payload);
      const known = this.preparations.get(id) ?? new Map();
      this.preparations.set(id, known);
      for (const record of touched) known.set(record.key, record);
    }
    return this.code.serveRecords({ method, payload }, records);
  }

  /** A question and its answer over the network. `work` gets the process that it comes to. */
  ask(from, life, toName, limitMs, signal, work) {
    const { code } = this;
    let limit;
    let onAbort;
    const asking = new Promise((resolve, reject) => {
      const fail = (name, why) => reject(new code.PaipaiError(name, why));
      limit = this.envOf(from, life).timers.after(limitMs, () =>
        fail('PAIPAI_ERR_DEADLINE', 'no answer in time'),
      );
      onAbort = () => fail('PAIPAI_ERR_ABORTED', 'it was aborted');
      signal?.addEventListener('abort', onAbort);
      const to = this.processes.get(toName);
      this.step(from);
      // The system of the other machine answers for a process that is gone.
      if (!to.isRunning) {
        if (this.isCut(from.name, toName)) return;
        const name = toName === tableId ? 'PAIPAI_ERR_COORDINATOR_DOWN' : 'PAIPAI_ERR_NODE_LOST';
        this.travel(toName, from.name, () => fail(name, 'refused'));
        return;
      }
      const isDoubled = toName !== tableId && this.random.next() < this.doubleRate;
      const late = () => (isDoubled && this.random.next() < 0.3 ? 4_000 : 0);
      for (let copy = 0; copy < (isDoubled ? 2 : 1); copy++) {
        this.time.after(copy * late(), () => {
          this.travel(from.name, toName, () => deliver());
        });
      }
      const deliver = () => {
        if (to.records === undefined && to.coordinator === undefined) return;
        this.step(to);
        const { life: toLife } = to;
        work(to).then(
          (answer) => answerWith(toLife, () => resolve(answer)),
          (error) => answerWith(toLife, () => reject(error)),
        );
        void to.death.then(() => {
          const name = toName === tableId ? 'PAIPAI_ERR_PEER_CLOSED' : 'PAIPAI_ERR_NODE_LOST';
          this.travel(toName, from.name, () => fail(name, 'it died'));
        });
      };
      const answerWith = (toLife, settle) => {
        if (to.life !== toLife || !to.isRunning) return;
        this.travel(toName, from.name, () => {
          if (from.life === life && from.isRunning) settle();
        });
      };
    });
    return asking.finally(() => {
      limit.cancel();
      signal?.removeEventListener('abort', onAbort);
    });
  }

  coordinatorFor(process, life) {
    const call =
      (name) =>
      (...args) => {
        const { deadlineMs: limitMs = 10_000, signal, ...rest } = args.at(-1) ?? {};
        const passed = [...args.slice(0, -1), { ...rest, deadlineMs: limitMs }];
        return this.ask(process, life, tableId, limitMs, signal, ({ coordinator }) =>
          coordinator[name](...passed),
        );
      };
    const names = ['get', 'list', 'compareAndSet', 'txn', 'grantLease', 'keepLease', 'revokeLease'];
    return Object.fromEntries(names.map((name) => [name, call(name)]));
  }

  isCut(from, to) {
    return this.cuts.has(`${from} ${to}`);
  }

  travel(from, to, arrive) {
    if (this.random.next() < this.lossRate) return;
    const slow = this.random.next() < 0.03 ? 800 : 10;
    this.time.after(this.random.between(0.1, slow), () => {
      const resumesAtMs = this.processes.get(to).resumesAtMs ?? 0;
      if (this.isCut(from, to)) return;
      if (resumesAtMs > this.time.nowMs) this.time.at(resumesAtMs, arrive);
      else arrive();
    });
  }

  // Trouble.

  planTrouble() {
    const count = Math.floor(this.random.between(0, 7));
    for (let at = 0; at < count; at++) {
      this.time.after(this.random.between(0, troubleMs * 0.8), () => this.disturb());
    }
  }

  disturb() {
    this.counts.disturbances++;
    const { random } = this;
    const process = random.pick([...this.processes.values()]);
    const forMs = random.between(50, 4_500);
    const others = [...this.processes.keys()].filter((name) => name !== process.name);
    const heal = () => {
      for (const cut of this.cuts) {
        if (cut.split(' ').includes(process.name)) this.cuts.delete(cut);
      }
    };
    switch (random.pick(['crash', 'isolate', 'oneWay', 'stall'])) {
      case 'crash':
        return this.crashFor(process, forMs);
      case 'isolate':
        this.note(`${process.name} is cut off for ${forMs.toFixed(0)} ms`);
        for (const other of others) {
          this.cuts.add(`${process.name} ${other}`).add(`${other} ${process.name}`);
        }
        return this.time.after(forMs, heal);
      case 'oneWay':
        this.note(`${process.name} is heard no more, and hears`);
        for (const other of others) this.cuts.add(`${process.name} ${other}`);
        return this.time.after(forMs, heal);
      case 'stall':
        this.note(`${process.name} stands still for ${forMs.toFixed(0)} ms`);
        process.resumesAtMs = this.time.nowMs + forMs;
        return undefined;
    }
  }

  endTrouble() {
    this.note('all trouble ends');
    this.cuts.clear();
    this.fatalSteps.clear();
    this.lossRate = 0;
    for (const process of this.processes.values()) {
      process.resumesAtMs = 0;
      this.restart(process);
    }
  }

  sleep(delayMs) {
    return new Promise((resolve) => {
      this.time.after(delayMs, resolve);
    });
  }

  // Clients.

  async runClient(name) {
    const { random } = this;
    this.running++;
    const some = (list, most) =>
      [...list].sort(() => random.next() - 0.5).slice(0, 1 + Math.floor(random.next() * most));
    for (let count = 0; count < transactionsPerLine; count++) {
      // Often all at the same time.
      const pauseMs = random.next() < 0.5 ? 20 : troubleMs / transactionsPerLine;
      await this.sleep(random.exponential(pauseMs));
      if (this.processes.get(name).transactor === undefined) continue;
      const what = random.next();
      if (what < 0.25) {
        await this.transact(name, { reads: some([...accounts, ...notes], 5), writes: [] });
      } else if (what < 0.4) {
        const writes = some(notes, 2);
        await this.transact(name, { reads: [], writes, deletes: random.next() < 0.4 });
      } else {
        const writes = some(accounts, 3);
        const reads = [...writes, ...some([...accounts, ...notes], 2)];
        await this.transact(name, { reads, writes, amounts: this.movesOf(writes) });
      }
    }
    this.running--;
  }

  /** New balances that have the sum of the old ones. */
  movesOf(writes) {
    const moved = Math.floor(this.random.between(1, 50));
    return (key, before) => {
      const at = writes.indexOf(key);
      if (writes.length === 1) return before.balance;
      if (at === 0) return before.balance - moved;
      return at === 1 ? before.balance + moved : before.balance;
    };
  }

  async transact(name, { reads, writes, amounts, deletes = false }) {
    const process = this.processes.get(name);
    const { env, transactor } = process;
    const operation = new this.code.Operation(env, 'transaction', { deadlineMs });
    const one = {
      tag: `t${this.tried.length}`,
      startedAt: this.moment++,
      endedAt: Infinity,
      outcome: 'unknown',
      reads: [],
      writes,
      deletes,
    };
    this.tried.push(one);
    const work = async (tx) => {
      one.reads = [];
      const seen = new Map();
      for (const key of new Set(reads)) {
        const value = await tx.get(key);
        seen.set(key, value);
        one.reads.push({ key, tag: value?.tag ?? null });
      }
      for (const key of writes) {
        const before = seen.get(key);
        if (deletes) tx.delete(key);
        else if (amounts === undefined) tx.set(key, { tag: one.tag });
        else tx.set(key, { tag: one.tag, balance: amounts(key, before) });
      }
      // It says whose these changes are.
      if (deletes) tx.set('deletions', { tag: one.tag });
    };
    try {
      const settled = await Promise.race([
        transactor.run(work, operation).then(() => 'committed'),
        process.death,
      ]);
      if (settled === dead) {
        this.counts.unknown++;
        this.note(`${one.tag} of ${name}: its client died`);
        return;
      }
      one.outcome = 'committed';
      this.counts.committed++;
    } catch (thrown) {
      if (thrown.code === undefined) this.wrong(`a transaction failed: ${thrown.stack}`);
      one.outcome = thrown.code === 'PAIPAI_ERR_OUTCOME_UNKNOWN' ? 'unknown' : 'aborted';
      this.counts[one.outcome === 'unknown' ? 'unknown' : 'failed']++;
      one.why = thrown.code;
    } finally {
      operation.close();
    }
    one.endedAt = this.moment++;
    this.note(
      `${one.tag} of ${name}: ${one.outcome} ${one.why ?? ''} ${JSON.stringify(one.reads)} ${writes}`,
    );
  }

  async checkTotal() {
    let total;
    const { env, transactor } = this.processes.get('c0');
    const operation = new this.code.Operation(env, 'audit', { deadlineMs: 30_000 });
    void transactor
      .run(async (tx) => {
        const values = [];
        for (const key of accounts) values.push((await tx.get(key)).balance);
        return values.reduce((sum, balance) => sum + balance, 0);
      }, operation)
      .then(
        (sum) => {
          total = sum;
        },
        (thrown) => {
          total = thrown.stack;
        },
      );
    await this.advance(this.time.nowMs + 31_000, () => total !== undefined);
    operation.close();
    if (total !== accounts.length * firstBalance) this.wrong(`the accounts hold ${total} together`);
  }

  /** The disk of a node has kept changes. */
  onKept(name, changes) {
    const kept = new Map(changes.map(({ key, value }) => [key, value]));
    for (const { key, value } of changes) {
      if (!key.startsWith('p/') || value !== undefined) continue;
      const touched = [...(this.preparations.get(key.slice(2))?.values() ?? [])];
      const tags = touched.flatMap(({ change }) =>
        change?.value === undefined ? [] : this.code.decodeValue(change.value).tag,
      );
      for (const { key: changed, change } of touched) {
        if (change === undefined || !kept.has(`r/${changed}`)) continue;
        const history = this.histories.get(changed) ?? [];
        this.histories.set(changed, history);
        history.push({ tag: tags[0], isThere: change.value !== undefined });
        this.note(`${name}: ${changed} is of ${tags[0]}`);
      }
    }
  }
}

const dead = Symbol('dead');

/** What outlives a process. A write that was under way when it ended is there or not. */
class SimulatedDisk {
  #world;
  #name;
  #entries = new Map();
  #lastVersion = 0;
  #writing;
  #life = 0;

  constructor(world, name) {
    this.#world = world;
    this.#name = name;
  }

  of(life) {
    this.#life = life;
    return {
      read: async () => ({ lastVersion: this.#lastVersion, entries: [...this.#entries.values()] }),
      write: (changes) => this.#write(life, changes),
      close: async () => {},
    };
  }

  crash() {
    this.#life = 0;
    if (this.#writing !== undefined && this.#world.random.next() < 0.5) this.#keep(this.#writing);
    this.#writing = undefined;
  }

  #write(life, changes) {
    return new Promise((resolve) => {
      this.#writing = changes;
      this.#world.step(this.#world.processes.get(this.#name));
      this.#world.time.after(this.#world.random.pick([0.1, 2, 20]), () => {
        if (this.#life !== life) return;
        this.#writing = undefined;
        this.#keep(changes);
        resolve();
      });
    });
  }

  #keep(changes) {
    for (const change of changes) {
      this.#lastVersion = Math.max(this.#lastVersion, change.version);
      if (change.value === undefined) this.#entries.delete(change.key);
      else this.#entries.set(change.key, change);
    }
    if (nodeIds.includes(this.#name)) this.#world.onKept(this.#name, changes);
  }
}
