// Asks for the drivers in its arguments, one after the other, and prints what came of each.

import { connect, listen } from '../../../dist/api/transport.js';
import { Net, Node } from '../../../dist/index.js';

const outcomes = [];
for (const io of process.argv.slice(2)) {
  try {
    const listener = await listen('tcp://127.0.0.1:0', {
      io,
      methods: { echo: (payload) => payload },
    });
    const peer = await connect(listener.address, { io });
    const answer = await peer.request('echo', Buffer.from('hello'));
    await peer.close();
    await listener.close();
    outcomes.push(Buffer.from(answer).toString());
  } catch (error) {
    outcomes.push({ code: error.code, message: error.message });
  }
}
let info;
const net = new Net({ runAs: 'inline' });
net.addNode(new Node('only'));
try {
  await net.start();
  info = net.info().io;
} catch (error) {
  info = { code: error.code };
} finally {
  await net.close();
}
console.log(JSON.stringify({ outcomes, info }));
