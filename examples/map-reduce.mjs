import { Data, Net, Node } from 'paipainet';

// How often each word occurs: the nodes count in their own shards, and each adds up some of the words.
const net = new Net({ handlers: new URL('./handlers.mjs', import.meta.url) });
for (const id of [1, 2]) net.addNode(new Node(id));
const book = Data.fromFile('book', new URL('./book.txt', import.meta.url), {
  shardBytes: 4096,
  records: 'lines',
});
net.addData(book);

await net.start();
try {
  const { value, report } = await net.mapReduce(book, {
    map: 'words',
    combine: 'sum',
    reduce: 'sum',
  });
  const frequent = [...value].sort(([, a], [, b]) => b - a).slice(0, 5);
  for (const [word, count] of frequent) console.log(`${word}: ${count}`);
  console.log(`${report.keys} words in ${report.shards} shards, ${report.partitions} partitions`);
} finally {
  await net.close();
}
