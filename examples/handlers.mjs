/** Counts the words of a shard. Shards of text are cut between lines, so that no word is cut in two. */
export function wordCount(shard) {
  const text = new TextDecoder().decode(shard);
  return text.match(/\S+/g)?.length ?? 0;
}
wordCount.merge = (a, b) => a + b;
