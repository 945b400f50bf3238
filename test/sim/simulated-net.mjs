import { SeededRandom, VirtualTime } from './virtual-time.mjs';

/**
 * N nodes of the shipped membership code in one process, over a network that loses, delays, doubles and reorders by one seed. It plays the part
 * of the sockets, the timers and the transport, checks what must hold at each event, and remembers what the figures need.
 */

/** Chances are per datagram, delays in milliseconds: `delayLeastMs`, and beyond that exponential with `delayMeanMs`. */
export const ordinaryNetwork = {
  loss: 0.05,
  doubling: 0.01,
  delayLeastMs: 0.2,
  delayMeanMs: 2,
};

/** What a socket's buffer holds for a process that stands still. */
const inboxLengthMax = 1_000;
const joinRetryMs = 1_000;
/** A stall is over for the others once the word has gone round. */
const stallAfterglowMs = 3_000;

export class SimulatedNet {
  time = new VirtualTime();
  /** By address: what was started there last. */
  #hosts = new Map();
  /** By node id: the process that has it now. */
  nodes = new Map();
  /** What broke a rule, as sentences. */
  violations = [];
  /** `fail` events about members that were running, with who stood still of the two. */
  falseDeaths = [];
  events = [];
  exchangeBytes = 0;
  refusals = 0;
  #addressCount = 0;
  #watches = [];

  constructor({ Swim, seed, parameters = {}, network = {}, keepEvents = false }) {
    this.Swim = Swim;
    this.random = new SeededRandom(seed);
    this.parameters = parameters;
    this.network = { ...ordinaryNetwork, ...network };
    this.keepEvents = keepEvents;
  }

  /** Those whose process runs and that belong to the net. */
  running() {
    return [...this.nodes.values()].filter(({ isRunning, isMember }) => isRunning && isMember);
  }

  /** Starts the process of `nodeId`; with `seed` it joins there, and tries again until it is in. */
  start(nodeId, { seed, address: wanted } = {}) {
    // A port that somebody has can't be had.
    const isFree = wanted !== undefined && this.#hosts.get(wanted)?.isRunning !== true;
    const address = isFree ? wanted : `host-${this.#addressCount++}`;
    const node = {
      nodeId,
      address,
      swim: new this.Swim(
        {
          nodeId,
          address,
          metadata: new Uint8Array(40),
          netName: 'simulated',
          secret: new Uint8Array(32),
          parameters: this.parameters,
        },
        // Each of its own, so that one more draw in one node does not change the luck of all the others.
        new SeededRandom(Math.floor(this.random.next() * 2 ** 32)),
      ),
      isRunning: true,
      isMember: false,
      group: 0,
      stalledUntilMs: -Infinity,
      inbox: [],
      wakeAtMs: Infinity,
      timerAtMs: Infinity,
      knownIncarnations: new Map(),
      suspectedSince: new Map(),
    };
    this.#hosts.set(address, node);
    this.nodes.set(nodeId, node);
    if (seed === undefined) {
      node.isMember = true;
      this.#apply(node, node.swim.found(this.time.nowMs));
    } else {
      this.#join(node, seed);
    }
    return node;
  }

  /** Starts `count` nodes that join at the first, and lets them settle. */
  startMany(count, settleMs = 15_000) {
    const first = this.start('node-0');
    for (let i = 1; i < count; i++) {
      this.time.after(i * 5, () => this.start(`node-${i}`, { seed: first }));
    }
    this.time.run(this.time.nowMs + count * 5 + settleMs);
  }

  /** Ends a process. Its host says so to whom sends there, unless the host went with it. */
  crash(node, { withHost = false } = {}) {
    node.isRunning = false;
    node.hostIsUp = !withHost;
  }

  leave(node) {
    this.#apply(node, node.swim.leave(this.time.nowMs));
  }

  update(node) {
    const metadata = this.random.bytes(40);
    this.#apply(node, node.swim.updateMetadata(metadata, this.time.nowMs));
  }

  /** The process stands still: nothing runs, and what arrives waits in its buffers. */
  stall(node, forMs) {
    node.stalledUntilMs = this.time.nowMs + forMs;
    this.time.at(node.stalledUntilMs, () => this.#resume(node));
  }

  isStalled(node) {
    return this.time.nowMs < node.stalledUntilMs;
  }

  /** Nothing passes between nodes of different groups; `groupOf` is asked once for each node. */
  split(groupOf) {
    for (const node of this.nodes.values()) node.group = groupOf(node);
  }

  heal() {
    this.split(() => 0);
  }

  /** Calls back once every other running node has reported `kind` about `nodeId`. */
  watch(kind, nodeId, onDone) {
    const missing = new Set(this.running().filter((node) => node.nodeId !== nodeId));
    this.#watches.push({ kind, nodeId, missing, onDone });
  }

  /** What two nodes disagree in, as a sentence; undefined when all running nodes hold exactly each other to be alive. */
  disagreement() {
    const running = this.running();
    for (const observer of running) {
      const known = new Map(observer.swim.members().map((member) => [member.nodeId, member]));
      for (const { nodeId, swim } of running) {
        if (nodeId === observer.nodeId) continue;
        const member = known.get(nodeId);
        const is = member?.instanceId === swim.self.instanceId ? member.state : 'not known';
        if (is !== 'alive') return `${nodeId} is ${is} to ${observer.nodeId}`;
        known.delete(nodeId);
      }
      for (const { nodeId, state } of known.values()) {
        if (nodeId === observer.nodeId || this.nodes.get(nodeId)?.isMember === false) continue;
        const isRunning = running.some((node) => node.nodeId === nodeId);
        if (!isRunning && (state === 'alive' || state === 'suspect')) {
          return `${nodeId} is ${state} to ${observer.nodeId}, and does not run`;
        }
      }
    }
    return undefined;
  }

  /** Runs for `withinMs` at most; anything still in disagreement then is a violation. */
  expectAgreement(withinMs, why) {
    const startMs = this.time.nowMs;
    for (let ms = 250; ms <= withinMs; ms += 250) {
      this.time.run(startMs + ms);
      if (this.disagreement() === undefined) return this.time.nowMs - startMs;
    }
    this.#violate(`no agreement ${withinMs} ms after ${why}: ${this.disagreement()}`);
    return Infinity;
  }

  /** Bytes and datagrams sent by all nodes so far, exchanges of the full state among them. */
  traffic() {
    let datagrams = 0;
    let bytes = this.exchangeBytes;
    for (const { swim } of this.nodes.values()) {
      datagrams += swim.counts.datagramsSent;
      bytes += swim.counts.bytesSent;
    }
    return { datagrams, bytes };
  }

  // ── The network ──

  #carry(from, datagram) {
    if (this.random.next() < this.network.loss) return;
    this.time.after(this.#delay(), () => this.#deliver(from, datagram));
    if (this.random.next() < this.network.doubling) {
      this.time.after(this.#delay(), () => this.#deliver(from, datagram));
    }
  }

  #delay() {
    return this.network.delayLeastMs + this.random.exponential(this.network.delayMeanMs);
  }

  /** Refusals come for pings alone, as from real sockets: only those go through one that is connected. */
  #deliver(from, { address, bytes, isPing }) {
    const to = this.#hosts.get(address);
    if (to === undefined || to.group !== from.group) return;
    if (to.isRunning) {
      this.#input(to, (nowMs) => to.swim.onDatagram(bytes, from.address, nowMs));
    } else if (isPing && to.hostIsUp && this.random.next() >= this.network.loss) {
      this.time.after(this.#delay(), () => {
        this.refusals++;
        this.#input(from, (nowMs) => from.swim.onRefused(address, nowMs));
      });
    }
  }

  /** A request over the transport, which loses nothing while both are there. */
  #exchange(from, to, onAnswer = () => {}) {
    const reach = () => from.isRunning && to.isRunning && from.group === to.group;
    const question = from.swim.fullState();
    this.time.after(2 * this.#delay(), () => {
      if (!reach()) return;
      this.exchangeBytes += question.byteLength;
      this.#input(to, (nowMs) => {
        const effects = to.swim.mergeFullState(question, nowMs);
        const answer = to.swim.fullState();
        this.time.after(2 * this.#delay(), () => {
          if (!reach()) return;
          this.exchangeBytes += answer.byteLength;
          this.#input(from, (answeredMs) => {
            onAnswer();
            return from.swim.mergeFullState(answer, answeredMs);
          });
        });
        return effects;
      });
    });
  }

  #join(node, seed) {
    if (!node.isRunning || node.isMember) return;
    this.#exchange(node, seed, () => {
      node.isMember = true;
    });
    const others = this.running();
    const next = others.length === 0 ? seed : this.random.pick(others);
    this.time.after(joinRetryMs, () => this.#join(node, next));
  }

  // ── The processes ──

  #input(node, tell) {
    if (!node.isRunning) return;
    if (this.isStalled(node)) {
      if (node.inbox.length < inboxLengthMax) node.inbox.push(tell);
      return;
    }
    this.#apply(node, tell(this.time.nowMs));
  }

  /** As libuv does it: timers first, then what has arrived. */
  #resume(node) {
    if (!node.isRunning || this.isStalled(node)) return;
    const { nowMs } = this.time;
    if (nowMs >= node.wakeAtMs) this.#apply(node, node.swim.onWake(nowMs));
    for (const tell of node.inbox.splice(0)) this.#apply(node, tell(nowMs));
    this.#setTimer(node);
  }

  #apply(node, { sends, events, exchanges, wakeAtMs }) {
    for (const datagram of sends) this.#carry(node, datagram);
    for (const event of events) this.#note(node, event);
    for (const member of exchanges) {
      const to = this.#hosts.get(member.address);
      if (to !== undefined) this.#exchange(node, to);
    }
    node.wakeAtMs = wakeAtMs;
    this.#setTimer(node);
  }

  /** One that is set too early stays, and is set anew when it fires: most wake-ups are put off again and again. */
  #setTimer(node) {
    const { wakeAtMs } = node;
    if (wakeAtMs >= node.timerAtMs || wakeAtMs === Infinity) return;
    node.timerAtMs = wakeAtMs;
    this.time.at(wakeAtMs, () => this.#onTimer(node, wakeAtMs));
  }

  #onTimer(node, timerAtMs) {
    if (timerAtMs !== node.timerAtMs) return; // A shorter one has taken its place.
    node.timerAtMs = Infinity;
    if (!node.isRunning || this.isStalled(node)) return;
    if (this.time.nowMs < node.wakeAtMs) this.#setTimer(node);
    else this.#apply(node, node.swim.onWake(this.time.nowMs));
  }

  // ── The rules ──

  #note(observer, event) {
    const { nowMs } = this.time;
    if (this.keepEvents) this.events.push({ atMs: nowMs, observerId: observer.nodeId, ...event });
    if (event.kind === 'gone') {
      observer.isRunning = false;
      observer.hostIsUp = true;
    }
    if (event.kind === 'duplicate' && event.isOurs) observer.isRunning = false;
    if (event.member === undefined) return;
    const { kind, member } = event;
    this.#checkIncarnation(observer, member);
    if (kind === 'suspect') observer.suspectedSince.set(member.nodeId, nowMs);
    else if (kind !== 'update') observer.suspectedSince.delete(member.nodeId);
    if (kind === 'fail') this.#checkDeath(observer, member);
    for (const watch of this.#watches) {
      if (watch.kind !== kind || watch.nodeId !== member.nodeId) continue;
      watch.missing.delete(observer);
      if (watch.missing.size === 0) watch.onDone(nowMs);
    }
    this.#watches = this.#watches.filter(({ missing }) => missing.size > 0);
  }

  /** What a node has learned of an instance never gets older. */
  #checkIncarnation(observer, { nodeId, instanceId, incarnation }) {
    const key = `${nodeId}/${instanceId}`;
    const known = observer.knownIncarnations.get(key) ?? -1;
    if (incarnation < known) {
      this.#violate(`${observer.nodeId} went back from incarnation ${known} of ${nodeId}`);
    }
    observer.knownIncarnations.set(key, incarnation);
  }

  #checkDeath(observer, { nodeId, instanceId }) {
    const node = this.nodes.get(nodeId);
    const isLiving = node?.isRunning && node.swim.self.instanceId === instanceId;
    if (!isLiving || node.swim.self.state === 'left') return;
    this.falseDeaths.push({
      atMs: this.time.nowMs,
      nodeId,
      observerId: observer.nodeId,
      wasStalled: this.time.nowMs < node.stalledUntilMs + stallAfterglowMs,
    });
  }

  /** No suspicion outlives the longest that the parameters allow. */
  checkSuspicions(longestMs) {
    for (const observer of this.running()) {
      for (const [nodeId, sinceMs] of observer.suspectedSince) {
        if (this.time.nowMs - sinceMs > longestMs) {
          this.#violate(`${observer.nodeId} has suspected ${nodeId} for more than ${longestMs} ms`);
        }
      }
    }
  }

  expectNoFalseDeath() {
    for (const { nodeId, observerId, atMs } of this.falseDeaths) {
      this.#violate(`${observerId} buried ${nodeId} alive at ${atMs.toFixed(0)} ms`);
    }
  }

  expect(isTrue, sentence) {
    if (!isTrue) this.#violate(sentence);
  }

  #violate(sentence) {
    this.violations.push(sentence);
  }
}
