import {
  closeSync,
  mkdtempSync,
  openSync,
  read,
  readSync,
  rmdirSync,
  unlinkSync,
  write,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PaipaiError, toError } from '../../base/errors.js';

const readLater = promisify(read);
const writeLater = promisify(write);

/** Bytes of a shuffle: in shared memory, or in the job's file from this position on. */
export interface Segment {
  readonly byteLength: number;
  readonly at: Uint8Array | number;
}

/** How a space travels to the workers of its node, which are threads of the same process: so the descriptor is theirs too. */
export interface SpaceHandle {
  readonly fd: number;
  /** Shared: bytes held in memory, and the end of the file. */
  readonly counters: BigInt64Array;
  readonly heldBytesMax: number;
}

const heldCounter = 0;
const endCounter = 1;

/**
 * Where one job keeps its bytes on one node: in shared memory up to a limit, and beyond it in a file. All threads of the node use it at
 * once; what they agree on are two counters.
 *
 *   memory   | held by segments …            | heldBytesMax
 *   file     | segment | segment | segment | end ──►      each at a place of its own, never used twice
 *
 * The file has no name: it is unlinked as soon as it is open. So nothing of it is left when the process ends, in whatever way.
 */
export class ShuffleSpace {
  readonly handle: SpaceHandle;

  constructor(handle: SpaceHandle) {
    this.handle = handle;
  }

  /** A space with its file, in a folder for this user alone that is gone at once. @throws PaipaiError PAIPAI_ERR_STORE_FAILED. */
  static open(heldBytesMax: number): ShuffleSpace {
    const counters = new BigInt64Array(new SharedArrayBuffer(2 * BigInt64Array.BYTES_PER_ELEMENT));
    try {
      return new ShuffleSpace({ fd: openNameless(), counters, heldBytesMax });
    } catch (thrown) {
      throw fileFailed(`a temporary file cannot be made in ${tmpdir()}`, thrown);
    }
  }

  /** What was written to the file so far. */
  get spilledBytes(): number {
    return Number(Atomics.load(this.handle.counters, endCounter));
  }

  get heldBytes(): number {
    return Number(Atomics.load(this.handle.counters, heldCounter));
  }

  /**
   * Keeps a copy of `parts`, one behind the other; waits for the disk when it comes to that, so it is for workers.
   * @throws PaipaiError PAIPAI_ERR_STORE_FULL, PAIPAI_ERR_STORE_FAILED.
   */
  keep(parts: readonly Uint8Array[]): Segment {
    const byteLength = parts.reduce((sum, part) => sum + part.byteLength, 0);
    if (this.#tryHold(byteLength)) {
      const at = new Uint8Array(new SharedArrayBuffer(byteLength));
      let end = 0;
      for (const part of parts) {
        at.set(part, end);
        end += part.byteLength;
      }
      return { byteLength, at };
    }
    const at = this.#allocate(byteLength);
    let position = at;
    for (const part of parts) {
      this.#write(part, position);
      position += part.byteLength;
    }
    return { byteLength, at };
  }

  /** The same for a thread that must not wait, and without a copy: `bytes` are shared memory, and left unchanged. */
  async keepLater(bytes: Uint8Array): Promise<Segment> {
    const { byteLength } = bytes;
    if (this.#tryHold(byteLength)) return { byteLength, at: bytes };
    const at = this.#allocate(byteLength);
    try {
      for (let done = 0; done < byteLength; ) {
        const rest = byteLength - done;
        done += (await writeLater(this.handle.fd, bytes, done, rest, at + done)).bytesWritten;
      }
    } catch (thrown) {
      throw writeFailed(thrown);
    }
    return { byteLength, at };
  }

  /** Gives back the memory of segments that nobody reads any more; what lies in the file stays until the end. */
  release(segments: Iterable<Segment>): void {
    let bytes = 0;
    for (const { at, byteLength } of segments) if (typeof at !== 'number') bytes += byteLength;
    Atomics.sub(this.handle.counters, heldCounter, BigInt(bytes));
  }

  /** Fills `into` from a place in the file. @throws PaipaiError PAIPAI_ERR_STORE_FAILED. */
  read(into: Uint8Array, position: number): void {
    try {
      for (let done = 0; done < into.byteLength; ) {
        const rest = into.byteLength - done;
        const count = readSync(this.handle.fd, into, done, rest, position + done);
        if (count === 0) throw new Error('the file is shorter than what was written to it');
        done += count;
      }
    } catch (thrown) {
      throw fileFailed('a temporary file cannot be read', thrown);
    }
  }

  async readLater(into: Uint8Array, position: number): Promise<void> {
    try {
      for (let done = 0; done < into.byteLength; ) {
        const rest = into.byteLength - done;
        const { bytesRead } = await readLater(this.handle.fd, into, done, rest, position + done);
        if (bytesRead === 0) throw new Error('the file is shorter than what was written to it');
        done += bytesRead;
      }
    } catch (thrown) {
      throw fileFailed('a temporary file cannot be read', thrown);
    }
  }

  /** Once, by the thread that opened it, and when no other uses it any more. */
  close(): void {
    closeSync(this.handle.fd);
  }

  /** False, and nothing is taken, when there is no such room. */
  #tryHold(byteLength: number): boolean {
    const { counters, heldBytesMax } = this.handle;
    const bytes = BigInt(byteLength);
    if (Atomics.add(counters, heldCounter, bytes) + bytes <= BigInt(heldBytesMax)) return true;
    Atomics.sub(counters, heldCounter, bytes);
    return false;
  }

  #allocate(byteLength: number): number {
    return Number(Atomics.add(this.handle.counters, endCounter, BigInt(byteLength)));
  }

  #write(part: Uint8Array, position: number): void {
    try {
      for (let done = 0; done < part.byteLength; ) {
        done += writeSync(this.handle.fd, part, done, part.byteLength - done, position + done);
      }
    } catch (thrown) {
      throw writeFailed(thrown);
    }
  }
}

/** A part of a segment. */
export function sliceSegment({ at }: Segment, start: number, end: number): Segment {
  const byteLength = end - start;
  return { byteLength, at: typeof at === 'number' ? at + start : at.subarray(start, end) };
}

function openNameless(): number {
  // mkdtemp(3) gives the folder mode 0700.
  const folder = mkdtempSync(join(tmpdir(), 'paipainet-shuffle-'));
  try {
    const path = join(folder, 'shuffle');
    const fd = openSync(path, 'wx+', 0o600);
    unlinkSync(path);
    return fd;
  } finally {
    rmdirSync(folder);
  }
}

function writeFailed(thrown: unknown): PaipaiError {
  const code = (thrown as NodeJS.ErrnoException | null)?.code; // Undefined for anything but an error of the system.
  if (code !== 'ENOSPC' && code !== 'EDQUOT' && code !== 'EFBIG') {
    return fileFailed('a temporary file cannot be written', thrown);
  }
  return new PaipaiError(
    'PAIPAI_ERR_STORE_FULL',
    `the disk with the temporary files has no room left: ${toError(thrown).message}`,
    { cause: thrown },
  );
}

function fileFailed(tried: string, thrown: unknown): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_STORE_FAILED', `${tried}: ${toError(thrown).message}`, {
    cause: thrown,
  });
}
