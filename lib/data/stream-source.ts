import { Readable } from 'node:stream';
import { isPaipaiError, PaipaiError, toError } from '../base/errors.js';
import { abortedError } from './aborted.js';
import { nothing } from './hold.js';
import type { DataSource, ReadOptions, SourceBlock } from './source.js';

export type ByteStream = NodeJS.ReadableStream | ReadableStream | AsyncIterable<unknown>;

interface Chunk {
  done?: boolean | undefined;
  value?: unknown;
}

/** One reading of a stream. `stop` is called exactly once, also after the end, and may come while `next` waits. */
interface ChunkReader {
  next(): Promise<Chunk>;
  stop(): Promise<void>;
}

/**
 * Bytes that come once: a Node stream, a web stream or any async iterable of byte chunks. Nothing is read before it is asked for,
 * so the stream's own back pressure holds, and leaving early destroys the stream. Chunks are viewed, not copied: whoever yields
 * one must not write into it again.
 */
export class StreamSource implements DataSource {
  readonly kind = 'stream';
  readonly repeatable = false;
  readonly #stream: ByteStream;
  #sizeBytes: number | undefined;
  #taken = false;

  constructor(stream: ByteStream) {
    this.#stream = stream;
    // A stream that fails before anyone reads it would end the process; the reading reports the failure instead.
    if (stream instanceof Readable) stream.on('error', nothing);
  }

  get sizeBytes(): number | undefined {
    return this.#sizeBytes;
  }

  async measure(): Promise<number | undefined> {
    return this.#sizeBytes;
  }

  async *blocks(_env: unknown, { signal }: ReadOptions): AsyncGenerator<SourceBlock> {
    if (this.#taken) {
      throw new PaipaiError(
        'PAIPAI_ERR_SOURCE_CONSUMED',
        'The stream was read before, and it can be read once. Give the data as a file or as bytes to read them again.',
      );
    }
    this.#taken = true;
    let giveUp: ((reason: Error) => void) | undefined;
    const onAbort = (): void => giveUp?.(abortedError(signal as AbortSignal)); // It is the one that fired.
    signal?.addEventListener('abort', onAbort);
    let reader: ChunkReader | undefined;
    let waiting = false;
    let totalBytes = 0;
    try {
      const chunks = open(this.#stream);
      reader = chunks;
      for (;;) {
        if (signal?.aborted) throw abortedError(signal);
        waiting = true;
        // Not `Promise.race` with one promise for the abort: that promise would keep every chunk that ever won.
        const { done, value } = await new Promise<Chunk>((resolve, reject) => {
          giveUp = reject;
          Promise.resolve(chunks.next()).then(resolve, reject);
        });
        waiting = false;
        if (done === true) break;
        const bytes = bytesOfChunk(value);
        totalBytes += bytes.byteLength;
        if (bytes.byteLength > 0) yield { bytes, release: nothing };
      }
      this.#sizeBytes = totalBytes;
    } catch (thrown) {
      if (isPaipaiError(thrown)) throw thrown;
      throw new PaipaiError(
        'PAIPAI_ERR_SOURCE_FAILED',
        `The stream failed after ${totalBytes} bytes: ${toError(thrown).message}`,
        { cause: thrown },
      );
    } finally {
      signal?.removeEventListener('abort', onAbort);
      const end = reader?.stop().catch(nothing); // Why the reading ended is known; closing cannot add to it.
      if (!waiting) await end; // A producer that never yields cannot be waited for.
    }
  }
}

function open(stream: ByteStream): ChunkReader {
  if (stream instanceof ReadableStream) {
    const reader = stream.getReader();
    return { next: () => reader.read(), stop: () => reader.cancel() };
  }
  const iterator = (stream as AsyncIterable<unknown>)[Symbol.asyncIterator]();
  return {
    next: () => iterator.next(),
    async stop() {
      // Destroying does not queue behind a pending `next`, as `return` does.
      if (stream instanceof Readable) stream.destroy();
      await iterator.return?.();
    },
  };
}

function bytesOfChunk(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  if (ArrayBuffer.isView(chunk)) {
    return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  }
  if (chunk instanceof ArrayBuffer) return new Uint8Array(chunk);
  throw new TypeError(`it gave a chunk of type ${typeof chunk}, not bytes.`);
}
