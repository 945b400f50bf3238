import { errorOfResult } from '../base/errors.js';
import type { NativeBinding } from './binding.js';

/** CRC32C by the addon: tens of GB/s instead of one. */
export function nativeCrc32c(binding: NativeBinding): (bytes: Uint8Array) => number {
  return (bytes) => binding.crc32c(bytes, 0);
}

/**
 * The shard header's codec in C++, for fields of type `T` (`ShardHeader` of `lib/wire`, which this floor does not import).
 * Both throw PaipaiError PAIPAI_ERR_SHARD_HEADER or PAIPAI_ERR_SHARD_SIZE.
 */
export function nativeShardCodec<T extends object>(
  binding: NativeBinding,
): { encode(header: T): Uint8Array; decode(bytes: Uint8Array): T } {
  return {
    encode(header) {
      const written = binding.writeShardHeader(header);
      if (typeof written === 'number') throw errorOfResult(written, 'writing a shard header');
      return written;
    },
    decode(bytes) {
      const parsed = binding.parseShardHeader(bytes);
      if (typeof parsed === 'number') throw errorOfResult(parsed, 'reading a shard header');
      return parsed as T; // The golden test holds the addon to the fields of T.
    },
  };
}
