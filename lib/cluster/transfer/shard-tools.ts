import type { ShardHeader } from '../../wire/shard-header.js';

/** What the engine in use computes about shards; in C++ where the native one is. */
export interface ShardTools {
  readonly shardCodec: {
    encode(header: ShardHeader): Uint8Array;
    decode(bytes: Uint8Array): ShardHeader;
  };
}
