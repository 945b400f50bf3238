import { debuglog } from 'node:util';
import type { Env } from '../base/env.js';
import { toError } from '../base/errors.js';
import { pause } from '../base/pause.js';
import {
  decodeMemberView,
  encodeRevision,
  memberWatchMethod,
  type NetMember,
  watchMsMax,
} from '../cluster/membership/member-list.js';
import type { NodeLink } from '../cluster/transfer/node-link.js';

export interface FollowerHost {
  /** Nodes that are there and may be asked who else is. */
  links(): readonly NodeLink[];
  /** Who is in the net; asked each second as long as there is no link. */
  search(signal: AbortSignal): Promise<readonly NetMember[]>;
  /** Hears what a member knows, at least as often as that changes. */
  onMembers(members: readonly NetMember[]): void;
}

/** A node that answers a watch takes `watchMsMax` when there is no news. Together well below a suspicion, which is to be heard of. */
const answerMsMax = watchMsMax + 2_000;
/** Every so many answers the list comes though there is no news: load figures are none. */
const answersPerList = 10;
/** Before all are asked anew when none of them answered, and after an answer that brought nothing new before its time. */
const pauseMs = 1_000;
/** Between two answers with news: when many nodes come at once, they come in a few lists. */
const restMs = 200;

const log = debuglog('paipainet');

/**
 * Hears of changes in a net as a client: asks one of its nodes, any one, and another when that is gone. The view of that node is as good as
 * the gossip, so what a client hears may be some hundred milliseconds old.
 */
export class MemberFollower {
  readonly #env: Env;
  readonly #host: FollowerHost;
  readonly #stop = new AbortController();

  constructor(env: Env, host: FollowerHost) {
    this.#env = env;
    this.#host = host;
    void this.#run();
  }

  stop(): void {
    this.#stop.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    // Not asked again while there is another: one that stands still would keep the news of just that from us.
    const silent = new Set<string>();
    while (!signal.aborted) {
      const link = this.#choose(silent);
      try {
        if (link === undefined) this.#host.onMembers(await this.#host.search(signal));
        else await this.#follow(link);
      } catch (thrown) {
        // Who goes away is heard of by its session.
        log('following the net: %s', toError(thrown).message);
      }
      if (link !== undefined) silent.add(link.nodeId);
      if (this.#choose(silent) !== undefined) continue;
      silent.clear();
      await pause(this.#env.timers, pauseMs, signal);
    }
  }

  #choose(silent: ReadonlySet<string>): NodeLink | undefined {
    const links = this.#host.links().filter(({ nodeId }) => !silent.has(nodeId));
    return links[Math.floor(this.#env.random.next() * links.length)];
  }

  /** Until the node fails to answer. */
  async #follow({ peer }: NodeLink): Promise<void> {
    const { signal } = this.#stop;
    let known = 0;
    for (let count = 0; ; count++) {
      const askedMs = this.#env.clock.nowMs();
      const revisionKnown = count % answersPerList === 0 ? 0 : known;
      const answer = await peer.request(memberWatchMethod, encodeRevision(revisionKnown), {
        deadlineMs: answerMsMax,
        signal,
      });
      const { revision, members } = decodeMemberView(answer);
      if (signal.aborted) return;
      const isEarly = this.#env.clock.nowMs() - askedMs < pauseMs;
      // A node with too many watches does not let one wait.
      const waitMs = revision === known && isEarly ? pauseMs : restMs;
      known = revision;
      if (members !== undefined) this.#host.onMembers(members);
      await pause(this.#env.timers, waitMs, signal);
    }
  }
}
