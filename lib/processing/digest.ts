import { PaipaiError } from '../base/errors.js';
import { combineCrc32c } from '../wire/crc32c.js';
import type { Handler } from './handlers.js';

/** What the built-in handler `digest` says of data, or of the shards of them that lie on one node. */
export interface Digest {
  readonly bytes: number;
  readonly shards: number;
  /** CRC32C of the shards one behind the other, in order: 8 hexadecimal digits. */
  readonly checksum: string;
}

export const digestName = 'digest';

/**
 * A shard's part of the digest is `[bytes, CRC32C]`. There is no merge, because sums combine only in the order of the shards,
 * and the shards of a node are seldom neighbours; `summarizeDigest` puts them together where all are known.
 */
export function digestHandler(crc32c: (bytes: Uint8Array) => number): Handler {
  return { process: (shard) => [shard.byteLength, crc32c(shard)] };
}

/** @param values what `digestHandler` gave for each shard, in the order of the shards */
export function summarizeDigest(values: readonly unknown[]): Digest {
  let bytes = 0;
  let checksum = 0;
  for (const value of values) {
    const [shardBytes, shardChecksum]: unknown[] = Array.isArray(value) ? value : [];
    if (typeof shardBytes !== 'number' || typeof shardChecksum !== 'number') {
      throw new PaipaiError('PAIPAI_ERR_VALUE', 'a node answered with a malformed digest');
    }
    bytes += shardBytes;
    checksum = combineCrc32c(checksum, shardChecksum, shardBytes);
  }
  return { bytes, shards: values.length, checksum: checksum.toString(16).padStart(8, '0') };
}
