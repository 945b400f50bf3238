import type { Random } from '../base/env.js';

/** 1 to 2^53 - 1: so many that none comes twice, also in another life of the coordinator. */
export function drawLeaseId(random: Random): number {
  const bytes = random.bytes(7);
  const id = bytes.reduce((sum, byte, at) => sum * 256 + (at === 0 ? byte & 0x1f : byte), 0);
  return Math.max(1, id);
}
