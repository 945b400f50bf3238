/** Buffers of one size that are used again. It keeps as many as were ever out at once, at most `idleMax` of them. */
export class BlockPool {
  readonly #blockBytes: number;
  readonly #idleMax: number;
  readonly #idle: Uint8Array[] = [];

  constructor(blockBytes: number, idleMax: number) {
    this.#blockBytes = blockBytes;
    this.#idleMax = idleMax;
  }

  acquire(): Uint8Array {
    // Outside Node's own pool, and not cleared: whoever acquires it hands on only what it wrote.
    return this.#idle.pop() ?? Buffer.allocUnsafeSlow(this.#blockBytes);
  }

  release(block: Uint8Array): void {
    if (this.#idle.length < this.#idleMax) this.#idle.push(block);
  }
}
