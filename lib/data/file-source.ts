import type { Env, FileFacts, FileHandle } from '../base/env.js';
import { isPaipaiError, PaipaiError, toError } from '../base/errors.js';
import { abortedError } from './aborted.js';
import { BlockPool } from './block-pool.js';
import { nothing, onceOnly } from './hold.js';
import type { DataSource, ReadOptions, SourceBlock } from './source.js';

/**
 * Blocks asked of the system before they are wanted, to hide reading behind sending. Blocks above 4 MiB are not: whoever splits
 * looks one block ahead anyway.
 */
const readAheadBytes = 4 * 1024 * 1024;
const readAheadCountMax = 4;

/**
 * A file, read by position into a few buffers that are used again. Size and time of change are taken at the first look; a file
 * that shows others later, or ends early, is PAIPAI_ERR_SOURCE_CHANGED. They are looked at again before the last block of each
 * reading is handed out.
 */
export class FileSource implements DataSource {
  readonly kind = 'file';
  readonly repeatable = true;
  readonly #path: string;
  #facts: FileFacts | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  get sizeBytes(): number | undefined {
    return this.#facts?.bytes;
  }

  async measure(env: Env): Promise<number> {
    return (await this.#look(env)).bytes;
  }

  async *blocks(env: Env, { blockBytes, signal }: ReadOptions): AsyncGenerator<SourceBlock> {
    const { bytes: sizeBytes } = await this.#look(env);
    const file = await this.#try(env.files.open(this.#path));
    const ahead = Math.min(Math.floor(readAheadBytes / blockBytes), readAheadCountMax);
    const pool = new BlockPool(Math.min(blockBytes, sizeBytes), ahead + 2);
    const reads: Promise<SourceBlock>[] = [];
    let position = 0;
    try {
      while (position < sizeBytes || reads.length > 0) {
        if (signal?.aborted) throw abortedError(signal);
        while (position < sizeBytes && reads.length <= ahead) {
          const bytes = Math.min(blockBytes, sizeBytes - position);
          const read = this.#read(file, pool, position, bytes);
          read.catch(nothing); // It is awaited below; until then a failure must not count as unhandled.
          reads.push(read);
          position += bytes;
        }
        const block = await (reads.shift() as Promise<SourceBlock>); // One was pushed above, or the loop had ended.
        if (reads.length === 0 && position === sizeBytes) await this.#look(env);
        yield block;
      }
    } finally {
      await Promise.allSettled(reads); // Closing under a read would let it fail, or read another file.
      await file.close();
    }
  }

  async #read(
    file: FileHandle,
    pool: BlockPool,
    position: number,
    bytes: number,
  ): Promise<SourceBlock> {
    const buffer = pool.acquire();
    let filled = 0;
    while (filled < bytes) {
      const read = await this.#try(file.read(buffer.subarray(filled, bytes), position + filled));
      if (read === 0) throw this.#changed(`it ends at ${position + filled} bytes`);
      filled += read;
    }
    return { bytes: buffer.subarray(0, bytes), release: onceOnly(() => pool.release(buffer)) };
  }

  async #look(env: Env): Promise<FileFacts> {
    const now = await this.#try(env.files.stat(this.#path));
    if (!now.isRegular) {
      throw new PaipaiError(
        'PAIPAI_ERR_SOURCE_FAILED',
        `${this.#path} is no regular file. Open it yourself and give the stream to new Data.`,
      );
    }
    this.#facts ??= now;
    const { bytes, modifiedMs } = this.#facts;
    if (now.bytes !== bytes) throw this.#changed(`it has ${now.bytes} bytes`);
    if (now.modifiedMs !== modifiedMs) throw this.#changed('it was written to');
    return this.#facts;
  }

  async #try<T>(operation: Promise<T>): Promise<T> {
    try {
      return await operation;
    } catch (thrown) {
      if (isPaipaiError(thrown)) throw thrown;
      throw new PaipaiError(
        'PAIPAI_ERR_SOURCE_FAILED',
        `The file ${this.#path} cannot be read: ${toError(thrown).message}.`,
        { cause: thrown },
      );
    }
  }

  #changed(how: string): PaipaiError {
    return new PaipaiError(
      'PAIPAI_ERR_SOURCE_CHANGED',
      `The file ${this.#path} had ${this.#facts?.bytes} bytes when it was first looked at, now ${how}. ` +
        'Data are immutable: use new data, or a new version, for the new content.',
    );
  }
}
