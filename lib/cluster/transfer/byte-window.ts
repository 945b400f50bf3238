/** Bounds what is under way: bytes, and how many pieces they are. One piece larger than the window goes alone. */
export class ByteWindow {
  readonly #bytesMax: number;
  readonly #countMax: number;
  readonly #waiters: { readonly bytes: number; readonly admit: () => void }[] = [];
  #bytes = 0;
  #count = 0;

  constructor(bytesMax: number, countMax: number) {
    this.#bytesMax = bytesMax;
    this.#countMax = countMax;
  }

  /** Takes room, unless there is too little or others wait for it. */
  tryAcquire(bytes: number): boolean {
    if (this.#waiters.length > 0 || !this.#fits(bytes)) return false;
    this.#bytes += bytes;
    this.#count++;
    return true;
  }

  /** Takes room as soon as there is some, first come, first served. False: `signal` fired before, and nothing was taken. */
  acquire(bytes: number, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    if (this.tryAcquire(bytes)) return Promise.resolve(true);
    return new Promise((resolve) => {
      const onAbort = (): void => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        this.#admit(); // Smaller ones behind may fit.
        resolve(false);
      };
      const waiter = {
        bytes,
        admit(): void {
          signal.removeEventListener('abort', onAbort);
          resolve(true);
        },
      };
      this.#waiters.push(waiter);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Gives back what was taken for one piece. */
  release(bytes: number): void {
    this.#bytes -= bytes;
    this.#count--;
    this.#admit();
  }

  #admit(): void {
    for (
      let [next] = this.#waiters;
      next !== undefined && this.#fits(next.bytes);
      [next] = this.#waiters
    ) {
      this.#waiters.shift();
      this.#bytes += next.bytes;
      this.#count++;
      next.admit();
    }
  }

  #fits(bytes: number): boolean {
    if (this.#count === 0) return true;
    return this.#count < this.#countMax && this.#bytes + bytes <= this.#bytesMax;
  }
}
