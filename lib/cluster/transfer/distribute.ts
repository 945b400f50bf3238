import { isPaipaiError } from '../../base/errors.js';
import { Hold } from '../../data/hold.js';
import type { ShardCut, ShardPiece } from '../../data/shard.js';
import type { ByteWindow } from './byte-window.js';
import type { NodeSender } from './node-sender.js';
import type { Operation } from './operation.js';
import { type Extent, headerOf, type Shipment } from './shipment.js';

export interface Distribution {
  readonly operation: Operation;
  readonly shipment: Shipment;
  /** Count of shards and total of bytes where both are known beforehand. */
  readonly extent: Extent | undefined;
  /** Which senders take the piece, one for each copy. */
  readonly place: (cut: ShardCut) => readonly NodeSender[];
  /** Copies of each piece that must be confirmed, 1 or more; of those beyond, nodes that go away may leave some out. */
  readonly confirm: number;
  /** Who takes over one of several copies whose node went away, other than `taken`; undefined when nobody can. */
  readonly replace: (taken: ReadonlySet<NodeSender>) => NodeSender | undefined;
  /** Whether the node of the sender can come back when it went away; content is kept for it until it is confirmed. */
  readonly mayReturn: (sender: NodeSender) => boolean;
  /** Gives the sender a new link when its node comes back in time; false when it does not. */
  readonly renew: (sender: NodeSender) => Promise<boolean>;
  /**
   * Hears of each copy that is stored, with the checksum of its content. The copy counts as under way until the returned
   * promise settles, so that what is done with it bounds how many follow.
   */
  readonly onStored: (
    cut: ShardCut,
    sender: NodeSender,
    crc32c: number,
  ) => Promise<void> | undefined;
  /** Hears of each piece of which all copies are stored that there will be. */
  readonly onWhole: (cut: ShardCut) => void;
}

/**
 * Sends every piece to its nodes, all in parallel, and settles when all are stored, or when the operation failed and
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
      const berths = distribution.place(piece).map(berthWith);
      // Without a turn of the queue when there is room, which is the rule.
      const isOver =
        operation.hasFailed ||
        (!tryRoom(bytes, berths) && !(await waitForRoom(bytes, berths, operation)));
      if (isOver) {
        piece.release();
        break;
      }
      const sending: Promise<void> = sendPiece(piece, berths, distribution)
        .catch((error: unknown) => operation.fail(error))
        .finally(() => underWay.delete(sending));
      underWay.add(sending);
    }
  } catch (thrown) {
    operation.fail(thrown);
  }
  await Promise.all(underWay);
  operation.signal.removeEventListener('abort', onFailure);
  operation.throwIfFailed();
}

/** A sender, and the window in which a copy on its way to it has room: that of the link which the sender had then. */
interface Berth {
  readonly sender: NodeSender;
  readonly window: ByteWindow;
}

function berthWith(sender: NodeSender): Berth {
  return { sender, window: sender.link.shardWindow };
}

/** Takes room for a copy in each of `berths`, or none at all. */
function tryRoom(bytes: number, berths: readonly Berth[]): boolean {
  const full = berths.findIndex(({ window }) => !window.tryAcquire(bytes));
  if (full < 0) return true;
  for (const { window } of berths.slice(0, full)) window.release(bytes);
  return false;
}

/** The same as soon as there is some. False: the operation failed, and none was taken. */
async function waitForRoom(
  bytes: number,
  berths: readonly Berth[],
  operation: Operation,
): Promise<boolean> {
  // Everybody waits in the same order, so that no two of them wait for what the other has.
  const inOrder = [...berths].sort((a, b) =>
    a.sender.link.nodeId < b.sender.link.nodeId ? -1 : 1,
  );
  let taken = 0;
  for (const { window } of inOrder) {
    if (!(await window.acquire(bytes, operation.signal))) break;
    taken++;
  }
  if (taken === inOrder.length && !operation.hasFailed) return true;
  for (const { window } of inOrder.slice(0, taken)) window.release(bytes);
  return false;
}

async function sendPiece(
  piece: ShardPiece,
  berths: readonly Berth[],
  distribution: Distribution,
): Promise<void> {
  const [only] = berths;
  if (berths.length === 1 && only !== undefined && !distribution.mayReturn(only.sender)) {
    try {
      await sendCopy(piece, only.sender, distribution);
    } finally {
      only.window.release(piece.bytes);
    }
  } else {
    await sendCopies(piece, berths, distribution);
  }
  distribution.onWhole(piece);
}

/** Content is held until every copy is confirmed: a copy whose node goes away meanwhile goes to another. */
async function sendCopies(
  piece: ShardPiece,
  berths: readonly Berth[],
  distribution: Distribution,
): Promise<void> {
  const { operation, confirm } = distribution;
  const hold = new Hold(piece.release);
  const taken = new Set(berths.map(({ sender }) => sender));
  const losses: Error[] = [];
  await Promise.all(
    berths.map(async (berth) => {
      try {
        const loss = await sendCopySomewhere(piece, berth, taken, hold, distribution);
        if (loss !== undefined) losses.push(loss);
      } catch (thrown) {
        operation.fail(thrown); // At once, so that the other copies are given up too.
      }
    }),
  );
  hold.release();
  operation.throwIfFailed();
  const [first] = losses;
  if (first !== undefined && berths.length - losses.length < confirm) throw first;
}

/**
 * Stores one copy with the sender of `berth`, where it has room, with whoever takes over from it, or with the same when it comes back; answers
 * why there is none in the end.
 */
async function sendCopySomewhere(
  piece: ShardPiece,
  berth: Berth,
  taken: Set<NodeSender>,
  hold: Hold,
  distribution: Distribution,
): Promise<Error | undefined> {
  const { operation, replace, mayReturn, renew } = distribution;
  const { bytes } = piece;
  let { sender, window } = berth;
  for (;;) {
    try {
      operation.throwIfFailed();
      await sendCopy({ ...piece, release: hold.share() }, sender, distribution);
      return undefined;
    } catch (thrown) {
      if (operation.hasFailed || !isPaipaiError(thrown, 'PAIPAI_ERR_NODE_LOST')) throw thrown;
      // Where there is one copy alone, that of other shards is away with it: nobody else makes the data whole.
      const other = taken.size > 1 ? replace(taken) : undefined;
      if (other !== undefined) {
        taken.add(other);
        sender = other;
      } else if (!mayReturn(sender) || !(await renew(sender))) {
        return thrown;
      }
    } finally {
      // Not before: what waits for a node to come back keeps more from being read.
      window.release(bytes);
    }
    window = sender.link.shardWindow;
    if (!(await window.acquire(bytes, operation.signal))) throw operation.signal.reason;
  }
}

async function sendCopy(
  piece: ShardPiece,
  sender: NodeSender,
  { operation, extent, shipment, onStored }: Distribution,
): Promise<void> {
  const header = headerOf(shipment, sender.link.nodeId, piece, extent);
  const crc32c = await sender.put(piece, header, operation.remainingMs());
  await onStored(piece, sender, crc32c);
}
