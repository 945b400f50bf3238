import { checkId, checkString, invalidArgument } from '../../base/check.js';
import type { Random } from '../../base/env.js';
import { DatagramKey, envelopeBytes } from './datagram-key.js';
import { Dissemination } from './dissemination.js';
import { LocalHealth } from './local-health.js';
import { claimHash, type Member, MemberTable } from './member-table.js';
import {
  decodeFullState,
  decodeMessage,
  encodeFullState,
  encodeMessage,
  encodeMessageHead,
  encodeRumour,
  type MessageKind,
  messageKinds,
  type ReceivedMessage,
  rumoursPerDatagramMax,
} from './messages.js';
import {
  checkParameters,
  type SwimParameters,
  suspicionLeast,
  transmitLimit,
} from './parameters.js';
import { compareRecords, isLiving } from './precedence.js';
import { type ProbeFields, type ProbeHost, Prober } from './prober.js';
import { type RivalHost, Rivals } from './rivals.js';
import { Suspicion } from './suspicion.js';
import {
  type Claim,
  type Effects,
  incarnationMax,
  type MemberEvent,
  type MemberRecord,
  type MembershipEvent,
  metadataBytesMax,
  type OutgoingDatagram,
  type Rumour,
  type SwimCounts,
  textBytesMax,
} from './types.js';

export interface SwimSettings {
  /** 1 to 255 bytes of UTF-8. */
  readonly nodeId: string;
  /** Where this node's datagrams are received, as the others should write it: 1 to 255 bytes. */
  readonly address: string;
  /** At most `metadataBytesMax`. */
  readonly metadata: Uint8Array;
  readonly netName: string;
  /** The secret of the net; no bytes when it has none. */
  readonly secret: Uint8Array;
  readonly parameters?: Partial<SwimParameters>;
}

/** When no change gives it a chance for so many intervals, the full state is exchanged all the same. */
const exchangeIntervalsMost = 6;

/**
 * Membership of one node (SWIM with Lifeguard) as a pure state machine: each method takes what happened and the time, and answers what to
 * do. It holds no socket, timer or clock. Times are monotonic milliseconds of one clock of the caller's; one that goes backwards is taken for
 * the latest seen.
 *
 * A node starts silent. `found` begins a net of one; to join, the caller sends `fullState()` over the transport to a member, and gives
 * `mergeFullState` what that member's `fullState()` says. The same request in both directions is how an exchange is done later.
 *
 *     onDatagram ─┐                                   ┌─► sends      datagrams, sealed
 *     onWake ─────┤   ┌──────────── Swim ─────────┐   ├─► events     join, suspect, alive, fail, leave …
 *     onRefused ──┼──►│ table, rumours, probe,    │──►┤
 *     leave … ────┤   │ suspicions, local health  │   ├─► exchanges  full state over the transport
 *     merge… ─────┘   └───────────────────────────┘   └─► wakeAtMs
 */
export class Swim {
  readonly counts: SwimCounts = {
    datagramsSent: 0,
    bytesSent: 0,
    datagramsReceived: 0,
    bytesReceived: 0,
    probes: 0,
    probesFailed: 0,
    refutations: 0,
    stalls: 0,
    ignored: {
      tooLarge: 0,
      malformed: 0,
      version: 0,
      netName: 0,
      key: 0,
      echo: 0,
      otherTarget: 0,
      memberCap: 0,
      relayCap: 0,
    },
  };

  readonly #parameters: SwimParameters;
  readonly #random: Random;
  readonly #key: DatagramKey;
  readonly #table: MemberTable;
  readonly #rumours = new Dissemination();
  readonly #health: LocalHealth;
  readonly #prober: Prober;
  readonly #rivals: Rivals;
  #self: MemberRecord;
  #phase: 'silent' | 'member' | 'leaving' | 'gone' = 'silent';

  #nowMs = -Infinity;
  #wakeAtMs = Infinity;
  #gossipedMs = -Infinity;
  #changedMs = -Infinity;
  #exchangedMs = -Infinity;
  #reconnectMs = Infinity;
  #goneMs = Infinity;

  #sends: OutgoingDatagram[] = [];
  #events: MembershipEvent[] = [];
  #exchanges: MemberRecord[] = [];

  /** @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT when a setting is out of its range. */
  constructor(settings: SwimSettings, random: Random) {
    this.#parameters = checkParameters(settings.parameters ?? {});
    this.#random = random;
    this.#key = new DatagramKey(settings.netName, settings.secret);
    this.#table = new MemberTable(random, this.#parameters.memberCountMax);
    this.#health = new LocalHealth(this.#parameters.healthScoreMax);
    this.#self = {
      nodeId: checkId('nodeId', settings.nodeId),
      instanceId: randomInstanceId(random),
      incarnation: 0,
      state: 'alive',
      address: checkString('address', settings.address, textBytesMax),
      metadata: checkMetadata(settings.metadata),
    };
    this.#prober = new Prober(this.#probeHost(), random);
    this.#rivals = new Rivals(this.#rivalHost());
  }

  /** This node as it announces itself; not among `members`. */
  get self(): MemberRecord {
    return this.#self;
  }

  /** It has announced itself, and has not said goodbye. */
  get isMember(): boolean {
    return this.#phase === 'member';
  }

  /** 0 is well, `healthScoreMax` as bad as it gets. */
  get healthScore(): number {
    return this.#health.score;
  }

  /** All others that are remembered, the dead included; a snapshot. */
  members(): MemberRecord[] {
    return [...this.#table.all()].map(({ record }) => record);
  }

  /** Begins a net with this node alone. */
  found(nowMs: number): Effects {
    return this.#turn(nowMs, () => {
      if (this.#phase === 'silent') this.#announce();
    });
  }

  /** Takes a datagram that came from `from`. Whatever its bytes are, nothing is thrown: what is wrong is counted in `counts.ignored`. */
  onDatagram(bytes: Uint8Array, from: string, nowMs: number): Effects {
    return this.#turn(nowMs, () => {
      const message = this.#open(bytes);
      if (message !== undefined) this.#receive(message, from);
    });
  }

  /** To be called at `wakeAtMs`; earlier or later does no harm. */
  onWake(nowMs: number): Effects {
    return this.#turn(nowMs, () => {});
  }

  /**
   * The system says that nobody listens at the `address` of a member: ECONNREFUSED of a connected datagram socket, or of the transport. It
   * is optional, and makes the difference between burying a process that ended in about a second and in about `suspicionLeastMs`.
   */
  onRefused(address: string, nowMs: number): Effects {
    return this.#turn(nowMs, () => {
      this.#rivals.onRefused(address);
      if (this.#phase === 'member') this.#prober.onRefused(address);
    });
  }

  /**
   * Tells the others something new about this node.
   * @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT when `metadata` is longer than `metadataBytesMax`.
   */
  updateMetadata(metadata: Uint8Array, nowMs: number): Effects {
    const checked = checkMetadata(metadata);
    return this.#turn(nowMs, () => {
      this.#self = { ...this.#self, metadata: checked };
      if (this.#phase === 'member') this.#raise(this.#self.incarnation);
    });
  }

  /** Says goodbye for `leaveMs`, then reports `gone`. It answers probes till then, and probes nobody. */
  leave(nowMs: number): Effects {
    return this.#turn(nowMs, () => {
      if (this.#phase === 'gone' || this.#phase === 'leaving') return;
      const wasMember = this.#phase === 'member';
      this.#phase = 'leaving';
      this.#prober.stop();
      this.#self = { ...this.#self, state: 'left' };
      this.#goneMs = this.#nowMs + (wasMember ? this.#parameters.leaveMs : 0);
      this.#rumours.add(this.#self.nodeId, encodeRumour({ ...this.#self, fromId: '' }));
    });
  }

  /** All that this node knows, for a member that asks or is asked; it leaves itself out as long as it is silent. */
  fullState(): Uint8Array {
    const others = this.members();
    const self = this.#phase === 'silent' ? [] : [this.#self];
    const living = others.filter(({ state }) => isLiving(state));
    const dead = others.filter(({ state }) => !isLiving(state));
    const records = [...self, ...living, ...dead].slice(0, this.#recordCountMax);
    return encodeFullState(this.#key, records);
  }

  /**
   * Takes over what the `fullState` of another member says. The first one makes this node a member, unless another node holds its id.
   * @throws PaipaiError PAIPAI_ERR_PROTOCOL, PAIPAI_ERR_VERSION_MISMATCH, PAIPAI_ERR_NET_NAME; nothing has changed then.
   */
  mergeFullState(bytes: Uint8Array, nowMs: number): Effects {
    const records = decodeFullState(this.#key, bytes, this.#recordCountMax);
    return this.#turn(nowMs, () => {
      for (const record of records) {
        if (this.#isDoubtful(record)) this.#hearOfDeath(record);
        else this.#hear({ ...record, fromId: '' });
      }
      if (this.#phase === 'silent' && !this.#rivals.isContested) this.#announce();
    });
  }

  get #recordCountMax(): number {
    return this.#parameters.memberCountMax + 1;
  }

  get #livingCount(): number {
    return this.#table.livingCount + 1;
  }

  get #digest(): number {
    return (this.#table.digest ^ claimHash(this.#self)) >>> 0;
  }

  // ── A turn: one input, then whatever is due ──

  #turn(nowMs: number, work: () => void): Effects {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
    if (this.#phase !== 'gone') {
      this.#pardonStall();
      work();
      this.#runDue();
    }
    this.#wakeAtMs = this.#nextDueMs();
    const effects = {
      sends: this.#sends,
      events: this.#events,
      exchanges: this.#exchanges,
      wakeAtMs: this.#wakeAtMs,
    };
    this.#sends = [];
    this.#events = [];
    this.#exchanges = [];
    return effects;
  }

  /**
   * A wake-up that is late says that this process stood still, and that what came meanwhile lies unread. All deadlines move by
   * that time: nobody is accused, and no suspicion runs out, because we did not listen.
   */
  #pardonStall(): void {
    const lateMs = this.#nowMs - this.#wakeAtMs;
    if (!this.#health.isWatched || lateMs < this.#parameters.stallNoticeMs) return;
    this.counts.stalls++;
    this.#health.note(1);
    this.#prober.postpone(lateMs);
    for (const { suspicion } of this.#table.suspects()) suspicion?.postpone(lateMs);
    this.#rivals.postpone(lateMs);
  }

  #runDue(): void {
    this.#rivals.runDue();
    if (this.#phase === 'member') {
      this.#prober.runDue();
      for (const member of this.#table.suspects()) this.#hold(member);
      if (this.#nowMs >= this.#reconnectMs) this.#keepHouse();
    }
    if (this.#nowMs >= this.#gossipDueMs) this.#gossip();
    if (this.#nowMs >= this.#goneMs) {
      this.#events.push({ kind: 'gone' });
      this.#retire();
    }
  }

  #nextDueMs(): number {
    if (this.#phase === 'gone') return Infinity;
    let dueMs = Math.min(this.#gossipDueMs, this.#goneMs, this.#rivals.nextDueMs);
    if (this.#phase !== 'member') return dueMs;
    dueMs = Math.min(dueMs, this.#prober.nextDueMs, this.#reconnectMs);
    const { probeIntervalMs } = this.#parameters;
    for (const { suspicion } of this.#table.suspects()) {
      if (suspicion === null) continue;
      dueMs = Math.min(dueMs, suspicion.dueMs, suspicion.questionDueMs(probeIntervalMs));
    }
    return dueMs;
  }

  /** The first rumour after a quiet time goes out at once. */
  get #gossipDueMs(): number {
    if (this.#phase === 'silent' || this.#rumours.count === 0) return Infinity;
    if (this.#table.livingCount === 0) return Infinity;
    return this.#gossipedMs + this.#parameters.gossipIntervalMs;
  }

  #gossip(): void {
    this.#gossipedMs = this.#nowMs;
    for (const receiver of this.#table.someLiving(this.#parameters.gossipFanout)) {
      if (this.#rumours.count === 0) return;
      this.#send('gossip', receiver.record.address, { sequence: 0, receiver });
    }
  }

  /** Forgets the long dead, and now and then looks whether one of the others has come back beyond a split. */
  #keepHouse(): void {
    const { reconnectIntervalMs, deadKeptMs } = this.#parameters;
    this.#reconnectMs = this.#nowMs + reconnectIntervalMs;
    this.#table.forgetDead(this.#nowMs - deadKeptMs);
    // One dead member among many is then looked up about twice an interval by the whole net, not by each node; among two, by each.
    if (this.#random.next() * this.#livingCount >= 2 * this.#table.deadCount) return;
    const dead = this.#table.someDead();
    if (dead !== undefined) this.#exchanges.push(dead);
  }

  // ── Datagrams ──

  #open(bytes: Uint8Array): ReceivedMessage | undefined {
    const { ignored } = this.counts;
    this.counts.datagramsReceived++;
    this.counts.bytesReceived += bytes.byteLength;
    if (bytes.byteLength > this.#parameters.datagramBytesMax) {
      ignored.tooLarge++;
      return undefined;
    }
    const opened = this.#key.open(bytes);
    if ('ignored' in opened) {
      ignored[opened.ignored]++;
      return undefined;
    }
    const message = decodeMessage(opened.kind, opened.body);
    if (message === undefined) ignored.malformed++;
    return message;
  }

  #receive(message: ReceivedMessage, from: string): void {
    const { sender } = message;
    if (sender.nodeId === this.#self.nodeId) {
      if (sender.instanceId === this.#self.instanceId) this.counts.ignored.echo++;
      else this.#rivals.meet(message, from);
      return;
    }
    if (this.#phase === 'silent') return;
    for (const rumour of message.rumours) this.#hear(rumour);
    const member = this.#table.get(sender.nodeId);
    if (member !== undefined) this.#rivals.compare(member, sender);
    switch (message.kind) {
      case 'ping':
        if (message.targetId !== this.#self.nodeId) this.counts.ignored.otherTarget++;
        else this.#send('ack', from, { sequence: message.sequence, receiver: member });
        break;
      case 'pingRequest':
        if (this.#phase === 'member') this.#prober.onPingRequest(message, from);
        break;
      case 'ack':
        this.#prober.onAck(message);
        break;
      case 'nack':
      case 'refusal':
        this.#prober.onNack(message);
        break;
      case 'gossip':
        break;
    }
    if (member !== undefined && message.digest !== this.#digest) this.#considerExchange(member);
  }

  /** Rumours mend most differences by themselves; what is left when they have died down needs the full state. */
  #considerExchange({ record }: Member): void {
    const { exchangeQuietMs, exchangeIntervalMs } = this.#parameters;
    if (this.#phase !== 'member' || !isLiving(record.state)) return;
    const sinceMs = this.#nowMs - this.#exchangedMs;
    const isQuiet = this.#rumours.count === 0 && this.#nowMs - this.#changedMs >= exchangeQuietMs;
    if (sinceMs < exchangeIntervalMs * (isQuiet ? 1 : exchangeIntervalsMost)) return;
    this.#exchangedMs = this.#nowMs;
    this.#exchanges.push(record);
  }

  /**
   * A receiver that is thought ill or dead is told so before anything else: nobody can deny it sooner (Lifeguard's buddy system).
   */
  #send(kind: MessageKind, address: string, fields: ProbeFields): void {
    const head = encodeMessageHead({
      kind,
      sequence: fields.sequence,
      sender: this.#self,
      digest: this.#digest,
      targetId: fields.targetId ?? '',
      targetAddress: fields.targetAddress ?? '',
    });
    const rumours: Uint8Array[] = [];
    const accused = fields.receiver?.record;
    if (accused?.state === 'suspect' || accused?.state === 'dead') {
      rumours.push(encodeRumour({ ...accused, fromId: this.#self.nodeId }));
    }
    const bytesUsed = rumours.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const room =
      this.#parameters.datagramBytesMax - envelopeBytes - head.byteLength - 1 - bytesUsed;
    const limit = transmitLimit(this.#parameters, this.#livingCount);
    rumours.push(...this.#rumours.take(room, rumoursPerDatagramMax - rumours.length, limit));
    const bytes = this.#key.seal(messageKinds[kind], encodeMessage(head, rumours));
    this.counts.datagramsSent++;
    this.counts.bytesSent += bytes.byteLength;
    this.#sends.push({ address, bytes, isPing: kind === 'ping' });
  }

  // ── Rumours about others ──

  #hear(rumour: Rumour): void {
    if (rumour.nodeId === this.#self.nodeId) {
      this.#hearOfSelf(rumour);
      return;
    }
    const member = this.#table.get(rumour.nodeId);
    if (member === undefined) this.#hearOfStranger(rumour);
    else if (compareRecords(rumour, member.record) > 0) this.#adopt(member, rumour);
    else if (compareRecords(rumour, member.record) === 0) this.#confirm(member, rumour);
  }

  #hearOfStranger(rumour: Rumour): void {
    // Without an address a suspect can't be probed. One that is dead is noted, so that older news does not raise it.
    if (rumour.state === 'suspect' && rumour.address === '') return;
    const record = recordOf(rumour);
    if (!this.#table.add(record, this.#nowMs)) {
      this.counts.ignored.memberCap++;
      return;
    }
    if (!isLiving(record.state)) return;
    this.#emit('join', record);
    this.#spread(rumour);
    const member = this.#table.get(record.nodeId);
    if (record.state === 'suspect' && member !== undefined) this.#suspect(member, rumour);
  }

  #confirm({ record, suspicion }: Member, rumour: Rumour): void {
    if (record.state !== 'suspect' || rumour.fromId === '') return;
    if (suspicion?.confirm(rumour.fromId)) this.#spread(rumour);
  }

  /** What `rumour` says is newer than what is known of `member`. */
  #adopt(member: Member, rumour: Rumour): void {
    const known = member.record;
    const isSameInstance = known.instanceId === rumour.instanceId;
    if (rumour.state === 'suspect') {
      // Of a new instance we have no address yet; the news of its start is on the way.
      if (isSameInstance && isLiving(known.state)) this.#suspect(member, rumour);
      return;
    }
    const record = rumour.state === 'alive' ? recordOf(rumour) : withClaim(known, rumour);
    this.#table.update(member, record, null, this.#nowMs);
    this.#spread(rumour);
    this.#reportChange(known, record);
  }

  #reportChange(before: MemberRecord, after: MemberRecord): void {
    const wasLiving = isLiving(before.state);
    if (!isLiving(after.state)) {
      if (wasLiving) this.#emit(after.state === 'left' ? 'leave' : 'fail', after);
      return;
    }
    const isSameInstance = before.instanceId === after.instanceId;
    if (wasLiving && !isSameInstance) this.#emit('fail', { ...before, state: 'dead' });
    if (!wasLiving || !isSameInstance) {
      this.#emit('join', after);
      return;
    }
    if (before.state === 'suspect') this.#emit('alive', after);
    if (before.address !== after.address || !isEqual(before.metadata, after.metadata)) {
      this.#emit('update', after);
    }
  }

  /** Our own probe of `member` was not answered. */
  #accuse(member: Member): void {
    const rumour: Rumour = { ...member.record, state: 'suspect', fromId: this.#self.nodeId };
    if (member.record.state === 'suspect') this.#confirm(member, rumour);
    else this.#suspect(member, rumour);
  }

  #suspect(member: Member, rumour: Rumour): void {
    const { suspicionMaxFactor, confirmationCount } = this.#parameters;
    const leastMs = suspicionLeast(this.#parameters, this.#livingCount);
    const mostMs = leastMs * suspicionMaxFactor;
    // Beside the accuser and the accused.
    const wanted = Math.max(0, Math.min(confirmationCount, this.#livingCount - 2));
    const suspicion = new Suspicion(rumour.fromId, this.#nowMs, leastMs, mostMs, wanted);
    const wasSuspect = member.record.state === 'suspect' && member.suspicion !== null;
    const record: MemberRecord = { ...withClaim(member.record, rumour), state: 'suspect' };
    this.#table.update(member, record, suspicion, this.#nowMs);
    this.#spread(rumour);
    if (!wasSuspect) this.#emit('suspect', record);
  }

  /**
   * Buries a suspect when its time is over. Before that it is asked: it may have denied long ago, and by chance all that passed
   * that on here was lost. The question tells what it is suspected of, and the answer denies it.
   */
  #hold(member: Member): void {
    const { record, suspicion } = member;
    if (suspicion === null) return;
    if (this.#nowMs >= suspicion.dueMs) {
      this.#bury(member);
      return;
    }
    const { probeIntervalMs } = this.#parameters;
    if (this.#nowMs < suspicion.questionDueMs(probeIntervalMs)) return;
    suspicion.noteQuestion(this.#nowMs, probeIntervalMs);
    const { nodeId: targetId, address } = record;
    const sequence = this.#prober.nextSequence();
    this.#send('ping', address, { sequence, targetId, receiver: member });
  }

  #bury(member: Member): void {
    const record: MemberRecord = { ...member.record, state: 'dead' };
    this.#table.update(member, record, null, this.#nowMs);
    this.#spread({ ...record, fromId: this.#self.nodeId });
    this.#emit('fail', record);
  }

  /**
   * Beyond a split each half has buried the other, and the dead outrank the living of the same incarnation. So a death that only a full state
   * tells of is a suspicion here, which the member can deny; a short one, since somebody has waited before. Mostly it is dead, and the rumour
   * of that will not come any more: whether its port is closed is looked at next.
   */
  #hearOfDeath(record: MemberRecord): void {
    this.#hear({ ...record, state: 'suspect', fromId: '' });
    const suspicion = this.#table.get(record.nodeId)?.suspicion ?? null;
    if (suspicion === null) return; // It has denied that already.
    suspicion.hasten();
    this.#prober.hurry(record.nodeId);
  }

  #isDoubtful({ nodeId, instanceId, state }: MemberRecord): boolean {
    const known = this.#table.get(nodeId)?.record;
    return (
      state === 'dead' &&
      known !== undefined &&
      isLiving(known.state) &&
      known.instanceId === instanceId
    );
  }

  #spread(rumour: Rumour): void {
    this.#changedMs = this.#nowMs;
    // A node that joins hears of everybody at once, and has nothing to tell that others do not know.
    if (this.#phase !== 'silent') this.#rumours.add(rumour.nodeId, encodeRumour(rumour));
  }

  #emit(kind: MemberEvent['kind'], member: MemberRecord): void {
    this.#events.push({ kind, member });
  }

  // ── Rumours about this node ──

  #hearOfSelf(rumour: Rumour): void {
    const self = this.#self;
    if (rumour.instanceId !== self.instanceId) {
      this.#rivals.hear(rumour);
    } else if (this.#phase === 'member' && compareRecords(rumour, self) > 0) {
      this.counts.refutations++;
      this.#health.note(1);
      this.#raise(rumour.incarnation);
    } else if (this.#phase === 'member' && rumour.state !== 'alive') {
      // It has been denied, but not everybody has heard that.
      this.#rumours.renew(self.nodeId, encodeRumour({ ...self, fromId: '' }));
    }
  }

  /** Nobody is behind `claim` any more: the id is ours, above its incarnation. */
  #inherit(claim: Claim): void {
    this.#raise(Math.max(claim.incarnation, this.#self.incarnation));
  }

  #raise(above: number): void {
    const incarnation = Math.min(above + 1, incarnationMax);
    this.#self = { ...this.#self, incarnation };
    if (this.#phase === 'member') this.#spread({ ...this.#self, fromId: '' });
  }

  #announce(): void {
    const { probeIntervalMs, reconnectIntervalMs } = this.#parameters;
    this.#phase = 'member';
    this.#raise(this.#self.incarnation);
    // Nodes that start together do not probe in step.
    this.#prober.start(this.#nowMs + this.#random.next() * probeIntervalMs);
    this.#reconnectMs = this.#nowMs + this.#random.next() * reconnectIntervalMs;
  }

  #retire(): void {
    this.#phase = 'gone';
    this.#rivals.stop();
    this.#prober.stop();
  }

  #probeHost(): ProbeHost {
    const swim = this;
    return {
      parameters: this.#parameters,
      table: this.#table,
      health: this.#health,
      counts: this.counts,
      get nowMs() {
        return swim.#nowMs;
      },
      send: (kind, address, fields) => this.#send(kind, address, fields),
      accuse: (member) => this.#accuse(member),
      bury: (member) => this.#bury(member),
    };
  }

  #rivalHost(): RivalHost {
    const swim = this;
    return {
      parameters: this.#parameters,
      get nowMs() {
        return swim.#nowMs;
      },
      get self() {
        return swim.#self;
      },
      get isSilent() {
        return swim.#phase === 'silent';
      },
      ask: (address) => {
        const sequence = this.#prober.nextSequence();
        this.#send('ping', address, { sequence, targetId: this.#self.nodeId });
      },
      answer: (address, sequence) => this.#send('ack', address, { sequence }),
      inherit: (claim) => this.#inherit(claim),
      enter: () => this.#announce(),
      report: (event) => this.#events.push(event),
      retire: () => this.#retire(),
    };
  }
}

/** For whoever begins as a node: 0 to 2^48 - 1. */
export function randomInstanceId(random: Random): number {
  const bytes = random.bytes(6);
  return bytes.reduce((id, byte) => id * 256 + byte, 0);
}

function checkMetadata(metadata: Uint8Array): Uint8Array {
  if (metadata.byteLength <= metadataBytesMax) return new Uint8Array(metadata);
  throw invalidArgument('metadata', `at most ${metadataBytesMax} bytes`, metadata);
}

function recordOf({
  nodeId,
  instanceId,
  incarnation,
  state,
  address,
  metadata,
}: Rumour): MemberRecord {
  return { nodeId, instanceId, incarnation, state, address, metadata };
}

/** What is known of a member, with the claim and the state of a rumour that carries no more. */
function withClaim(known: MemberRecord, { instanceId, incarnation, state }: Rumour): MemberRecord {
  return { ...known, instanceId, incarnation, state };
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, at) => byte === b[at]);
}
