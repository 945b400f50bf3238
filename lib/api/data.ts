import { fileURLToPath } from 'node:url';
import { checkId, checkInteger, checkOptions, invalidArgument } from '../base/check.js';
import { PaipaiError } from '../base/errors.js';
import { sha256Of } from '../data/checksum.js';
import { FileSource } from '../data/file-source.js';
import { BytesSource, ZeroSource } from '../data/memory-source.js';
import type { RecordKind } from '../data/shard.js';
import type { DataSource } from '../data/source.js';
import { checkSplitOptions } from '../data/splitter.js';
import { StoredSource } from '../data/stored-source.js';
import { type ByteStream, StreamSource } from '../data/stream-source.js';
import { createRealEnv } from '../node/real-env.js';

export interface DataOptions {
  /** Bytes of a shard: 1 B to 64 MiB, default 1 MiB. */
  shardBytes?: number;
  /**
   * Cuts at the ends of records only: rows of CSV (RFC 4180), or lines. Shards then have at most `shardBytes`; a longer record is
   * PAIPAI_ERR_RECORD_TOO_LONG.
   */
  records?: RecordKind;
  /** Data are immutable: changed content is a new version. From 0, default 0. */
  version?: bigint | number;
  /** On how many nodes each shard lies: 1 to 16, default 1. */
  replicas?: number;
}

/** Zero bytes of a given number, bytes in memory, or a stream of bytes that is read once. */
export type DataInput = number | Uint8Array | ArrayBuffer | SharedArrayBuffer | ByteStream;

const dataNames: ReadonlySet<string> = new Set<keyof DataOptions>([
  'shardBytes',
  'records',
  'version',
  'replicas',
]);
const replicasMax = 16;
const versionMax = 2n ** 64n - 1n;

/**
 * Something to transfer and to process: an id, and where the bytes come from. Nothing is read before it is needed. Bytes in memory
 * are not copied, and files are read where they are: leave both unchanged while the data are in use.
 */
export class Data {
  readonly id: string;
  readonly version: bigint;
  readonly shardBytes: number;
  readonly records: RecordKind | undefined;
  readonly replicas: number;
  readonly source: DataSource;

  /**
   * @param id 1 to 255 bytes of text, or an integer from 0, which is the same as its decimal digits.
   * @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT, PAIPAI_ERR_DATA_EMPTY for no bytes, PAIPAI_ERR_SHARD_SIZE.
   */
  constructor(
    id: string | number,
    source: DataInput | FileSource | StoredSource,
    options: DataOptions = {},
  ) {
    this.id = checkId('id', id);
    checkOptions('options', options, dataNames);
    this.version = checkVersion(options.version ?? 0);
    const { shardBytes, records } = checkSplitOptions(options);
    this.shardBytes = shardBytes;
    this.records = records;
    this.replicas = checkInteger('replicas', options.replicas ?? 1, 1, replicasMax);
    this.source =
      source instanceof FileSource || source instanceof StoredSource ? source : sourceOf(source);
    if (this.source.sizeBytes === 0) {
      throw new PaipaiError('PAIPAI_ERR_DATA_EMPTY', `The data ${this.id} hold not one byte.`, {
        dataId: this.id,
      });
    }
  }

  /**
   * The content of a file. It is looked at when it is first needed, not here.
   * @param path a path, or a `file:` URL.
   */
  static fromFile(id: string | number, path: string | URL, options: DataOptions = {}): Data {
    return new Data(id, new FileSource(checkPath(path)), options);
  }

  /**
   * Data that lie on nodes already, known by their id: `net.find` takes them as transferred, `net.read` reads them. There is nothing to transfer:
   * what would need that fails with PAIPAI_ERR_UNKNOWN_DATA.
   * @param options how they were cut does not matter, and is not told.
   */
  static stored(
    id: string | number,
    options: Pick<DataOptions, 'version' | 'replicas'> = {},
  ): Data {
    return new Data(id, new StoredSource(checkId('id', id)), options);
  }

  /** Undefined while it is not known: of a file before it is first looked at, of a stream before its end. */
  get sizeBytes(): number | undefined {
    return this.source.sizeBytes;
  }

  /**
   * SHA-256 of the whole, as 64 hex digits. This reads the source: a stream cannot be transferred afterwards.
   * @throws PaipaiError PAIPAI_ERR_SOURCE_FAILED, _SOURCE_CHANGED, _SOURCE_CONSUMED.
   */
  sha256(): Promise<string> {
    return sha256Of(createRealEnv(), this.source);
  }
}

function checkVersion(version: unknown): bigint {
  if (typeof version === 'bigint') {
    if (version >= 0n && version <= versionMax) return version;
    throw invalidArgument('version', `a bigint from 0 to ${versionMax}`, version);
  }
  return BigInt(checkInteger('version', version, 0, Number.MAX_SAFE_INTEGER));
}

function checkPath(path: unknown): string {
  if (typeof path === 'string' && path.length > 0 && !path.includes('\0')) return path;
  if (path instanceof URL && path.protocol === 'file:') return fileURLToPath(path);
  throw invalidArgument('path', 'a path or a file: URL', path);
}

function sourceOf(input: unknown): DataSource {
  if (typeof input === 'number') {
    return new ZeroSource(checkInteger('size', input, 0, Number.MAX_SAFE_INTEGER));
  }
  if (ArrayBuffer.isView(input)) {
    return new BytesSource(new Uint8Array(input.buffer, input.byteOffset, input.byteLength));
  }
  if (input instanceof ArrayBuffer || input instanceof SharedArrayBuffer) {
    return new BytesSource(new Uint8Array(input));
  }
  if (isByteStream(input)) return new StreamSource(input);
  throw invalidArgument(
    'source',
    'a size, bytes, a stream or an async iterable of bytes (for a path there is Data.fromFile)',
    input,
  );
}

function isByteStream(input: unknown): input is ByteStream {
  if (typeof input !== 'object' || input === null) return false;
  return input instanceof ReadableStream || Symbol.asyncIterator in input;
}
