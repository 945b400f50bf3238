/** Handlers for the tests of nets through a hub. */
export { byteSum, endless, length } from './handlers.mjs';
export { onMessage } from './message-handlers.mjs';

/** How often each byte is there. */
export function byteCounts(shard, { emit }) {
  const counts = new Uint32Array(256);
  for (const byte of shard) counts[byte]++;
  for (const [byte, count] of counts.entries()) if (count > 0) emit(String(byte), count);
}

export function sum(_key, counts) {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}
