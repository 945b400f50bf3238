import { chanceOf } from '../accept/soak/chance.mjs';

/** Bytes that look like nothing, the same for the same seed. @param count of them, a multiple of 4 */
export function seededBytes(count, seed) {
  const { between } = chanceOf(seed);
  const words = new Uint32Array(count / 4);
  for (let at = 0; at < words.length; at++) words[at] = between(0, 2 ** 32 - 1);
  return new Uint8Array(words.buffer);
}
