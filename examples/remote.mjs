// Start a node elsewhere first; it prints where it listens:
//   npx paipainet node --listen tcp://127.0.0.1:7100 --handlers ./handlers.mjs
// then: node remote.mjs tcp://127.0.0.1:7100
import { Data, Net, Node } from 'paipainet';

const net = new Net();
net.addNode(new Node('far', { address: process.argv[2] ?? 'tcp://127.0.0.1:7100' }));
const book = Data.fromFile('book', new URL('./book.txt', import.meta.url), { records: 'lines' });
net.addData(book);

try {
  await net.start();
  const { value } = await net.process(book, 'wordCount');
  console.log('words:', value);
} finally {
  await net.close();
}
