import { isLinearizable } from '../support/linearizability.mjs';
import { SeededRandom, VirtualTime } from './virtual-time.mjs';

/**
 * A quorum of three or five nodes, others that can take a place, and three clients, of the shipped code but for its disks, its network and its clocks: messages are late,
 * lost and doubled, links are cut one way or both, nodes crash with or without what they were just writing, stand still, and their clocks jump. Meanwhile
 * disks are lost, and members replaced.
 */

const clientCount = 3;
const turnsPerClient = 8;
/** How many calls a client makes at one member at once, one of these: those that meet there share a round. */
const callsAtOnce = [1, 1, 1, 2, 3];
const keys = ['a', 'b'];
const troubleMs = 6_000;
/** Within so long after the last trouble somebody must be served, and by each node somebody. */
const resumeMs = 2_000;
const resumeAllMs = 5_000;
const deadlineMs = 3_000;

/** With what a call can fail while there is trouble, whether it was made or not. */
const mayPass = new Set([
  'PAIPAI_ERR_COORDINATOR_DOWN',
  'PAIPAI_ERR_PEER_CLOSED',
  'PAIPAI_ERR_DEADLINE',
  'PAIPAI_ERR_CLOSED',
  'PAIPAI_ERR_NODE_LOST',
]);

/** All that these files export. */
export async function loadQuorumCode(load) {
  const files = ['quorum-coordinator', 'acceptor', 'table'];
  const loaded = await Promise.all(files.map((file) => load(`coordination/quorum/${file}.js`)));
  return Object.assign({}, ...loaded);
}

/** @returns `{ violations, counts }` */
export async function runQuorumChaos({ code, seed, note = () => {} }) {
  return new QuorumWorld(code, seed, note).run();
}

class QuorumWorld {
  time = new VirtualTime();
  violations = [];
  counts = { answered: 0, unknown: 0, down: 0, changes: 0, disturbances: 0, wiped: 0, replaced: 0 };
  calls = [];
  nodes = new Map();
  /** From → to, where nothing comes through. */
  cuts = new Set();
  /** By group and ballot: the value, and which disks have kept it. */
  accepted = new Map();
  /** By group and epoch: who votes, as text. */
  voters = new Map();
  moment = 0;
  valueCount = 0;
  running = 0;

  constructor(code, seed, note) {
    this.code = code;
    this.seed = seed;
    this.note = (sentence) => note(`${this.time.nowMs.toFixed(0)} ms: ${sentence}`);
    this.random = new SeededRandom(seed);
    this.lossRate = this.random.pick([0, 0, 0.02, 0.1]);
    this.doubleRate = this.random.pick([0, 0.05, 0.3]);
    /** Of a write: what is slow is more often cut. */
    this.diskMsMax = this.random.pick([1, 5, 50]);
    const count = this.random.next() < 0.25 ? 5 : 3;
    this.allIds = Array.from({ length: count + this.random.pick([0, 1, 2]) }, (_, at) => `n${at}`);
    /** Who begin. */
    this.nodeIds = this.allIds.slice(0, count);
    /** As far as the operator knows, and of those whose disk is lost. */
    this.memberIds = new Set(this.nodeIds);
    this.lostIds = new Set();
  }

  async run() {
    for (const nodeId of this.allIds) {
      this.nodes.set(nodeId, { nodeId, life: 0, disk: new SimulatedSlot(this) });
      void this.start(nodeId);
    }
    for (let at = 0; at < clientCount; at++) void this.runClient(at);
    void this.runOperator();
    this.planTrouble();
    await this.advance(troubleMs, () => false);
    this.endTrouble();
    const healedMs = this.time.nowMs;
    const unserved = new Set(this.allIds);
    for (const nodeId of this.allIds) {
      void this.served(this.nodes.get(nodeId)).then(() => unserved.delete(nodeId));
    }
    await this.advance(healedMs + resumeMs, () => unserved.size < this.allIds.length);
    if (unserved.size === this.allIds.length) {
      this.wrong(`nobody is served ${resumeMs} ms after the last trouble`);
    }
    await this.advance(healedMs + resumeAllMs, () => unserved.size === 0);
    if (unserved.size > 0) {
      this.wrong(`${[...unserved]} serve nobody ${resumeAllMs} ms after the last trouble`);
    }
    await this.advance(healedMs + 60_000, () => this.running === 0);
    if (this.running > 0) this.wrong(`${this.running} calls have no end`);
    this.checkChosen();
    this.checkHistory();
    for (const node of this.nodes.values()) this.crash(node);
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

  // Nodes.

  envOf(node, life) {
    const { time } = this;
    const isRunning = () => node.life === life && node.isRunning;
    return {
      clock: {
        nowMs: () => time.nowMs,
        wallMs: () => 1_000_000 + time.nowMs + (node.wallOffsetMs ?? 0),
      },
      timers: {
        after: (delayMs, callback) => {
          const fire = () => {
            if (!isRunning()) return;
            if (node.resumesAtMs > time.nowMs) event = time.at(node.resumesAtMs, fire);
            else callback();
          };
          let event = time.after(delayMs, fire);
          return { cancel: () => time.cancel(event) };
        },
      },
      random: new SeededRandom(this.random.next() * 2 ** 32),
    };
  }

  async start(nodeId) {
    const node = this.nodes.get(nodeId);
    const life = ++node.life;
    node.isRunning = true;
    node.coordinator = undefined;
    node.death = new Promise((_, reject) => {
      node.die = () =>
        reject(Object.assign(new Error('it died'), { code: 'PAIPAI_ERR_PEER_CLOSED' }));
    });
    node.death.catch(() => {}); // Perhaps nobody waits.
    const env = this.envOf(node, life);
    const coordinator = await this.code.QuorumCoordinator.open({
      env,
      nodeId,
      nodeIds: this.nodeIds,
      disk: node.disk.of(life),
      startVersion: 0,
      ask: (to, question, limitMs) => this.ask(node, env.timers, to, question, limitMs),
    });
    if (node.life === life) node.coordinator = coordinator;
  }

  crash(node) {
    node.isRunning = false;
    node.coordinator = undefined;
    node.die();
    node.disk.crash();
  }

  /** A question and its answer over the network. */
  ask(from, timers, toId, question, limitMs) {
    const { life } = from;
    return new Promise((resolve, reject) => {
      const limit = timers.after(limitMs, () => reject(new Error('no answer in time')));
      const settle = (how, outcome) => {
        if (from.life !== life || !from.isRunning) return;
        limit.cancel();
        how(outcome);
      };
      const deliver = () => {
        const to = this.nodes.get(toId);
        if (to.coordinator === undefined) return;
        const { coordinator, life: toLife } = to;
        coordinator.answer(question).then(
          (answer) => {
            if (to.life !== toLife || !to.isRunning) return;
            this.travel(toId, from.nodeId, () => settle(resolve, answer));
          },
          () => {},
        );
      };
      const to = this.nodes.get(toId);
      // The system of the other machine answers for a process that is gone.
      if (!to.isRunning && !this.isCut(from.nodeId, toId)) {
        return this.travel(toId, from.nodeId, () => settle(reject, new Error('refused')));
      }
      this.travel(from.nodeId, toId, deliver);
    });
  }

  isCut(from, to) {
    return this.cuts.has(`${from} ${to}`);
  }

  travel(from, to, arrive) {
    const copies = this.random.next() < this.doubleRate ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      if (this.random.next() < this.lossRate) continue;
      const slow = this.random.next() < 0.03 ? 800 : 10;
      this.time.after(this.random.between(0.1, slow), () => {
        const resumesAtMs = this.nodes.get(to)?.resumesAtMs ?? 0;
        if (this.isCut(from, to)) return;
        if (resumesAtMs > this.time.nowMs) this.time.at(resumesAtMs, arrive);
        else arrive();
      });
    }
  }

  // Trouble.

  planTrouble() {
    const count = Math.floor(this.random.between(1, 8));
    for (let at = 0; at < count; at++) {
      this.time.at(this.random.between(0, troubleMs * 0.8), () => {
        this.counts.disturbances++;
        this.disturb();
      });
    }
  }

  disturb() {
    const { random } = this;
    const node = this.nodes.get(random.pick(this.allIds));
    const forMs = random.between(50, 2_500);
    const later = (callback) => this.time.after(forMs, callback);
    switch (random.pick(['crash', 'crash', 'blackout', 'isolate', 'oneWay', 'stall', 'jump'])) {
      case 'crash':
        return this.crashFor(node, forMs);
      case 'blackout':
        for (const one of this.nodes.values()) this.crashFor(one, random.between(50, 1_000));
        return undefined;
      case 'isolate':
        this.note(`${node.nodeId} is cut off for ${forMs.toFixed(0)} ms`);
        for (const other of this.allIds) {
          this.cuts.add(`${node.nodeId} ${other}`).add(`${other} ${node.nodeId}`);
        }
        return later(() => this.heal(node.nodeId));
      case 'oneWay':
        this.note(`${node.nodeId} is heard no more, and hears`);
        for (const other of this.allIds) this.cuts.add(`${node.nodeId} ${other}`);
        return later(() => this.heal(node.nodeId));
      case 'stall':
        this.note(`${node.nodeId} stands still for ${forMs.toFixed(0)} ms`);
        node.resumesAtMs = this.time.nowMs + forMs;
        return undefined;
      case 'jump':
        node.wallOffsetMs = random.between(-1e6, 1e6);
        return undefined;
    }
  }

  crashFor(node, forMs) {
    if (!node.isRunning) return;
    this.note(`${node.nodeId} crashes for ${forMs.toFixed(0)} ms`);
    this.crash(node);
    this.time.after(forMs, () => this.restart(node));
  }

  restart(node) {
    if (node.isRunning) return;
    this.note(`${node.nodeId} is back`);
    void this.start(node.nodeId);
  }

  heal(nodeId) {
    for (const cut of this.cuts) if (cut.split(' ').includes(nodeId)) this.cuts.delete(cut);
  }

  endTrouble() {
    this.note('all trouble ends');
    this.cuts.clear();
    this.lossRate = 0;
    for (const node of this.nodes.values()) {
      node.resumesAtMs = 0;
      this.restart(node);
    }
  }

  // The operator.

  /** Loses disks, and has members replaced; never more are lost at once than the quorum survives. */
  async runOperator() {
    const { random } = this;
    this.running++;
    for (let left = random.pick([0, 1, 2, 4]); left > 0; left--) {
      await this.sleep(random.exponential(troubleMs / 6));
      if (this.time.nowMs > troubleMs) break;
      if (random.next() < 0.5) this.wipeSome();
      else await this.replaceSome();
    }
    this.running--;
  }

  wipeSome() {
    const node = this.nodes.get(this.random.pick([...this.memberIds]));
    const isBearable = 2 * (this.lostIds.size + 1) < this.memberIds.size;
    if (!isBearable || this.lostIds.has(node.nodeId)) return;
    this.lostIds.add(node.nodeId);
    this.counts.wiped++;
    this.wipe(node);
  }

  wipe(node) {
    this.note(`${node.nodeId} loses its disk`);
    if (node.isRunning) this.crash(node);
    node.disk.wipe();
    this.time.after(this.random.between(50, 2_500), () => this.restart(node));
  }

  async replaceSome() {
    const { random } = this;
    const isRepair = this.lostIds.size > 0 && random.next() < 0.8;
    const oldId = random.pick([...(isRepair ? this.lostIds : this.memberIds)]);
    const others = this.allIds.filter((nodeId) => !this.memberIds.has(nodeId));
    const newId = random.pick(this.lostIds.has(oldId) ? [oldId, ...others] : others);
    if (newId === undefined) return;
    while (!(await this.tryToReplace(oldId, newId))) await this.sleep(random.between(10, 300));
    this.lostIds.delete(oldId);
    this.memberIds.delete(oldId);
    this.memberIds.add(newId);
    this.counts.replaced++;
  }

  /** Whether it is done. */
  async tryToReplace(oldId, newId) {
    const at = this.nodes.get(this.random.pick(this.allIds));
    if (at.coordinator === undefined) return false;
    try {
      const replacing = at.coordinator.replaceMember(oldId, newId, { deadlineMs });
      await Promise.race([replacing, at.death]);
      this.note(`${at.nodeId} has ${oldId} replaced by ${newId}`);
      return true;
    } catch (thrown) {
      this.note(`${at.nodeId} does not have ${oldId} replaced by ${newId}: ${thrown.code}`);
      // It has met others before there was a quorum, and is bound to what did not come about.
      if (thrown.code === 'PAIPAI_ERR_INVALID_STATE') this.wipe(this.nodes.get(newId));
      else if (!mayPass.has(thrown.code)) this.wrong(`a replacement failed: ${thrown.stack}`);
      return false;
    }
  }

  /** Settles when the node has answered a client of its own. */
  async served(node) {
    for (;;) {
      try {
        await Promise.race([node.coordinator.get('a', { deadlineMs: 500 }), node.death]);
        return;
      } catch {
        await this.sleep(20); // Also while it starts.
      }
    }
  }

  sleep(delayMs) {
    return new Promise((resolve) => {
      this.time.after(delayMs, resolve);
    });
  }

  // Clients.

  async runClient(at) {
    const { random } = this;
    const seen = new Map();
    this.running++;
    for (let turn = 0; turn < turnsPerClient; turn++) {
      await this.sleep(random.exponential(troubleMs / turnsPerClient / 2));
      // Mostly the same node, as clients do; sometimes each its own.
      const nodeId = random.next() < 0.6 ? this.nodeIds[0] : random.pick(this.allIds);
      const { coordinator } = this.nodes.get(nodeId);
      if (coordinator === undefined) continue;
      const beginOne = () => this.call(at, nodeId, this.drawCall(coordinator, seen));
      await Promise.all(Array.from({ length: random.pick(callsAtOnce) }, beginOne));
    }
    this.running--;
  }

  drawCall(coordinator, seen) {
    const key = this.random.pick(keys);
    const what = this.random.next();
    if (what < 0.3) return this.look(coordinator, key);
    if (what < 0.45) return this.put(coordinator, key, seen);
    return what < 0.8 ? this.change(coordinator, key, seen) : this.changeBoth(coordinator, seen);
  }

  /** @param begin fills in the call as it is recorded, and promises what is known of it afterwards */
  async call(at, nodeId, begin) {
    const call = { startedAt: this.moment++, endedAt: Infinity, client: at, nodeId };
    try {
      // Its session ends with its process.
      const outcome = await Promise.race([begin(call), this.nodes.get(nodeId).death]);
      Object.assign(call, outcome, { endedAt: this.moment++ });
      this.calls.push(call);
      this.counts.answered++;
      this.note(`client ${at} at ${nodeId}: ${JSON.stringify(outcome)}`);
    } catch (thrown) {
      this.note(`client ${at} at ${nodeId}: ${thrown.code}`);
      if (thrown.code === 'PAIPAI_ERR_COORDINATOR_DOWN') {
        this.counts.down++; // Nothing was done.
      } else if (mayPass.has(thrown.code)) {
        this.counts.unknown++;
        if (call.what !== undefined && call.what !== 'get') this.calls.push(call);
      } else {
        this.wrong(`a call failed: ${thrown.stack}`);
      }
    }
  }

  look(coordinator, key) {
    return async () => {
      const { value } = await coordinator.get(key, { deadlineMs });
      return { what: 'get', key, value: text(value) };
    };
  }

  /** Whatever the key holds: several of these that share a round are all made. */
  put(coordinator, key, seen) {
    return async (call) => {
      const set = `${++this.valueCount}`;
      const value = Buffer.from(set);
      Object.assign(call, { what: 'put', key, set });
      const { versions } = await coordinator.txn({ set: [{ key, value }] }, { deadlineMs });
      seen.set(key, { value, version: versions.get(key) });
      this.counts.changes++;
      return {};
    };
  }

  /** From what it is, or was when that client last heard of it, to something new, by its version. */
  change(coordinator, key, seen) {
    return async (call) => {
      const isLooking = !seen.has(key) || this.random.next() < 0.5;
      const before = isLooking ? await coordinator.get(key, { deadlineMs }) : seen.get(key);
      seen.set(key, before);
      const set = `${++this.valueCount}`;
      Object.assign(call, { what: 'set', key, expected: text(before.value), set });
      call.startedAt = this.moment++;
      const behind = await coordinator.compareAndSet(key, before.version, Buffer.from(set), {
        deadlineMs,
      });
      seen.set(key, behind);
      if (behind.isSet) this.counts.changes++;
      return { isSet: behind.isSet, value: text(behind.value) };
    };
  }

  changeBoth(coordinator, seen) {
    return async (call) => {
      const states = [];
      for (const key of keys) states.push(await coordinator.get(key, { deadlineMs }));
      const set = `${++this.valueCount}`;
      Object.assign(call, { what: 'both', expected: states.map(({ value }) => text(value)), set });
      call.startedAt = this.moment++;
      const value = Buffer.from(set);
      const { isSet, versions } = await coordinator.txn(
        {
          expect: keys.map((key, at) => ({ key, version: states[at].version })),
          set: keys.map((key) => ({ key, value })),
        },
        { deadlineMs },
      );
      if (!isSet) return { isSet };
      for (const key of keys) seen.set(key, { value, version: versions.get(key) });
      this.counts.changes++;
      return { isSet };
    };
  }

  checkHistory() {
    const model = { first: [null, null], step: stepOf };
    if (!isLinearizable(this.calls, model)) this.wrong('the answers have no order');
  }

  // What was agreed on.

  /** A disk has kept what an acceptor remembers. */
  onKept(bytes) {
    const { acceptorId, group, accepted, value } = this.code.decodeMemory(bytes);
    if (value.byteLength === 0) return;
    const { groupId, members } = group;
    if (members.epoch !== accepted.epoch) this.wrong(`a vote of epoch ${accepted.epoch} by others`);
    const ballot = `${groupId} ${accepted.epoch} ${accepted.round} ${accepted.proposer}`;
    const known = this.accepted.get(ballot);
    if (known === undefined) {
      this.accepted.set(ballot, { accepted, group, value, by: new Set([acceptorId]) });
      this.checkVoters(groupId, members);
      return;
    }
    if (Buffer.compare(known.value, value) !== 0) this.wrong(`two values under ballot ${ballot}`);
    known.by.add(acceptorId);
  }

  checkVoters(groupId, { epoch, list }) {
    const names = JSON.stringify(list);
    const known = this.voters.get(`${groupId} ${epoch}`) ?? names;
    if (known !== names) this.wrong(`others vote in epoch ${epoch}`);
    this.voters.set(`${groupId} ${epoch}`, names);
  }

  checkChosen() {
    const chosen = [...this.accepted.values()]
      .filter(({ by, group }) => {
        const { list } = group.members;
        return list.filter(({ acceptorId }) => by.has(acceptorId)).length > list.length / 2;
      })
      .map(({ accepted, group, value }) => {
        return { accepted, group, table: this.code.Table.decode(value) };
      })
      .sort((one, other) => compareBallots(one.accepted, other.accepted));
    const groups = new Set(chosen.map(({ group }) => group.groupId));
    if (groups.size > 1) this.wrong(`${groups.size} groups have agreed on something`);
    for (const [at, { table }] of chosen.entries()) {
      const before = chosen[at - 1]?.table;
      if (before !== undefined && !follows(before, table)) {
        this.wrong(
          `version ${table.version} was agreed on behind ${before.version}, and forgets it`,
        );
      }
    }
  }
}

/** Whether the later table is the earlier one with changes behind it. */
function follows(earlier, later) {
  const upTo = later.history.findLastIndex(({ version }) => version <= earlier.version) + 1;
  return (
    later.version >= earlier.version &&
    upTo === earlier.history.length &&
    earlier.history.every((change, at) => isSameChange(change, later.history[at]))
  );
}

function isSameChange(one, other) {
  if (one.key !== other.key || one.version !== other.version) return false;
  return text(one.value) === text(other.value);
}

function compareBallots(one, other) {
  return one.epoch - other.epoch || one.round - other.round || one.proposer - other.proposer;
}

function text(value) {
  return value === undefined ? null : Buffer.from(value).toString();
}

/** @param state values of the keys */
function stepOf(state, { what, key, value, expected, set, isSet, endedAt }) {
  const at = keys.indexOf(key);
  if (what === 'get') return state[at] === value ? state : undefined;
  if (what === 'put') return state.with(at, set);
  const isAsExpected =
    what === 'both' ? expected.every((one, at) => one === state[at]) : state[at] === expected;
  const isAnswered = endedAt !== Infinity;
  if (isAnswered && isAsExpected !== isSet) return undefined;
  const behind = isAsExpected
    ? state.map((one, index) => (what === 'both' || index === at ? set : one))
    : state;
  return isAnswered && what === 'set' && behind[at] !== value ? undefined : behind;
}

/** What outlives the process of a node. A write that was under way when it ended is there or not. */
class SimulatedSlot {
  #world;
  #bytes;
  #writing;
  #life = 0;

  constructor(world) {
    this.#world = world;
  }

  of(life) {
    this.#life = life;
    return {
      read: async () => this.#bytes,
      write: (bytes) => this.#write(life, bytes),
      close: async () => {},
    };
  }

  crash() {
    this.#life = 0;
    if (this.#writing !== undefined && this.#world.random.next() < 0.5) this.#keep(this.#writing);
    this.#writing = undefined;
  }

  wipe() {
    this.#bytes = undefined;
  }

  #write(life, bytes) {
    return new Promise((resolve) => {
      this.#writing = bytes;
      this.#world.time.after(this.#world.random.between(0.1, this.#world.diskMsMax), () => {
        if (this.#life !== life) return;
        this.#writing = undefined;
        this.#keep(bytes);
        resolve();
      });
    });
  }

  #keep(bytes) {
    this.#bytes = bytes;
    this.#world.onKept(bytes);
  }
}
