import type { Env, Timer } from '../base/env.js';
import { isPaipaiError } from '../base/errors.js';
import type { Decisions } from './decisions.js';
import { inDoubtListMax } from './limits.js';
import {
  decodeInDoubt,
  encodeFinish,
  finishMethod,
  type InDoubt,
  inDoubtMethod,
  type Outcome,
} from './messages.js';
import type { RecordNodes } from './record-nodes.js';

export interface SettlerOptions {
  readonly env: Pick<Env, 'timers'>;
  readonly decisions: Decisions;
  readonly nodes: RecordNodes;
  /** Names of those that keep records, as far as it is known. */
  readonly names: () => readonly string[];
}

/** A transaction of this process: `active` until it is decided. */
type Own =
  | { readonly kind: 'active' | 'unknown' }
  /** `left`: nodes that have not confirmed it. */
  | { readonly kind: 'committed'; readonly left: Set<string> };

/** Between two looks at what is in doubt. */
const lookMs = 1_000;
/** What is younger is most likely under way. */
const youngMs = 500;
/** So many looks apart it is also looked for commits that nobody needs any more. */
const looksPerCleaning = 600;
/** For one question to a node. */
const answerMs = 2_000;

/**
 * Sees to it that nodes hear what has become of transactions: of those of this process, and of those whose process is gone, which every client
 * settles that meets them or looks for them.
 */
export class Settler {
  readonly #options: SettlerOptions;
  readonly #own = new Map<string, Own>();
  /** What is being told; none of them rejects. */
  readonly #telling = new Set<Promise<unknown>>();
  #timer: Timer | undefined;
  #isClosed = false;
  #looks = 0;

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  /** Before any node prepares it. */
  begin(id: string): void {
    this.#own.set(id, { kind: 'active' });
  }

  /** None of the nodes will follow it. They hear of it in the background. */
  abort(id: string, names: readonly string[]): void {
    this.#own.delete(id);
    for (const name of names) void this.#tell(name, id, 'aborted');
  }

  /** It may be committed, and whoever began it asks for that later. */
  doubt(id: string): void {
    this.#own.set(id, { kind: 'unknown' });
  }

  /** It counts. Settles when the nodes have followed it, or cannot be told now. */
  async commit(id: string, names: readonly string[]): Promise<void> {
    this.#own.set(id, { kind: 'committed', left: new Set(names) });
    await Promise.all(names.map((name) => this.#tell(name, id, 'committed')));
  }

  /**
   * Has the node follow the transaction that holds records there, if it is decided; whether it is.
   * Fails as `Coordinator.get`, and as `RecordNodes.ask`.
   */
  async settle(name: string, id: string): Promise<boolean> {
    const outcome = await this.#outcomeOf(id);
    if (outcome === 'unknown') return false;
    await this.#ask(name, finishMethod, encodeFinish(id, outcome));
    return true;
  }

  /** What is in doubt on the node. Fails as `RecordNodes.ask`. */
  async inDoubt(name: string): Promise<InDoubt[]> {
    return decodeInDoubt(await this.#ask(name, inDoubtMethod, new Uint8Array(0)));
  }

  /** Looks from now on, again and again, for what is in doubt. Idempotent. */
  start(): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    this.#timer = this.#options.env.timers.after(lookMs, () => void this.#look());
  }

  /** After what is being told. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await Promise.all(this.#telling);
  }

  /** It never rejects. */
  async #look(): Promise<void> {
    await Promise.all(this.#options.names().map((name) => this.#lookAt(name)));
    if (this.#looks++ % looksPerCleaning === 0) await this.#clean();
    this.#timer = undefined;
    this.start();
  }

  /** It never rejects: what it does not do now it does later. */
  async #lookAt(name: string): Promise<void> {
    try {
      for (const [id, own] of this.#own) {
        if (own.kind === 'committed' && own.left.has(name)) await this.#tell(name, id, own.kind);
      }
      for (const { id, forMs } of await this.inDoubt(name)) {
        if (forMs > youngMs) await this.settle(name, id);
      }
    } catch (thrown) {
      if (!isPaipaiError(thrown)) throw thrown;
    }
  }

  /** It never rejects. A commit is needed as long as a node is in doubt about it, and one that cannot be asked may be. */
  async #clean(): Promise<void> {
    const { decisions, names } = this.#options;
    try {
      const left = await decisions.left();
      if (left.length === 0) return;
      const lists = await Promise.all(names().map((name) => this.inDoubt(name)));
      if (lists.some(({ length }) => length >= inDoubtListMax)) return;
      const needed = new Set(lists.flat().map(({ id }) => id));
      decisions.forget(left.filter((id) => !needed.has(id)));
    } catch (thrown) {
      if (!isPaipaiError(thrown)) throw thrown;
    }
  }

  async #outcomeOf(id: string): Promise<Outcome | 'unknown'> {
    const { decisions } = this.#options;
    const own = this.#own.get(id);
    if (own?.kind === 'active') return 'unknown';
    if (own?.kind === 'committed') return 'committed';
    // A preparation that came late: nobody waits for it any more.
    if (own === undefined && decisions.isOwn(id)) return 'aborted';
    return decisions.outcomeOf(id, { deadlineMs: answerMs });
  }

  #tell(name: string, id: string, outcome: Outcome): Promise<void> {
    const telling = this.#ask(name, finishMethod, encodeFinish(id, outcome)).then(
      () => this.#followed(name, id),
      () => {}, // It is in doubt there, and found when somebody looks.
    );
    this.#telling.add(telling);
    return telling.finally(() => this.#telling.delete(telling));
  }

  #followed(name: string, id: string): void {
    const own = this.#own.get(id);
    if (own?.kind !== 'committed' || !own.left.delete(name) || own.left.size > 0) return;
    this.#own.delete(id);
    this.#options.decisions.forget([id]);
  }

  #ask(name: string, method: string, payload: Uint8Array): Promise<Uint8Array> {
    return this.#options.nodes.ask(name, method, payload, { deadlineMs: answerMs });
  }
}
