/**
 * How well this process itself does, from what it sees of its own probes (Lifeguard's local health multiplier). 0 is well; each
 * step makes its probes rarer and its timeouts longer by one of their base lengths, so that a slow node accuses others less readily.
 *
 *     an answered probe −1 | a failed one, each nack that did not come, a refutation of our own, a stall +1
 */
export class LocalHealth {
  readonly #scoreMax: number;
  #score = 0;

  constructor(scoreMax: number) {
    this.#scoreMax = scoreMax;
  }

  /** 0 to `scoreMax`. */
  get score(): number {
    return this.#score;
  }

  get isWatched(): boolean {
    return this.#scoreMax > 0;
  }

  note(change: number): void {
    this.#score = Math.min(this.#scoreMax, Math.max(0, this.#score + change));
  }

  /** `baseMs · (score + 1)`. */
  scale(baseMs: number): number {
    return baseMs * (this.#score + 1);
  }
}
