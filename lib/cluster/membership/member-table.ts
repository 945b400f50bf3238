import type { Random } from '../../base/env.js';
import { hashText } from '../placement/hash.js';
import { isLiving } from './precedence.js';
import type { Suspicion } from './suspicion.js';
import type { MemberRecord } from './types.js';

/** A record with what only this node knows. */
export interface Member {
  record: MemberRecord;
  /** When the record last changed. */
  sinceMs: number;
  /** While its state is `suspect`. */
  suspicion: Suspicion | null;
  /** The last instance that was reported for claiming the id of this one. */
  reportedRival: number;
}

/**
 * All other members, at most `countMax`: when it is full the one that has been dead for longest makes room, and without a dead one
 * there is none. It also deals out whom to probe.
 */
export class MemberTable {
  readonly #random: Random;
  readonly #countMax: number;
  readonly #members = new Map<string, Member>();
  /** Ids of the living in the order of probing, for one round. */
  #round: string[] = [];
  #roundAt = 0;
  #livingCount = 0;
  #suspectCount = 0;
  #digest = 0;

  constructor(random: Random, countMax: number) {
    this.#random = random;
    this.#countMax = countMax;
  }

  /** Those that are alive or suspect. */
  get livingCount(): number {
    return this.#livingCount;
  }

  get deadCount(): number {
    return this.#members.size - this.#livingCount;
  }

  /** XOR of a hash of each living member's claim: equal tables have equal digests, and a change costs one hash. */
  get digest(): number {
    return this.#digest;
  }

  get(nodeId: string): Member | undefined {
    return this.#members.get(nodeId);
  }

  all(): IterableIterator<Member> {
    return this.#members.values();
  }

  suspects(): Member[] {
    if (this.#suspectCount === 0) return [];
    return [...this.#members.values()].filter(({ suspicion }) => suspicion !== null);
  }

  /** False when there is no room. */
  add(record: MemberRecord, nowMs: number): boolean {
    if (this.#members.size >= this.#countMax && !this.#forgetOldest()) return false;
    const member: Member = { record, sinceMs: nowMs, suspicion: null, reportedRival: -1 };
    this.#members.set(record.nodeId, member);
    if (isLiving(record.state)) this.#enter(record);
    return true;
  }

  update(member: Member, record: MemberRecord, suspicion: Suspicion | null, nowMs: number): void {
    if (isLiving(member.record.state)) this.#leave(member.record, isLiving(record.state));
    if (isLiving(record.state)) this.#enter(record, isLiving(member.record.state));
    if ((member.suspicion === null) !== (suspicion === null)) {
      this.#suspectCount += suspicion === null ? -1 : 1;
    }
    member.record = record;
    member.sinceMs = nowMs;
    member.suspicion = suspicion;
  }

  /** Drops the dead that have been so since before `untilMs`. */
  forgetDead(untilMs: number): void {
    for (const [nodeId, { record, sinceMs }] of this.#members) {
      if (!isLiving(record.state) && sinceMs < untilMs) this.#members.delete(nodeId);
    }
  }

  /**
   * The next member to probe: everybody once a round, in an order that is drawn anew for each round. So the time to the first probe
   * of a dead member is bounded, and nobody is probed by all others at once (SWIM, section 4.3).
   */
  nextToProbe(): Member | undefined {
    for (let tries = this.#round.length + this.#livingCount; tries >= 0; tries--) {
      if (this.#roundAt >= this.#round.length) {
        this.#round = this.#shuffled([...this.#livingIds()]);
        this.#roundAt = 0;
        if (this.#round.length === 0) return undefined;
      }
      const member = this.#members.get(this.#round[this.#roundAt++] as string); // Below the length.
      if (member !== undefined && isLiving(member.record.state)) return member;
    }
    return undefined;
  }

  /** At most `count` different living members, by chance, `exceptId` left out. */
  someLiving(count: number, exceptId = ''): Member[] {
    const chosen = new Set<Member>();
    const candidates = this.#round;
    // Drawing from the round costs as many draws as members are wanted, not as there are; the few tries it wastes stand no comparison.
    for (
      let tries = count * 4;
      tries > 0 && chosen.size < count && candidates.length > 0;
      tries--
    ) {
      const id = candidates[Math.floor(this.#random.next() * candidates.length)] as string;
      const member = this.#members.get(id);
      if (member === undefined || id === exceptId || !isLiving(member.record.state)) continue;
      chosen.add(member);
    }
    return [...chosen];
  }

  /** One that failed and may still be there on the other side of a split, by chance. */
  someDead(): MemberRecord | undefined {
    const dead = [...this.#members.values()].filter(
      ({ record }) => record.state === 'dead' && record.address !== '',
    );
    return dead[Math.floor(this.#random.next() * dead.length)]?.record;
  }

  *#livingIds(): Iterable<string> {
    for (const [nodeId, { record }] of this.#members) if (isLiving(record.state)) yield nodeId;
  }

  #enter(record: MemberRecord, wasLiving = false): void {
    this.#digest = (this.#digest ^ claimHash(record)) >>> 0;
    if (wasLiving) return;
    this.#livingCount++;
    // Somewhere in what is left of the round, so that newcomers are not probed by all in the same moment.
    const left = this.#round.length - this.#roundAt;
    const at = this.#roundAt + Math.floor(this.#random.next() * (left + 1));
    this.#round.splice(at, 0, record.nodeId);
  }

  #leave(record: MemberRecord, isLivingStill: boolean): void {
    this.#digest = (this.#digest ^ claimHash(record)) >>> 0;
    if (!isLivingStill) this.#livingCount--;
  }

  #forgetOldest(): boolean {
    let oldest: Member | undefined;
    for (const member of this.#members.values()) {
      if (isLiving(member.record.state)) continue;
      if (oldest === undefined || member.sinceMs < oldest.sinceMs) oldest = member;
    }
    return oldest !== undefined && this.#members.delete(oldest.record.nodeId);
  }

  #shuffled(ids: string[]): string[] {
    for (let last = ids.length - 1; last > 0; last--) {
      const other = Math.floor(this.#random.next() * (last + 1));
      // Both below the length.
      [ids[last], ids[other]] = [ids[other] as string, ids[last] as string];
    }
    return ids;
  }
}

/** The hash of one living member in the digest; its state is left out, because suspicion comes and goes without being news for long. */
export function claimHash({ nodeId, instanceId, incarnation }: MemberRecord): number {
  return hashText(`${incarnation}/${instanceId}/${nodeId}`).low;
}
