// mqtt. It takes a socket from a stream builder.

import { once } from 'node:events';
import mqtt from 'mqtt';
import { bytesOf, digest, net, see, servers, times } from './way.mjs';

const { port } = servers.mosquitto;

function clientOf(options) {
  const all = { host: '127.0.0.1', port, reconnectPeriod: 1, ...options };
  if (net === undefined) return mqtt.connect(all);
  const builder = () => net.connect({ port, host: '127.0.0.1' });
  return new mqtt.MqttClient(builder, { ...all, clientId: `ours-${Math.random()}`.slice(0, 20) });
}

/** Resolves when `count` messages of a topic have come. */
function messages(client, wanted, count) {
  return new Promise((resolve) => {
    const heard = [];
    client.on('message', function take(topic, payload, { qos, retain }) {
      if (topic !== wanted) return;
      heard.push([topic, digest(payload), qos, retain]);
      if (heard.length < count) return;
      client.off('message', take);
      resolve(heard);
    });
  });
}

async function work(where, options) {
  const sender = clientOf(options);
  const receiver = clientOf(options);
  await receiver.subscribeAsync('news/#', { qos: 2 });

  for (const qos of [0, 1, 2]) {
    const heard = messages(receiver, `news/${qos}`, 500 * times);
    for (let n = 0; n < 500 * times; n++) sender.publish(`news/${qos}`, `item ${n}`, { qos });
    see(`${where}: quality ${qos}`, digest(Buffer.from(JSON.stringify(await heard))));
  }

  const large = messages(receiver, 'news/large', 12);
  const sent = Array.from({ length: 12 }, (_, n) =>
    sender.publishAsync('news/large', bytesOf(1 << 20, n), { qos: n % 3 }),
  );
  await Promise.all(sent);
  see(`${where}: large`, (await large).sort());

  await sender.publishAsync('kept', 'last word', { qos: 1, retain: true });
  const kept = messages(receiver, 'kept', 1);
  await receiver.subscribeAsync('kept');
  see(`${where}: retained`, await kept);

  // What it leaves behind when its connection breaks.
  const mortal = clientOf({
    ...options,
    reconnectPeriod: 0,
    will: { topic: 'news/will', payload: 'goodbye', qos: 1 },
  });
  await once(mortal, 'connect');
  const will = messages(receiver, 'news/will', 1);
  mortal.stream.destroy();
  see(`${where}: last will`, await will);
  await mortal.endAsync(true);

  // It connects again, and subscribes again to what it had.
  for (let n = 0; n < 5; n++) {
    receiver.stream.destroy();
    await once(receiver, 'close');
    await once(receiver, 'connect');
    await receiver.subscribeAsync('news/#', { qos: 2 });
    const again = messages(receiver, 'news/again', 1);
    sender.publish('news/again', `${n}`, { qos: 2 });
    see(`${where}: connected again ${n}`, (await again).at(-1));
  }

  await Promise.all([sender, receiver].map((each) => each.endAsync()));
}

await work('version 4', { protocolVersion: 4 });
await work('version 5', { protocolVersion: 5 });
