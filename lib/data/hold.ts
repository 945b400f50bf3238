/** Counts who still uses something, and lets go of it with the last one. */
export class Hold {
  #users = 1;
  readonly #free: () => void;

  constructor(free: () => void) {
    this.#free = free;
  }

  /** One more user; returns its release, which is idempotent. */
  share(): () => void {
    this.#users++;
    return onceOnly(() => this.release());
  }

  /** Ends the use of whoever made this. Call it once. */
  release(): void {
    this.#users--;
    if (this.#users === 0) this.#free();
  }
}

export function onceOnly(action: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    action();
  };
}

export function nothing(): void {}
