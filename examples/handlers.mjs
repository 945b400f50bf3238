/** Counts the words of a shard. Shards of text are cut between lines, so that no word is cut in two. */
export function wordCount(shard) {
  const text = new TextDecoder().decode(shard);
  return text.match(/\S+/g)?.length ?? 0;
}
wordCount.merge = (a, b) => a + b;

/** Each word, with the count 1: a map of `net.mapReduce`. */
export function words(shard, { emit }) {
  const text = new TextDecoder().decode(shard);
  for (const word of text.toLowerCase().match(/\p{L}+/gu) ?? []) emit(word, 1);
}

/** One count of several: its combine and its reduce. */
export function sum(_word, counts) {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}

/** What nodes answer to messages, by topic. */
export const onMessage = {
  greet: (name, { nodeId }) => `node ${nodeId} greets ${name}`,
};
