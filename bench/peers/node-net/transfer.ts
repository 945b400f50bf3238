/**
 * The cases `transfer` and `bulk` as a careful programmer writes it on `node:net`.
 *
 * Bulk is the same work with messages for shards, of which each side has only the last in memory: they are sent, and stored, over
 * and over.
 *
 * On the wire, little-endian:
 *   chunk         magic u32, bytes u32, shard u32, offset in the shard u32, CRC32 u32, shard bytes u32; then the bytes
 *   confirmation  shard u32
 *
 * What was tried (Node 20.20, two CPUs, 1 GiB over TCP loopback; CPU seconds of the receiver, the side that limits):
 *   'data' events instead of `onread` 1.7; `onread` that hands out the place in the shard itself, so that nothing is copied
 *   afterwards, 1.8 (more and shorter reads, and pages first touched inside the kernel); `onread` with one buffer and a copy 1.1
 *   to 1.2. Its size: 64 KiB 1.4, 256 KiB 1.3, 512 KiB 1.2, 1 MiB 1.2, 4 MiB 1.4.
 *   Chunks of 64 KiB, sixteen to a `writev`, 1.1 (sender 0.61); 256 KiB, four to a `writev`, 1.2 (0.64); one at a time 1.2
 *   (0.71); 1 MiB alone 1.1 (0.62).
 *   One buffer for all shards instead of one each: the same. About 0.5 of it all is the first touch of pages, which JavaScript
 *   cannot ask to be huge ones.
 *   A high water mark of 4 MiB on the sender: the same, since the window bounds what is queued.
 *
 * `onread` is an option of sockets that connect, not of those that a server accepts. So the receiver, which listens, is told by
 * the first connection where the sender listens, and connects back for the data.
 */
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { listenOn } from '../../support/addresses.js';
import { checksum, checksumName } from '../../support/checksum.js';
import { play, setting } from '../../support/program.js';
import { type Sockets, socketsOf } from '../../support/sockets.js';
import type { Facts, Settings } from '../../support/types.js';

const magic = 0x4e455452;
const headerBytes = 24;
const confirmationBytes = 4;
const chunkBytes = 64 * 1024;
const chunksPerWrite = 16;
const windowShards = 64;
const readBytes = 512 * 1024;
const shardBytesMax = 64 * 1024 * 1024;

/** Takes bytes in any cut, checks and keeps them, confirms each shard. */
class Receiver {
  /** The last ones; shard i lies at i modulo how many are kept. */
  readonly shards: Buffer[] = [];
  shardCount = 0;
  storedBytes = 0;
  readonly #keptMax: number;
  readonly #confirm: (shard: number) => void;
  readonly #header: Buffer = Buffer.alloc(headerBytes);
  #headerFilled = 0;
  #shard: Buffer = Buffer.alloc(0);
  #filled = 0;
  #chunkEnd = 0;
  #announced = 0;
  #checksum = 0;

  constructor(keptMax: number, confirm: (shard: number) => void) {
    this.#keptMax = keptMax;
    this.#confirm = confirm;
  }

  take(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#headerFilled < headerBytes) {
        const end = Math.min(bytes.length, at + headerBytes - this.#headerFilled);
        this.#headerFilled += bytes.copy(this.#header, this.#headerFilled, at, end);
        at = end;
        if (this.#headerFilled === headerBytes) this.#openChunk();
        continue;
      }
      const end = Math.min(bytes.length, at + this.#chunkEnd - this.#filled);
      const part = bytes.subarray(at, end);
      this.#shard.set(part, this.#filled);
      this.#checksum = checksum(part, this.#checksum);
      this.#filled += part.length;
      at = end;
      if (this.#filled === this.#chunkEnd) this.#closeChunk();
    }
  }

  #openChunk(): void {
    const header = this.#header;
    const bytes = header.readUInt32LE(4);
    const shard = header.readUInt32LE(8);
    const offset = header.readUInt32LE(12);
    const shardBytes = header.readUInt32LE(20);
    if (header.readUInt32LE(0) !== magic) throw new Error('not a chunk');
    if (shardBytes > shardBytesMax || offset > shardBytes || bytes > shardBytes - offset) {
      throw new Error('a chunk outside of its shard');
    }
    if (offset === 0) {
      if (shard !== this.shardCount) throw new Error('a shard out of order');
      this.#shard = this.#placeOf(this.shardCount++, shardBytes);
    } else if (offset !== this.#filled || shardBytes !== this.#shard.length) {
      throw new Error('a chunk out of order');
    }
    this.#filled = offset;
    this.#chunkEnd = offset + bytes;
    this.#announced = header.readUInt32LE(16);
    this.#checksum = 0;
  }

  #placeOf(shard: number, shardBytes: number): Buffer {
    const index = shard % this.#keptMax;
    const before = this.shards[index];
    if (before?.length === shardBytes) return before;
    const place = Buffer.allocUnsafeSlow(shardBytes);
    this.shards[index] = place;
    return place;
  }

  #closeChunk(): void {
    if (this.#checksum !== this.#announced)
      throw new Error('a chunk that does not match its checksum');
    this.#headerFilled = 0;
    if (this.#filled !== this.#shard.length) return;
    this.storedBytes += this.#filled;
    this.#confirm(this.shardCount - 1);
  }
}

/** Sends `totalBytes` in shards over `socket`, `data` over and over, as far ahead of the confirmations as the window allows. */
class Sender {
  readonly #socket: Socket;
  readonly #data: Buffer;
  readonly #totalBytes: number;
  readonly #shardBytes: number;
  readonly #shardCount: number;
  #next = 0;
  #confirmed = 0;
  #confirmation: Buffer = Buffer.alloc(0);
  #blocked = false;

  constructor(socket: Socket, data: Buffer, totalBytes: number, shardBytes: number) {
    this.#socket = socket;
    this.#data = data;
    this.#totalBytes = totalBytes;
    this.#shardBytes = shardBytes;
    this.#shardCount = Math.ceil(totalBytes / shardBytes);
  }

  /** Resolves when every shard is confirmed. */
  run(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.on('error', reject);
      this.#socket.on('close', () => reject(new Error('the receiver closed the connection')));
      this.#socket.on('drain', () => {
        this.#blocked = false;
        this.#send();
      });
      this.#socket.on('data', (bytes: Buffer) => {
        try {
          this.#takeConfirmations(bytes);
        } catch (error) {
          reject(error);
        }
        if (this.#confirmed === this.#shardCount) resolve();
        else this.#send();
      });
      this.#send();
    });
  }

  #takeConfirmations(bytes: Buffer): void {
    const all =
      this.#confirmation.length === 0 ? bytes : Buffer.concat([this.#confirmation, bytes]);
    let at = 0;
    for (; at + confirmationBytes <= all.length; at += confirmationBytes) {
      if (all.readUInt32LE(at) !== this.#confirmed) throw new Error('a confirmation out of order');
      this.#confirmed++;
    }
    this.#confirmation = all.subarray(at);
  }

  /** Corked, so that several chunks leave in one `writev`. */
  #send(): void {
    while (!this.#blocked && this.#mayBegin()) {
      this.#socket.cork();
      for (let count = 0; count < chunksPerWrite && this.#mayBegin(); count++) this.#writeChunk();
      this.#socket.uncork();
    }
  }

  #mayBegin(): boolean {
    if (this.#next === this.#totalBytes) return false;
    return Math.floor(this.#next / this.#shardBytes) < this.#confirmed + windowShards;
  }

  #writeChunk(): void {
    const shard = Math.floor(this.#next / this.#shardBytes);
    const shardStart = shard * this.#shardBytes;
    const shardEnd = Math.min(shardStart + this.#shardBytes, this.#totalBytes);
    const end = Math.min(this.#next + chunkBytes, shardEnd);
    const start = this.#next % this.#data.length;
    const chunk = this.#data.subarray(start, start + end - this.#next);
    const header = Buffer.allocUnsafe(headerBytes);
    header.writeUInt32LE(magic, 0);
    header.writeUInt32LE(chunk.length, 4);
    header.writeUInt32LE(shard, 8);
    header.writeUInt32LE(this.#next - shardStart, 12);
    header.writeUInt32LE(checksum(chunk), 16);
    header.writeUInt32LE(shardEnd - shardStart, 20);
    this.#socket.write(header);
    this.#blocked = !this.#socket.write(chunk);
    this.#next = end;
  }
}

/** Connects to the sender and receives what it sends into memory of our own. */
function receiveFrom({ connect }: Sockets, address: string, keptMax: number): Receiver {
  const receiver = new Receiver(keptMax, (shard) => {
    const confirmation = Buffer.allocUnsafe(confirmationBytes);
    confirmation.writeUInt32LE(shard, 0);
    socket.write(confirmation);
  });
  const socket = connect(address, (bytes) => receiver.take(bytes), readBytes);
  return receiver;
}

async function openToReceiver(
  { createServer, connect }: Sockets,
  address: string,
  { path, socket }: Settings,
): Promise<Socket> {
  const server = createServer({ noDelay: true });
  const own = await listenOn(server, path, `${socket}-back`);
  const control = connect(address, () => {});
  control.end(own);
  const [data] = (await once(server, 'connection')) as [Socket];
  server.close();
  return data;
}

function checksumOf(parts: readonly Buffer[]): string {
  return parts.reduce((sum, part) => checksum(part, sum), 0).toString(16);
}

function keptMaxOf({ 'kept-messages': kept }: Settings): number {
  return kept === undefined ? Number.POSITIVE_INFINITY : Number(kept);
}

await play({
  async server(settings) {
    const { path, socket = '' } = settings;
    const sockets = await socketsOf(settings);
    let receiver: Receiver | undefined;
    const server = sockets.createServer(async (control) => {
      const parts: Buffer[] = [];
      for await (const part of control) parts.push(part);
      receiver = receiveFrom(sockets, Buffer.concat(parts).toString(), keptMaxOf(settings));
    });
    const address = await listenOn(server, path, socket);
    return {
      address,
      verify(): Facts {
        const shards = receiver?.shards ?? [];
        return {
          storedBytes: receiver?.storedBytes ?? 0,
          storedChecksum: checksumOf(shards),
        };
      },
      close() {
        server.close();
      },
    };
  },

  async client(settings, address) {
    const totalBytes = setting(settings, 'bytes', 2 ** 30);
    const shardBytes = Number(settings['shard-bytes'] ?? settings['message-bytes']);
    const dataBytes = Math.min(totalBytes, keptMaxOf(settings) * shardBytes);
    const data = randomFillSync(Buffer.allocUnsafeSlow(dataBytes));
    const socket = await openToReceiver(await socketsOf(settings), address, settings);
    const sender = new Sender(socket, data, totalBytes, shardBytes);
    return {
      async run() {
        await sender.run();
        return { bytes: totalBytes, checksum: checksumName };
      },
      verify: () => ({ sentBytes: totalBytes, sentChecksum: checksumOf([data]) }),
      close() {
        socket.destroy();
      },
    };
  },
});
