/** Most partitions of one job: each costs a mapper a place in every output, and the client a stream from every node. */
export const partitionsMax = 1_024;

/**
 * Which of `partitions` a key belongs to, 0 to `partitions - 1`: FNV-1a over the UTF-16 code units, then the last steps of MurmurHash3,
 * since FNV alone spreads short keys badly over its high bits. Every node must come to the same answer, so this is part of what nodes agree
 * on, with golden values in its test.
 */
export function partitionOf(key: string, partitions: number): number {
  let hash = 0x811c_9dc5;
  for (let at = 0; at < key.length; at++) {
    hash = Math.imul(hash ^ key.charCodeAt(at), 0x0100_0193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  hash = (hash ^ (hash >>> 16)) >>> 0;
  return Math.floor((hash / 2 ** 32) * partitions);
}
