import type { NetMember } from '../cluster/membership/member-list.js';
import type { MemberEvent } from '../node/member-events.js';

type State = 'there' | 'silent' | 'gone';

const states: Readonly<Record<MemberEvent, State>> = {
  join: 'there',
  alive: 'there',
  suspect: 'silent',
  fail: 'gone',
  leave: 'gone',
};

interface Heard {
  readonly event: MemberEvent;
  readonly member: NetMember;
}

/**
 * One story of what several nodes of the same net hear, each event once: that of the first of them, and when it is gone, of the next, from where
 * the first had come. How these nodes themselves end is told by whoever runs them, and so left out here.
 */
export class NetStory {
  readonly #tell: (event: MemberEvent, member: NetMember) => void;
  /** What each observer has heard last of each node, the oldest observer first. */
  readonly #views = new Map<string, Map<string, Heard>>();
  readonly #told = new Map<string, State>();
  /** Observers that have ended. */
  readonly #ended = new Set<string>();

  constructor(observers: readonly string[], tell: (event: MemberEvent, member: NetMember) => void) {
    this.#tell = tell;
    for (const observer of observers) {
      this.#views.set(observer, new Map());
      this.#told.set(observer, 'there');
    }
  }

  hear(observer: string, event: MemberEvent, member: NetMember): void {
    const { nodeId } = member;
    // The others find out that it has ended; a new node of its name may come.
    if (this.#ended.has(nodeId) && event !== 'join') return;
    this.#ended.delete(nodeId);
    this.#views.get(observer)?.set(nodeId, { event, member });
    this.#tellNews();
  }

  end(observer: string): void {
    this.#ended.add(observer);
    this.#told.set(observer, 'gone');
    this.#views.delete(observer);
    for (const view of this.#views.values()) view.delete(observer);
    this.#tellNews();
  }

  #tellNews(): void {
    const [view] = this.#views.values();
    for (const [nodeId, { event, member }] of view ?? []) {
      const before = this.#told.get(nodeId) ?? 'gone';
      const now = states[event];
      if (now === before) continue;
      this.#told.set(nodeId, now);
      // What was never told to be silent has joined, whatever it was called in between.
      this.#tell(now === 'there' ? (before === 'silent' ? 'alive' : 'join') : event, member);
    }
  }
}
