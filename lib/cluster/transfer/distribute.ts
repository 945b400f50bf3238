import type { ShardCut, ShardPiece } from '../../data/shard.js';
import type { NodeSender } from './node-sender.js';
import type { Operation } from './operation.js';

export interface Distribution {
  readonly operation: Operation;
  readonly dataId: string;
  readonly version: bigint;
  /** Id of the sender, for the header. */
  readonly sourceId: string;
  /** Count of shards and total of bytes where both are known beforehand. */
  readonly extent: { readonly count: number; readonly totalBytes: number } | undefined;
  /** Which sender takes the piece. */
  readonly place: (cut: ShardCut) => NodeSender;
  /**
   * Hears of each shard that is stored, with the checksum of its content. The shard counts as under way until the returned
   * promise settles, so that what is done with it bounds how many follow.
   */
  readonly onStored: (
    cut: ShardCut,
    sender: NodeSender,
    crc32c: number,
  ) => Promise<void> | undefined;
}

/**
 * Sends every piece to its node, the nodes in parallel, and settles when all are stored, or when the operation failed and
 * nothing is left under way. Pieces are released in either case.
 */
export async function distribute(
  pieces: AsyncIterable<ShardPiece>,
  senders: readonly NodeSender[],
  distribution: Distribution,
): Promise<void> {
  const { operation } = distribution;
  const underWay = new Set<Promise<void>>();
  const onFailure = (): void => {
    const reason: Error = operation.signal.reason; // Operation aborts with its error.
    for (const sender of senders) sender.stop(reason);
  };
  operation.signal.addEventListener('abort', onFailure, { once: true });
  try {
    operation.throwIfFailed();
    for await (const piece of pieces) {
      const { bytes } = piece;
      const sender = distribution.place(piece);
      const { shardWindow } = sender.link;
      // Without a turn of the queue when there is room, which is the rule.
      const hasRoom =
        shardWindow.tryAcquire(bytes) || (await shardWindow.acquire(bytes, operation.signal));
      if (!hasRoom || operation.hasFailed) {
        if (hasRoom) shardWindow.release(bytes);
        piece.release();
        break;
      }
      const sending: Promise<void> = sendPiece(piece, sender, distribution)
        .catch((error: unknown) => operation.fail(error))
        .finally(() => {
          underWay.delete(sending);
          shardWindow.release(bytes);
        });
      underWay.add(sending);
    }
  } catch (thrown) {
    operation.fail(thrown);
  }
  await Promise.all(underWay);
  operation.signal.removeEventListener('abort', onFailure);
  operation.throwIfFailed();
}

async function sendPiece(
  piece: ShardPiece,
  sender: NodeSender,
  { operation, extent, dataId, version, sourceId, onStored }: Distribution,
): Promise<void> {
  const { index, offset, bytes, last } = piece;
  const lastExtent = last ? { count: index + 1, totalBytes: offset + bytes } : undefined;
  const { count, totalBytes } = extent ?? lastExtent ?? { count: 0, totalBytes: 0 };
  const header = {
    dataId,
    dataVersion: version,
    fencingToken: 0n,
    sourceId,
    targetId: sender.link.nodeId,
    shardIndex: index,
    shardCount: count,
    offset,
    totalBytes,
    shardBytes: bytes,
    // Read once, on the way out: a pass of its own costs as much as sending.
    checksumFollows: true,
    contentCrc32c: 0,
    compressed: false,
    encrypted: false,
    last,
  };
  const crc32c = await sender.put(piece, header, operation.remainingMs());
  await onStored(piece, sender, crc32c);
}
