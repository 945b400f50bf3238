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
  /** Which senders take the piece, one for each copy; as a promise where they are to be known later, and those behind wait. */
  readonly place: (cut: ShardCut) => readonly NodeSender[] | Promise<readonly NodeSender[]>;
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
      const placed = distribution.place(piece);
      const taking = placed instanceof Promise ? await placed : placed;
      const berths = taking.map((sender) => new Berth(sender, bytes));
      // Without a turn of the queue when there is room, which is the rule.
      const isOver =
        operation.hasFailed || (!tryRoom(berths) && !(await waitForRoom(berths, operation)));
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

/** A sender, and room for a copy on its way there: in the window of the link that the sender has, which may be another by the time of its turn. */
class Berth {
  sender: NodeSender;
  readonly #bytes: number;
  /** Where there is room for the copy; undefined: nowhere. */
  #window: ByteWindow | undefined;

  constructor(sender: NodeSender, bytes: number) {
    this.sender = sender;
    this.#bytes = bytes;
  }

  /** With the link that the sender has now. */
  get hasRoom(): boolean {
    return this.#window === this.sender.link.shardWindow;
  }

  tryTake(): boolean {
    const { shardWindow } = this.sender.link;
    if (!shardWindow.tryAcquire(this.#bytes)) return false;
    this.#window = shardWindow;
    return true;
  }

  /** Settles when there is room with the link that the sender had at the call. False: the operation failed, and there is none. */
  async take({ signal }: Operation): Promise<boolean> {
    this.release();
    const { shardWindow } = this.sender.link;
    if (!(await shardWindow.acquire(this.#bytes, signal))) return false;
    this.#window = shardWindow;
    return true;
  }

  release(): void {
    this.#window?.release(this.#bytes);
    this.#window = undefined;
  }
}

/** Takes room for a copy in each of `berths`, or none at all. */
function tryRoom(berths: readonly Berth[]): boolean {
  const full = berths.findIndex((berth) => !berth.tryTake());
  if (full < 0) return true;
  for (const berth of berths.slice(0, full)) berth.release();
  return false;
}

/** The same as soon as there is some. False: the operation failed, and none was taken. */
async function waitForRoom(berths: readonly Berth[], operation: Operation): Promise<boolean> {
  // Everybody waits in the same order, so that no two of them wait for what the other has.
  const inOrder = [...berths].sort((a, b) =>
    a.sender.link.nodeId < b.sender.link.nodeId ? -1 : 1,
  );
  for (const berth of inOrder) if (!(await berth.take(operation))) break;
  if (!operation.hasFailed) return true;
  for (const berth of inOrder) berth.release();
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
      await sendCopy(piece, only, piece.release, distribution);
    } finally {
      only.release();
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

/** Stores one copy with the sender of `berth`, with whoever takes over from it, or with the same when it comes back; answers why there is none in the end. */
async function sendCopySomewhere(
  piece: ShardPiece,
  berth: Berth,
  taken: Set<NodeSender>,
  hold: Hold,
  distribution: Distribution,
): Promise<Error | undefined> {
  const { operation, replace, mayReturn, renew } = distribution;
  for (;;) {
    const { sender } = berth;
    try {
      operation.throwIfFailed();
      await sendCopy(piece, berth, hold.share(), distribution);
      return undefined;
    } catch (thrown) {
      if (operation.hasFailed || !isPaipaiError(thrown, 'PAIPAI_ERR_NODE_LOST')) throw thrown;
      // Where there is one copy alone, that of other shards is away with it: nobody else makes the data whole.
      const other = taken.size > 1 ? replace(taken) : undefined;
      if (other !== undefined) {
        taken.add(other);
        berth.sender = other;
      } else if (!mayReturn(sender) || !(await renew(sender))) {
        return thrown;
      }
    } finally {
      // Not before: what waits for a node to come back keeps more from being read.
      berth.release();
    }
  }
}

/** Calls `release` when the copy needs the content no more, also when this fails. */
async function sendCopy(
  piece: ShardPiece,
  berth: Berth,
  release: () => void,
  { operation, extent, shipment, onStored }: Distribution,
): Promise<void> {
  const { sender } = berth;
  while (!berth.hasRoom) if (!(await berth.take(operation))) break;
  // It may have failed while there was room: who has stopped the streams then knows nothing of one that is opened now.
  if (operation.hasFailed) {
    release();
    throw operation.signal.reason;
  }
  const header = headerOf(shipment, sender.link.nodeId, piece, extent);
  const crc32c = await sender.put({ ...piece, release }, header, operation.remainingMs());
  await onStored(piece, sender, crc32c);
}
