import { setMaxListeners } from 'node:events';
import type { Clock } from '../../base/env.js';
import { PaipaiError } from '../../base/errors.js';
import type { ShardPiece } from '../../data/shard.js';
import type { PeerStream } from '../../session/types.js';
import type { ShardHeader } from '../../wire/shard-header.js';
import { ByteWindow } from './byte-window.js';
import { decodeConfirmation, encodeChecksum, putMethod } from './messages.js';
import { nodeError } from './node-error.js';
import type { NodeLink } from './node-link.js';
import type { ShardTools } from './shard-tools.js';

/** Sends shards to one node, several at once, and counts what it confirmed. */
export class NodeSender {
  /** Replaced when the node has come back on another connection. */
  link: NodeLink;
  readonly #clock: Clock;
  readonly #tools: ShardTools;
  readonly #stopped = new AbortController();
  readonly #writing: ByteWindow;
  readonly #streams = new Set<PeerStream>();
  #firstMs: number | undefined;
  #lastMs = 0;
  shards = 0;
  bytes = 0;

  /** @param writingBytesMax of shards whose bytes are on their way at once; one that is longer goes alone */
  constructor(link: NodeLink, clock: Clock, tools: ShardTools, writingBytesMax: number = Infinity) {
    this.link = link;
    this.#clock = clock;
    this.#tools = tools;
    setMaxListeners(0, this.#stopped.signal); // One for each shard that waits.
    this.#writing = new ByteWindow(writingBytesMax, Infinity);
  }

  /** From the first byte sent to the last confirmation. */
  get timeMs(): number {
    return this.#firstMs === undefined ? 0 : this.#lastMs - this.#firstMs;
  }

  /**
   * Sends one shard; settles when the node has checked and stored it, with the CRC32C that both sides computed on the way.
   * The piece is released as soon as its bytes have left.
   * Fails with PAIPAI_ERR_NODE_LOST or the node's own code; `nodeId` and `shardIndex` are in the error.
   */
  async put(piece: ShardPiece, header: ShardHeader, deadlineMs: number): Promise<number> {
    this.#firstMs ??= this.#clock.nowMs();
    const { signal } = this.#stopped;
    if (!(await this.#writing.acquire(piece.bytes, signal))) {
      piece.release();
      throw signal.reason;
    }
    const onWritten = (): void => {
      piece.release();
      this.#writing.release(piece.bytes);
    };
    const { link } = this;
    let stream: PeerStream | undefined;
    let written: Promise<void> | undefined;
    try {
      const metadata = this.#tools.shardCodec.encode(header);
      stream = link.peer.openStream(putMethod, metadata, { deadlineMs });
      this.#streams.add(stream);
      // The stream uses the bytes until the write settles, also when it is reset meanwhile.
      written = stream.write(piece.content).finally(onWritten);
      // A reset ends the wait at once, though the channel may still hold pieces of the write.
      await Promise.race([written, stream.ended.then(() => written)]);
      const sent = stream.sentCrc32c;
      stream.end(encodeChecksum(sent));
      const { bytes, crc32c } = decodeConfirmation(await stream.ended);
      if (bytes !== piece.bytes || crc32c !== sent) {
        throw new PaipaiError(
          'PAIPAI_ERR_SHARD_CHECKSUM',
          'the node confirmed other bytes than were sent',
        );
      }
      this.#lastMs = this.#clock.nowMs();
      this.shards++;
      this.bytes += piece.bytes;
      return crc32c;
    } catch (thrown) {
      if (written === undefined) onWritten();
      else written.catch(() => {}); // It fails for the same reason, perhaps later.
      throw nodeError(link, thrown);
    } finally {
      if (stream !== undefined) this.#streams.delete(stream);
    }
  }

  /** Gives up what is under way, for good. */
  stop(error: Error): void {
    this.#stopped.abort(error);
    for (const stream of this.#streams) stream.reset(error);
  }
}
