/** A stream that wants credit for its peer. */
export interface Grantee {
  /** Bytes granted and not yet taken by whoever reads; kept by `CreditBudget`. */
  outstandingBytes: number;
  /** Bytes of further credit it has use for now. */
  readonly wantedBytes: number;
  /** Tells the peer of `byteCount` more. It must not come back to the budget. */
  grant(byteCount: number): void;
}

/** A grant below this is not worth a frame while more will follow. */
const worthwhileBytes = 64 * 1024;

/**
 * Shares what may be under way to us on one connection among its streams.
 *
 *  |<------------------------ inFlightBytesMax ------------------------>|
 *  | floor | floor | floor | … one per possible stream |    shared       |
 *
 * A quarter is cut into floors: what a stream may always have outstanding, so that none stands still because of others
 * that nobody reads. The rest is shared; streams that want more than is left wait for it in the order in which they came.
 */
export class CreditBudget {
  readonly #floorBytes: number;
  #sharedBytes: number;
  readonly #waiting = new Set<Grantee>();
  #isClosed = false;

  constructor(inFlightBytesMax: number, streamsMax: number) {
    this.#floorBytes = Math.floor(inFlightBytesMax / 4 / streamsMax);
    this.#sharedBytes = inFlightBytesMax - this.#floorBytes * streamsMax;
  }

  /** Grants what `grantee` wants as far as there is room, and the rest later. */
  ask(grantee: Grantee): void {
    if (this.#isClosed) return;
    const wanted = grantee.wantedBytes;
    const ofFloor = Math.max(0, this.#floorBytes - grantee.outstandingBytes);
    const ofShared = this.#waiting.size === 0 ? this.#sharedBytes : 0;
    const byteCount = Math.min(wanted, ofFloor + ofShared);
    const worthwhile = Math.min(wanted, worthwhileBytes, Math.ceil(this.#floorBytes / 2));
    if (byteCount > 0 && byteCount >= worthwhile) this.#give(grantee, byteCount);
    if (grantee.wantedBytes > 0) this.#waiting.add(grantee);
  }

  /** `byteCount` of what was granted has been taken, or will never come. */
  giveBack(grantee: Grantee, byteCount: number): void {
    const before = this.#ofShared(grantee);
    grantee.outstandingBytes -= byteCount;
    this.#sharedBytes += before - this.#ofShared(grantee);
    this.#serveWaiting();
  }

  /** The stream is over: all of its share returns. */
  leave(grantee: Grantee): void {
    this.#waiting.delete(grantee);
    this.giveBack(grantee, grantee.outstandingBytes);
  }

  /** The connection is over: what streams give back as they end goes to nobody. */
  close(): void {
    this.#isClosed = true;
    this.#waiting.clear();
  }

  #serveWaiting(): void {
    for (const grantee of this.#waiting) {
      const wanted = grantee.wantedBytes;
      const byteCount = Math.min(wanted, this.#sharedBytes);
      if (byteCount < Math.min(wanted, worthwhileBytes)) return;
      if (byteCount > 0) this.#give(grantee, byteCount);
      if (byteCount < wanted) return;
      this.#waiting.delete(grantee);
    }
  }

  #give(grantee: Grantee, byteCount: number): void {
    const before = this.#ofShared(grantee);
    grantee.outstandingBytes += byteCount;
    this.#sharedBytes -= this.#ofShared(grantee) - before;
    grantee.grant(byteCount);
  }

  #ofShared(grantee: Grantee): number {
    return Math.max(0, grantee.outstandingBytes - this.#floorBytes);
  }
}
