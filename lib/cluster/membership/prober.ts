import type { Random } from '../../base/env.js';
import type { LocalHealth } from './local-health.js';
import type { Member, MemberTable } from './member-table.js';
import type { MessageKind, ReceivedMessage } from './messages.js';
import type { SwimParameters } from './parameters.js';
import { isLiving } from './precedence.js';
import type { SwimCounts } from './types.js';

/** What a probe needs of the state machine around it. */
export interface ProbeHost {
  readonly parameters: SwimParameters;
  readonly table: MemberTable;
  readonly health: LocalHealth;
  readonly counts: SwimCounts;
  readonly nowMs: number;
  send(kind: MessageKind, address: string, fields: ProbeFields): void;
  /** The member has not answered. */
  accuse(member: Member): void;
  /** The member is gone for certain. */
  bury(member: Member): void;
}

export interface ProbeFields {
  readonly sequence: number;
  readonly targetId?: string;
  readonly targetAddress?: string;
  /** Whom the datagram goes to, when that is known: it is told first what is said about it. */
  readonly receiver?: Member | undefined;
}

/** The probe of this node's turn. */
interface Probe {
  readonly sequence: number;
  readonly member: Member;
  readonly instanceId: number;
  directDueMs: number;
  isIndirect: boolean;
  helperCount: number;
  /** Helpers that have not said anything yet, by id: each is heard once, whatever is sent again. */
  readonly silentHelpers: Set<string>;
  /** Nodes that found the port closed, this one included. */
  refusalCount: number;
}

/** A probe for somebody else. */
interface Relay {
  readonly requesterAddress: string;
  readonly requesterSequence: number;
  readonly targetAddress: string;
  readonly nackDueMs: number;
  readonly endMs: number;
  isNacked: boolean;
}

/** A helper speaks up at this share of its probe's timeout, so that the requester hears it in time. */
const nackShare = 0.8;
const relayCountMax = 256;

/**
 * One probe at a time, and those that others asked for.
 *
 *     ping ──── probeTimeout ────► ping again ──────── rest of the interval ────────► verdict, next ping
 *                                  ping request ─► helper: ping ─► target
 *                                  ack or nack  ◄─ helper: ack  ◄─ target
 *
 * Both lengths grow with the score of local health. A helper that gets no answer says so: the requester then knows that its own
 * path works, and does not blame itself for the failed probe (Lifeguard's nack).
 */
export class Prober {
  readonly #host: ProbeHost;
  #probe: Probe | null = null;
  #nextProbeMs = Infinity;
  #sequence: number;
  readonly #relays = new Map<number, Relay>();
  /** Those of which there is reason to think that they are gone: they are next. */
  readonly #urgent = new Set<string>();

  constructor(host: ProbeHost, random: Random) {
    this.#host = host;
    // Somewhere, so that acks to an earlier instance of this node answer nothing.
    this.#sequence = Math.floor(random.next() * 2 ** 32);
  }

  /** The first probe is due at `firstMs`. */
  start(firstMs: number): void {
    this.#nextProbeMs = firstMs;
  }

  stop(): void {
    this.#probe = null;
    this.#nextProbeMs = Infinity;
    this.#relays.clear();
  }

  nextSequence(): number {
    this.#sequence = (this.#sequence + 1) % 2 ** 32;
    return this.#sequence;
  }

  get nextDueMs(): number {
    let dueMs = this.#nextProbeMs;
    if (this.#probe !== null && !this.#probe.isIndirect) {
      dueMs = Math.min(dueMs, this.#probe.directDueMs);
    }
    for (const relay of this.#relays.values()) {
      dueMs = Math.min(dueMs, relay.isNacked ? relay.endMs : relay.nackDueMs);
    }
    return dueMs;
  }

  /** This process stood still: answers that came meanwhile have not been read yet. */
  postpone(byMs: number): void {
    this.#nextProbeMs += byMs;
    if (this.#probe !== null) this.#probe.directDueMs += byMs;
    // The requesters have long passed their verdicts.
    this.#relays.clear();
  }

  runDue(): void {
    const { nowMs } = this.#host;
    if (this.#probe !== null && !this.#probe.isIndirect && nowMs >= this.#probe.directDueMs) {
      this.#askHelpers(this.#probe);
    }
    if (nowMs >= this.#nextProbeMs) {
      this.#judge();
      this.#probeNext();
    }
    this.#runRelays();
  }

  /** Probes a member before those whose turn it is. */
  hurry(nodeId: string): void {
    this.#urgent.add(nodeId);
  }

  onAck({ sequence }: ReceivedMessage): void {
    const relay = this.#relays.get(sequence);
    if (relay !== undefined) {
      this.#relays.delete(sequence);
      const { requesterAddress, requesterSequence } = relay;
      this.#host.send('ack', requesterAddress, { sequence: requesterSequence });
    } else if (sequence === this.#probe?.sequence) {
      this.#probe = null;
      this.#host.health.note(-1);
    }
  }

  onNack({ sender, sequence, kind }: ReceivedMessage): void {
    const probe = this.#probe;
    if (probe?.sequence !== sequence || !probe.silentHelpers.delete(sender.nodeId)) return;
    if (kind === 'refusal') this.#countRefusal(probe);
  }

  onPingRequest(message: ReceivedMessage, from: string): void {
    const host = this.#host;
    if (this.#relays.size >= relayCountMax) {
      host.counts.ignored.relayCap++;
      return;
    }
    const { probeTimeoutMs, probeIntervalMs } = host.parameters;
    const { targetId, targetAddress } = message;
    const sequence = this.nextSequence();
    this.#relays.set(sequence, {
      requesterAddress: from,
      requesterSequence: message.sequence,
      targetAddress,
      nackDueMs: host.nowMs + probeTimeoutMs * nackShare,
      endMs: host.nowMs + probeIntervalMs,
      isNacked: false,
    });
    const receiver = host.table.get(targetId);
    host.send('ping', targetAddress, { sequence, targetId, receiver });
  }

  /** The host at `address` says that nobody listens there. */
  onRefused(address: string): void {
    for (const [sequence, relay] of this.#relays) {
      if (relay.targetAddress !== address) continue;
      this.#relays.delete(sequence);
      const { requesterAddress, requesterSequence } = relay;
      this.#host.send('refusal', requesterAddress, { sequence: requesterSequence });
    }
    const probe = this.#probe;
    if (probe?.member.record.address === address) {
      // What goes to one closed port is refused each time, and still makes one witness.
      if (probe.isIndirect) return;
      this.#countRefusal(probe);
      if (this.#probe === probe) this.#askHelpers(probe);
      return;
    }
    for (const { record } of this.#host.table.all()) {
      if (record.address === address && isLiving(record.state)) this.hurry(record.nodeId);
    }
  }

  #countRefusal(probe: Probe): void {
    probe.refusalCount++;
    const { helperCount, refusalWitnesses } = this.#host.parameters;
    const others = Math.min(helperCount, this.#host.table.livingCount - 1);
    // In a net of two or three there are fewer to ask, but one pair of eyes is never enough.
    const wanted = Math.max(2, Math.min(refusalWitnesses, 1 + others));
    if (probe.refusalCount < wanted) return;
    this.#probe = null;
    if (isStill(probe)) this.#host.bury(probe.member);
  }

  #askHelpers(probe: Probe): void {
    const { parameters, table } = this.#host;
    const { nodeId, address } = probe.member.record;
    const helpers = table.someLiving(parameters.helperCount, nodeId);
    probe.isIndirect = true;
    probe.helperCount = helpers.length;
    for (const { record } of helpers) probe.silentHelpers.add(record.nodeId);
    // Once more ourselves: one more datagram, and a tenth of the false alarms at 5 % loss.
    if (probe.refusalCount === 0) this.#ping(probe);
    for (const helper of helpers) {
      this.#host.send('pingRequest', helper.record.address, {
        sequence: probe.sequence,
        targetId: nodeId,
        targetAddress: address,
        receiver: helper,
      });
    }
  }

  #judge(): void {
    const probe = this.#probe;
    this.#probe = null;
    if (probe === null || !isStill(probe)) return;
    const { counts, health } = this.#host;
    counts.probesFailed++;
    // All helpers heard nothing either: it is not us. None to ask: it may be.
    health.note(probe.helperCount === 0 ? 1 : probe.silentHelpers.size);
    this.#host.accuse(probe.member);
  }

  #probeNext(): void {
    const { parameters, health, nowMs, table, counts } = this.#host;
    this.#nextProbeMs = nowMs + health.scale(parameters.probeIntervalMs);
    const member = this.#nextUrgent() ?? table.nextToProbe();
    if (member === undefined) return;
    const sequence = this.nextSequence();
    counts.probes++;
    this.#probe = {
      sequence,
      member,
      instanceId: member.record.instanceId,
      directDueMs: nowMs + health.scale(parameters.probeTimeoutMs),
      isIndirect: false,
      helperCount: 0,
      silentHelpers: new Set(),
      refusalCount: 0,
    };
    this.#ping(this.#probe);
  }

  #ping({ sequence, member }: Probe): void {
    const { nodeId, address } = member.record;
    this.#host.send('ping', address, { sequence, targetId: nodeId, receiver: member });
  }

  #nextUrgent(): Member | undefined {
    for (const nodeId of this.#urgent) {
      this.#urgent.delete(nodeId);
      const member = this.#host.table.get(nodeId);
      if (member !== undefined && isLiving(member.record.state)) return member;
    }
    return undefined;
  }

  #runRelays(): void {
    const { nowMs } = this.#host;
    for (const [sequence, relay] of this.#relays) {
      if (nowMs >= relay.endMs) {
        this.#relays.delete(sequence);
      } else if (!relay.isNacked && nowMs >= relay.nackDueMs) {
        relay.isNacked = true;
        const { requesterAddress, requesterSequence } = relay;
        this.#host.send('nack', requesterAddress, { sequence: requesterSequence });
      }
    }
  }
}

/** Not buried, gone or restarted since the probe went out. */
function isStill({ member, instanceId }: Probe): boolean {
  return isLiving(member.record.state) && member.record.instanceId === instanceId;
}
