/**
 * Watches what the two ends of every connection hand over, and what must hold of it whoever they are: credit is kept to and bounded, the windows
 * of transfers are kept to, and a node confirms each shard once. It sees the end of things when it is sent, which is never later than when
 * the other side knows of it; so it counts too little rather than too much.
 */

/** As lowered in shipped-code.mjs. */
const inFlightBytesMax = 8 * 1024;
const linkShardsMax = 6;

export class TrafficRules {
  /** Confirmations of nodes, in their order, of what they have not been told to drop since: { node, connection, key }. */
  confirmed = [];
  #world;
  #books = new Map();

  constructor(world) {
    this.#world = world;
    /** Set by the scenario: it hangs on how many nodes the net has. */
    this.linkBytesMax = Infinity;
  }

  opened(connection) {
    this.#books.set(connection, {
      /** Of each side: the names it has introduced. */
      names: new Map([
        [connection.near, new Map()],
        [connection.far, new Map()],
      ]),
      /** By id. */
      streams: new Map(),
      /** What nodes are asked to drop and have not answered, by id of the request. */
      drops: new Map(),
      puts: 0,
      putBytes: 0,
    });
  }

  sent(connection, side, other, [type, , name, streamId, argument, bytes, start = 0, end]) {
    const { FrameType } = this.#world.code;
    const book = this.#books.get(connection);
    switch (type) {
      case FrameType.name:
        book.names.get(side).set(name, Buffer.from(bytes.subarray(start, end)).toString());
        break;
      case FrameType.streamOpen:
        this.#open(
          book,
          side,
          streamId,
          book.names.get(side).get(name),
          bytes.subarray(start, end),
        );
        break;
      case FrameType.credit:
        this.#credit(book, side, other, streamId, argument);
        break;
      case FrameType.streamEnd:
        this.#end(connection, book, side, other, streamId);
        break;
      case FrameType.streamReset:
        this.#close(book, streamId);
        break;
      case FrameType.request:
        if (book.names.get(side).get(name) === 'data.drop') {
          const request = this.#world.code.decodeDropRequest(bytes.subarray(start, end));
          book.drops.set(streamId, request);
          this.#forget(connection, request);
        }
        break;
      case FrameType.response:
        // With what was confirmed before the request had come.
        if (book.drops.has(streamId)) this.#forget(connection, book.drops.get(streamId));
        book.drops.delete(streamId);
        break;
    }
  }

  #forget(connection, { dataId, version, shards }) {
    this.confirmed = this.confirmed.filter(
      ({ connection: other, key }) =>
        other !== connection ||
        key.dataId !== dataId ||
        key.version !== version ||
        shards?.includes(key.index) === false,
    );
  }

  sentBulk(connection, side, other, streamId, byteCount) {
    const book = this.#books.get(connection);
    const stream = book.streams.get(streamId);
    if (stream === undefined) return;
    const way = stream.ways.get(side);
    way.sent += byteCount;
    if (way.sent > way.granted) {
      this.#world.violate(
        `${side.owner.name} sent ${way.sent} bytes of ${stream.method} to ${other.owner.name}, with credit for ${way.granted}`,
      );
    }
  }

  #open(book, side, streamId, method, metadata) {
    const { decodeShardHeader } = this.#world.code;
    const way = () => ({ granted: 0, sent: 0, hasEnded: false });
    const stream = {
      method,
      opener: side,
      ways: new Map(Array.from(book.names.keys(), (one) => [one, way()])),
      header: method === 'shard.put' ? decodeShardHeader(metadata) : undefined,
    };
    book.streams.set(streamId, stream);
    if (stream.header === undefined) return;
    book.puts++;
    book.putBytes += stream.header.shardBytes;
    if (book.puts > linkShardsMax) {
      this.#world.violate(`${book.puts} shards are under way to a node, of ${linkShardsMax}`);
    }
    if (book.puts > 1 && book.putBytes > this.linkBytesMax) {
      this.#world.violate(
        `${book.putBytes} bytes are under way to a node, of ${this.linkBytesMax}`,
      );
    }
  }

  #credit(book, side, other, streamId, byteCount) {
    const stream = book.streams.get(streamId);
    if (stream === undefined) return;
    const way = stream.ways.get(other);
    if (way.hasEnded) return;
    this.#checkWhole(book, side, other, stream, byteCount);
    way.granted += byteCount;
    let outstanding = 0;
    for (const { ways } of book.streams.values()) {
      const { granted, sent, hasEnded } = ways.get(other);
      if (!hasEnded) outstanding += granted - sent;
    }
    if (outstanding > inFlightBytesMax) {
      this.#world.violate(
        `${side.owner.name} has granted ${outstanding} bytes that may be under way to it, of ${inFlightBytesMax}`,
      );
    }
  }

  /** A shard that has the connection to itself is granted at once: there is room, unless that of others before it was not given back. */
  #checkWhole(book, side, other, { header, ways }, byteCount) {
    if (header === undefined || book.streams.size > 1 || ways.get(other).granted > 0) return;
    if (byteCount === header.shardBytes) return;
    this.#world.violate(
      `${side.owner.name} grants ${byteCount} bytes to a shard of ${header.shardBytes} that has the connection to itself`,
    );
  }

  #end(connection, book, side, other, streamId) {
    const stream = book.streams.get(streamId);
    if (stream === undefined) return;
    stream.ways.get(side).hasEnded = true;
    if (stream.header !== undefined && side !== stream.opener) {
      const { dataId, dataVersion: version, shardIndex: index } = stream.header;
      const key = { dataId, version, index };
      this.confirmed.push({ node: side.owner.name, connection, key });
    }
    if (stream.ways.get(other).hasEnded) this.#close(book, streamId);
  }

  #close(book, streamId) {
    const stream = book.streams.get(streamId);
    if (stream === undefined) return;
    book.streams.delete(streamId);
    if (stream.header === undefined) return;
    book.puts--;
    book.putBytes -= stream.header.shardBytes;
  }
}
