/** Words between spaces and line ends, each with the count 1. The text is ASCII, so that a byte is a letter. */
export function words(shard, { emit }) {
  const text = Buffer.from(shard.buffer, shard.byteOffset, shard.byteLength).toString('latin1');
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    if (text.charCodeAt(at) > 32) continue;
    if (at > start) emit(text.slice(start, at), 1);
    start = at + 1;
  }
  if (start < text.length) emit(text.slice(start), 1);
}

export function sum(_word, counts) {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}
