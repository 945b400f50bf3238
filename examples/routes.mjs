import { Net, Node } from 'paipainet';

// Messages to one node and to all of them; handlers.mjs says what they answer. With an address, through the node that listens there and to all
// of its net, of which no other has to be reachable from here:
//   npx paipainet node --id a --listen tcp://127.0.0.1:7100 --handlers ./handlers.mjs
//   npx paipainet node --id b --listen tcp://127.0.0.1:0 --join tcp://127.0.0.1:7100 --handlers ./handlers.mjs
//   node routes.mjs tcp://127.0.0.1:7100
const [, , hub] = process.argv;
const net = new Net(
  hub === undefined
    ? { handlers: new URL('./handlers.mjs', import.meta.url) }
    : { route: 'hub', join: [hub] },
);
if (hub === undefined) for (const id of ['a', 'b', 'c']) net.addNode(new Node(id));

await net.start();
try {
  console.log(await net.send('b', 'greet', 'Ada'));
  const { confirmed, failed } = await net.broadcast('greet', 'everybody', { deadlineMs: 5_000 });
  for (const { value } of confirmed) console.log(value);
  for (const { nodeId, error } of failed) console.log(`node ${nodeId} failed: ${error.code}`);
} finally {
  await net.close();
}
