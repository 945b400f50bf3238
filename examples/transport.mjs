// Requests, messages and a stream between two peers. In earnest they are two programs; run it with: node transport.mjs
import { connect, listen } from 'paipainet/transport';

const text = (bytes) => new TextDecoder().decode(bytes);

const listener = await listen('tcp://127.0.0.1:0', {
  methods: {
    shout: (payload) => Buffer.from(text(payload).toUpperCase()),
  },
  topics: {
    seen: (payload, { peer }) => console.log(`${peer.remoteNodeId} has seen`, text(payload)),
  },
  async onStream(stream) {
    let bytes = 0;
    for await (const chunk of stream) bytes += chunk.length;
    stream.end(Buffer.from(`${bytes} bytes of ${stream.method}`));
  },
});

const peer = await connect(listener.address, { nodeId: 'reader', reconnect: { backoffMs: 50 } });
peer.on('drop', (error) => console.log('connecting again:', error.message));

// One request, one answer, with a deadline.
console.log(text(await peer.request('shout', Buffer.from('hello'), { deadlineMs: 1_000 })));

// One way, to one peer and to all.
const news = new Promise((resolve) =>
  peer.once('message', (topic, payload) => resolve([topic, text(payload)])),
);
listener.broadcast('news', Buffer.from('a book has come'));
console.log(...(await news));
if (!peer.send('seen', Buffer.from('the news'))) await peer.drained();

// A stream: each write waits for the reader's credit.
const stream = peer.openStream('upload');
for (let i = 0; i < 16; i++) await stream.write(new Uint8Array(64 * 1024));
stream.end();
console.log(text(await stream.ended));

console.log(`over ${peer.path}`);
await peer.close();
await listener.close();
