import { checkInteger, checkOneOf } from '../base/check.js';
import type { Env } from '../base/env.js';
import { PaipaiError } from '../base/errors.js';
import { lastRecordEnd } from './record-scanner.js';
import {
  type RecordKind,
  recordKinds,
  type ShardCut,
  type ShardPiece,
  shardBytesDefault,
  shardBytesMax,
  shardBytesMin,
  shardCountMax,
} from './shard.js';
import type { DataSource } from './source.js';
import { WindowReader } from './window-reader.js';

export interface SplitOptions {
  /** Bytes of each shard but the last; with `records` the most a shard may have. 1 B to 64 MiB, default 1 MiB. */
  shardBytes?: number | undefined;
  /** Cut only at the ends of records. Each shard takes as many as fit. */
  records?: RecordKind | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Cuts `source` into shards, in order, each byte in exactly one of them. Bytes are copied only where a shard spans two blocks of
 * the source. At most one block beyond the piece handed out is waited for, to learn whether it is the last. Leaving the loop
 * early closes the source; pieces that are still held stay good.
 * @throws PaipaiError (while it is iterated) PAIPAI_ERR_SHARD_SIZE, PAIPAI_ERR_DATA_EMPTY, PAIPAI_ERR_RECORD_TOO_LONG,
 * PAIPAI_ERR_CSV_SYNTAX when the data end inside a quoted field, PAIPAI_ERR_ABORTED, and what the source fails with.
 */
export async function* splitSource(
  env: Env,
  source: DataSource,
  options: SplitOptions = {},
): AsyncGenerator<ShardPiece, void, undefined> {
  const { shardBytes, records } = checkSplitOptions(options);
  if (source.sizeBytes !== undefined) checkShardCount(source.sizeBytes, shardBytes);
  const blockBytes = blockBytesFor(source, shardBytes, records);
  const windows = new WindowReader(
    source.blocks(env, { blockBytes, signal: options.signal }),
    shardBytes,
  );
  let index = 0;
  let offset = 0;
  try {
    for (;;) {
      const window = await windows.next();
      if (window === null) break;
      if (index === shardCountMax) throw tooManyShards();
      const bytes =
        records === undefined
          ? window.bytes.byteLength
          : recordsIn(window.bytes, records, window.last, offset);
      const last = window.last && bytes === window.bytes.byteLength;
      const { content, release } = windows.take(bytes);
      yield { index, offset, bytes, content, last, release };
      index++;
      offset += bytes;
    }
  } finally {
    await windows.close();
  }
  if (index === 0) throw dataEmpty();
}

/**
 * Where `splitSource` will cut. Arithmetic when the cuts do not depend on the content; a reading of the whole when they do.
 * @throws PaipaiError as `splitSource` does; PAIPAI_ERR_INVALID_STATE for a source that can be read once.
 */
export async function planCuts(
  env: Env,
  source: DataSource,
  options: SplitOptions = {},
): Promise<ShardCut[]> {
  const { shardBytes, records } = checkSplitOptions(options);
  if (!source.repeatable) {
    throw new PaipaiError(
      'PAIPAI_ERR_INVALID_STATE',
      'A stream can be read once, so where it will be cut is known only while it is transferred.',
    );
  }
  const cuts: ShardCut[] = [];
  if (records !== undefined) {
    for await (const { index, offset, bytes, release } of splitSource(env, source, options)) {
      cuts.push({ index, offset, bytes });
      release();
    }
    return cuts;
  }
  const sizeBytes = (await source.measure(env)) ?? 0; // Whatever can be read twice knows its size.
  if (sizeBytes === 0) throw dataEmpty();
  checkShardCount(sizeBytes, shardBytes);
  for (let offset = 0; offset < sizeBytes; offset += shardBytes) {
    cuts.push({ index: cuts.length, offset, bytes: Math.min(shardBytes, sizeBytes - offset) });
  }
  return cuts;
}

/** @throws PaipaiError PAIPAI_ERR_SHARD_SIZE, or PAIPAI_ERR_INVALID_ARGUMENT when `shardBytes` is no integer at all. */
export function checkSplitOptions(options: SplitOptions): {
  shardBytes: number;
  records: RecordKind | undefined;
} {
  const shardBytes = checkInteger(
    'shardBytes',
    options.shardBytes === undefined ? shardBytesDefault : options.shardBytes,
    Number.MIN_SAFE_INTEGER,
    Number.MAX_SAFE_INTEGER,
  );
  if (shardBytes < shardBytesMin || shardBytes > shardBytesMax) {
    throw new PaipaiError(
      'PAIPAI_ERR_SHARD_SIZE',
      `shardBytes is ${shardBytes}; a shard has ${shardBytesMin} to ${shardBytesMax} bytes.`,
    );
  }
  const { records } = options;
  return {
    shardBytes,
    records: records === undefined ? undefined : checkOneOf('records', records, recordKinds),
  };
}

function recordsIn(
  bytes: Uint8Array,
  records: RecordKind,
  reachesEnd: boolean,
  offset: number,
): number {
  const { end, insideQuotes } = lastRecordEnd(bytes, records);
  if (reachesEnd) {
    if (!insideQuotes) return bytes.byteLength; // The last record may do without its newline.
    throw new PaipaiError(
      'PAIPAI_ERR_CSV_SYNTAX',
      `The data end inside a quoted field; its record begins at byte ${offset + end}.`,
    );
  }
  if (end > 0) return end;
  throw new PaipaiError(
    'PAIPAI_ERR_RECORD_TOO_LONG',
    `The record at byte ${offset} is longer than a shard of ${bytes.byteLength} bytes` +
      `${insideQuotes ? ', or its quotes are not closed' : ''}. Raise shardBytes (at most ${shardBytesMax}).`,
  );
}

/**
 * Small shards share a block, so that reading does not pay for each of them. With records every block ends in the middle of a
 * shard, which is then copied together: several shards a block keep that rare. What is in memory already comes as one block.
 */
function blockBytesFor(
  source: DataSource,
  shardBytes: number,
  records: RecordKind | undefined,
): number {
  const aimBytes = 1024 * 1024;
  if (records === undefined) {
    return shardBytes * Math.max(1, Math.floor(aimBytes / shardBytes));
  }
  if (source.kind === 'bytes') return Math.max(shardBytes, source.sizeBytes ?? 0);
  const recordBlockBytesMax = 16 * aimBytes;
  return Math.max(shardBytes, Math.min(Math.max(4 * shardBytes, aimBytes), recordBlockBytesMax));
}

function checkShardCount(sizeBytes: number, shardBytes: number): void {
  if (Math.ceil(sizeBytes / shardBytes) > shardCountMax) throw tooManyShards();
}

function tooManyShards(): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_SHARD_SIZE',
    `The data would have more than ${shardCountMax} shards. Raise shardBytes.`,
  );
}

function dataEmpty(): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_DATA_EMPTY', 'The data hold not one byte.');
}
