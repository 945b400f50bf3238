const questionCountMax = 2;

/**
 * One member under suspicion. The first accuser alone may be the one that is ill, so a suspicion starts long, and each further
 * accuser, up to `wanted` of them, shortens it (Lifeguard's dynamic suspicion):
 *
 *     timeout(C) = max(least, most − (most − least) · log(C + 1) / log(wanted + 1))
 *
 * with C the accusers beside the first. Lengths are in milliseconds from `startMs`.
 */
export class Suspicion {
  readonly #accusers: Set<string>;
  readonly #leastMs: number;
  readonly #mostMs: number;
  readonly #wanted: number;
  #startMs: number;
  #isHastened = false;
  #questionCount = 0;

  constructor(fromId: string, startMs: number, leastMs: number, mostMs: number, wanted: number) {
    this.#accusers = new Set([fromId]);
    this.#startMs = startMs;
    this.#leastMs = leastMs;
    this.#mostMs = mostMs;
    this.#wanted = wanted;
  }

  /** When the member is to be buried. */
  get dueMs(): number {
    return this.#startMs + this.#lengthMs();
  }

  /** When the member itself is to be asked, one and two of these intervals before it is buried; Infinity when it was. */
  questionDueMs(intervalMs: number): number {
    const left = questionCountMax - this.#questionCount;
    return left === 0 ? Infinity : this.dueMs - left * intervalMs;
  }

  /** It was asked. What is overdue by then counts as asked too. */
  noteQuestion(nowMs: number, intervalMs: number): void {
    do this.#questionCount++;
    while (this.questionDueMs(intervalMs) <= nowMs);
  }

  /** True for a new accuser that still counts; such news is worth passing on. */
  confirm(fromId: string): boolean {
    if (this.#accusers.size > this.#wanted || this.#accusers.has(fromId)) return false;
    this.#accusers.add(fromId);
    return true;
  }

  /** As if confirmed by all who are wanted. */
  hasten(): void {
    this.#isHastened = true;
  }

  /** Leaves out time in which nobody here could have heard a refutation. */
  postpone(byMs: number): void {
    this.#startMs += byMs;
  }

  #lengthMs(): number {
    if (this.#isHastened || this.#accusers.size > this.#wanted) return this.#leastMs;
    const progress = Math.log(this.#accusers.size) / Math.log(this.#wanted + 1);
    return Math.max(this.#leastMs, this.#mostMs - (this.#mostMs - this.#leastMs) * progress);
  }
}
