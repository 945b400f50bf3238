/** No encoded rumour is shorter: kind, length and one byte of id, instance, incarnation. */
const rumourBytesLeast = 13;

/**
 * Rumours on their way out. Each travels on whatever datagram has room, those that were sent least often first, and is dropped after
 * its last time. There is at most one for each node: news replaces what it overtakes.
 */
export class Dissemination {
  /** By the times sent so far; each in the order of arrival. */
  readonly #bySends: Map<string, Uint8Array>[] = [new Map()];
  readonly #sendsOf = new Map<string, number>();

  get count(): number {
    return this.#sendsOf.size;
  }

  /** Takes an encoded rumour about `nodeId`, as if never sent. */
  add(nodeId: string, rumour: Uint8Array): void {
    this.#remove(nodeId);
    this.#put(nodeId, rumour, 0);
  }

  /** `add` for a rumour that may have been dropped; one that is still on its way out stays as it is. */
  renew(nodeId: string, rumour: Uint8Array): void {
    if (!this.#sendsOf.has(nodeId)) this.#put(nodeId, rumour, 0);
  }

  /** Rumours of at most `bytesMax` together and at most `countMax`; each has then been sent once more, and `limit` times at most. */
  take(bytesMax: number, countMax: number, limit: number): Uint8Array[] {
    const taken: { nodeId: string; rumour: Uint8Array; sends: number }[] = [];
    let bytesLeft = bytesMax;
    for (const [sends, rumours] of this.#bySends.entries()) {
      for (const [nodeId, rumour] of rumours) {
        if (taken.length === countMax || bytesLeft < rumourBytesLeast) break;
        if (rumour.byteLength > bytesLeft) continue;
        bytesLeft -= rumour.byteLength;
        taken.push({ nodeId, rumour, sends });
      }
    }
    for (const { nodeId, rumour, sends } of taken) {
      this.#remove(nodeId);
      if (sends + 1 < limit) this.#put(nodeId, rumour, sends + 1);
    }
    return taken.map(({ rumour }) => rumour);
  }

  #put(nodeId: string, rumour: Uint8Array, sends: number): void {
    while (this.#bySends.length <= sends) this.#bySends.push(new Map());
    this.#bySends[sends]?.set(nodeId, rumour);
    this.#sendsOf.set(nodeId, sends);
  }

  #remove(nodeId: string): void {
    const sends = this.#sendsOf.get(nodeId);
    if (sends === undefined) return;
    this.#bySends[sends]?.delete(nodeId);
    this.#sendsOf.delete(nodeId);
  }
}
