import type { Clock } from '../../base/env.js';
import type { NodeLink } from './node-link.js';
import { NodeSender } from './node-sender.js';
import type { Operation } from './operation.js';
import type { PlacedShard } from './shard-map.js';
import type { ShardTools } from './shard-tools.js';
import { type Extent, headerOf, type Shipment } from './shipment.js';

export interface Copying {
  readonly clock: Clock;
  readonly operation: Operation;
  readonly shipment: Shipment;
  readonly extent: Extent;
  readonly tools: ShardTools;
  /** Nodes that may get copies. */
  readonly links: readonly NodeLink[];
}

/** Puts single shards on nodes, as part of one operation. */
export class ShardCopier {
  copies = 0;
  bytes = 0;
  readonly #copying: Copying;
  readonly #senders: ReadonlyMap<string, NodeSender>;
  readonly #onFailure = (): void => {
    const reason: Error = this.#copying.operation.signal.reason; // Operation aborts with its error.
    for (const sender of this.#senders.values()) sender.stop(reason);
  };

  constructor(copying: Copying) {
    const { clock, operation, links, tools } = copying;
    this.#copying = copying;
    this.#senders = new Map(links.map((link) => [link.nodeId, new NodeSender(link, clock, tools)]));
    operation.signal.addEventListener('abort', this.#onFailure, { once: true });
  }

  /**
   * Settles when the node, one of `links`, has checked and stored the copy. `content` must stay as it is until then.
   * Fails as `NodeSender.put` does.
   */
  async copy(
    { index, offset, bytes }: PlacedShard,
    content: Uint8Array,
    nodeId: string,
  ): Promise<void> {
    const { operation, shipment, extent } = this.#copying;
    const sender = this.#senders.get(nodeId);
    if (sender === undefined) throw new RangeError(`${nodeId} is not among the nodes to copy to`);
    const { shardWindow } = sender.link;
    if (!(await shardWindow.acquire(bytes, operation.signal))) throw operation.signal.reason;
    try {
      operation.throwIfFailed();
      const last = index === extent.count - 1;
      const piece = { index, offset, bytes, content, last, release() {} };
      const header = headerOf(shipment, nodeId, piece, extent);
      await sender.put(piece, header, operation.remainingMs());
      this.copies++;
      this.bytes += bytes;
    } finally {
      shardWindow.release(bytes);
    }
  }

  close(): void {
    this.#copying.operation.signal.removeEventListener('abort', this.#onFailure);
  }
}
