import type { Member } from './member-table.js';
import type { ReceivedMessage } from './messages.js';
import type { SwimParameters } from './parameters.js';
import { compareClaims, isLiving } from './precedence.js';
import type { Claim, DuplicateEvent, MemberRecord, Rumour } from './types.js';

/** What the dispute about an id needs of the state machine around it. */
export interface RivalHost {
  readonly parameters: SwimParameters;
  readonly nowMs: number;
  readonly self: MemberRecord;
  /** Not announced yet: the id is not ours. */
  readonly isSilent: boolean;
  /** Pings whoever has our id at `address`. */
  ask(address: string): void;
  answer(address: string, sequence: number): void;
  /** The id is ours, above the incarnation of `claim`. */
  inherit(claim: Claim): void;
  /** Nothing keeps a silent node silent any more. */
  enter(): void;
  report(event: DuplicateEvent): void;
  /** Somebody else keeps the id. */
  retire(): void;
}

/** Who holds our id, while it is not known whether anybody is behind the record. */
interface Contest {
  readonly record: MemberRecord;
  askDueMs: number;
  dueMs: number;
}

/**
 * Nodes that claim an id which is taken: ours, or that of a third. A node that was restarted under another address looks like a second
 * one, so who joins asks whether its predecessor still answers, and waits with its announcement until that is known.
 *
 *     the net names a living holder of our id ──► ask it ──┬─ answer ───────────────────────────► the id is its own: retire
 *                                                          └─ no answer, or closed on our host ─► the id is ours: inherit, enter
 */
export class Rivals {
  readonly #host: RivalHost;
  #contest: Contest | null = null;
  /** The last instance that was reported for claiming our id. */
  #reportedInstance = -1;

  constructor(host: RivalHost) {
    this.#host = host;
  }

  get isContested(): boolean {
    return this.#contest !== null;
  }

  get nextDueMs(): number {
    return this.#contest === null
      ? Infinity
      : Math.min(this.#contest.askDueMs, this.#contest.dueMs);
  }

  /** This process stood still, and may have missed the answer. */
  postpone(byMs: number): void {
    if (this.#contest !== null) this.#contest.dueMs += byMs;
  }

  stop(): void {
    this.#contest = null;
  }

  runDue(): void {
    const contest = this.#contest;
    const { nowMs, parameters } = this.#host;
    if (contest === null) return;
    if (nowMs >= contest.dueMs) {
      this.#win(contest);
    } else if (nowMs >= contest.askDueMs) {
      contest.askDueMs = nowMs + parameters.probeIntervalMs;
      this.#host.ask(contest.record.address);
    }
  }

  /**
   * Of this very host the system knows that nobody listens there any more; elsewhere a firewall may refuse for somebody who lives, and whoever
   * has been announced has time.
   */
  onRefused(address: string): void {
    const { self, isSilent } = this.#host;
    const isCertain = isSilent && hostOf(address) === hostOf(self.address);
    if (isCertain && this.#contest?.record.address === address) this.#win(this.#contest);
  }

  /** What the net says of another instance under our id. */
  hear(rumour: Rumour): void {
    const { self, isSilent } = this.#host;
    // An echo of who had the id before us; if somebody is there, it will hear of us and step back.
    if (!isSilent && compareClaims(rumour, self) < 0) return;
    // Two processes can't have the same address, so that one must be our predecessor.
    if (!isLiving(rumour.state) || rumour.address === self.address) this.#inherit(rumour);
    else if (rumour.address !== '') this.#dispute(rumour);
  }

  /** A datagram from another instance under our id: it lives. */
  meet({ sender, kind, sequence }: ReceivedMessage, from: string): void {
    const { self, isSilent } = this.#host;
    if (isSilent || compareClaims(self, sender) <= 0) {
      this.#host.report({ kind: 'duplicate', winner: sender, loser: self, isOurs: true });
      this.#host.retire();
      return;
    }
    if (sender.instanceId !== this.#reportedInstance) {
      this.#reportedInstance = sender.instanceId;
      this.#host.report({ kind: 'duplicate', winner: self, loser: sender, isOurs: false });
    }
    if (kind === 'ping') this.#host.answer(from, sequence);
  }

  /** Two instances speak under the id of `member`, a third node. Once for each, and not for what was on its way when one replaced the other. */
  compare(member: Member, sender: Claim): void {
    const { record, sinceMs } = member;
    const isRival =
      sender.instanceId !== record.instanceId &&
      sender.instanceId !== member.reportedRival &&
      isLiving(record.state) &&
      compareClaims(sender, record) < 0 &&
      this.#host.nowMs - sinceMs > this.#host.parameters.suspicionLeastMs;
    if (!isRival) return;
    member.reportedRival = sender.instanceId;
    this.#host.report({ kind: 'duplicate', winner: record, loser: sender, isOurs: false });
  }

  /** Asks for as long as a stall is forgiven: whoever answers keeps the id. */
  #dispute(rumour: Rumour): void {
    const contest = this.#contest;
    if (contest !== null && compareClaims(rumour, contest.record) <= 0) return;
    const { nowMs, parameters } = this.#host;
    const { fromId: _, ...record } = rumour;
    const dueMs = contest?.dueMs ?? nowMs + parameters.suspicionLeastMs;
    this.#contest = { record, askDueMs: nowMs, dueMs };
  }

  #inherit(claim: Claim): void {
    this.#contest = null;
    this.#host.inherit(claim);
  }

  #win({ record }: Contest): void {
    this.#inherit(record);
    if (this.#host.isSilent) this.#host.enter();
  }
}

/** Of an address as members write it: what stands before the port. */
function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':'));
}
