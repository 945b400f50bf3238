import { expect, onTestFinished, test } from 'vitest';
import {
  type DatagramSocket,
  formatEndpoint,
} from '../../../dist/cluster/membership/datagram-network.js';
import { UdpNetwork } from '../../../dist/node/udp-network.js';
import { openDescriptors, reached } from '../../main-job/nets.js';

/** What a socket is told, in the order in which it was. */
interface Heard {
  readonly socket: DatagramSocket;
  readonly address: string;
  readonly datagrams: { text: string; from: string }[];
  readonly refused: string[];
}

async function open(host = '127.0.0.1'): Promise<Heard> {
  const socket = await new UdpNetwork().bind(host, 0);
  onTestFinished(() => socket.close());
  const heard: Heard = {
    socket,
    address: formatEndpoint(socket.endpoint),
    datagrams: [],
    refused: [],
  };
  socket.receiver = {
    onDatagram: (bytes, from) =>
      heard.datagrams.push({ text: Buffer.from(bytes).toString(), from }),
    onRefused: (address) => heard.refused.push(address),
  };
  return heard;
}

/** An address of this host at which nobody listens any more. */
async function closedAddress(host?: string): Promise<string> {
  const { socket, address } = await open(host);
  socket.close();
  return address;
}

const word = (text: string): Uint8Array => new TextEncoder().encode(text);
const until = (isReached: () => boolean): Promise<boolean> => reached(10_000, isReached);

test.each(['127.0.0.1', '::1'])('on %s datagrams come, and can be answered', async (host) => {
  const [near, far] = [await open(host), await open(host)];
  near.socket.send(far.address, word('by the way'));
  near.socket.probe(far.address, word('are you there?'));
  expect(await until(() => far.datagrams.length === 2)).toBe(true);
  const said = far.datagrams.map(({ text }) => text).sort();
  expect(said).toEqual(['are you there?', 'by the way']);
  for (const { from, text } of far.datagrams) far.socket.send(from, word(`re: ${text}`));
  expect(await until(() => near.datagrams.length === 2)).toBe(true);
  // From where they were sent to, whichever socket they came through.
  expect(near.datagrams.map(({ from }) => from)).toEqual([far.address, far.address]);
});

test.each(['127.0.0.1', '::1'])('on %s a closed port refuses a probe, each time', async (host) => {
  const near = await open(host);
  const gone = await closedAddress(host);
  near.socket.send(gone, word('not a probe'));
  for (let count = 1; count <= 3; count++) {
    near.socket.probe(gone, word('are you there?'));
    expect(await until(() => near.refused.length === count)).toBe(true);
  }
  expect(near.refused).toEqual([gone, gone, gone]);
});

test('a process that stands still does not refuse: its port is open', async () => {
  const near = await open();
  const silent = await open(); // Whose datagrams nobody reads is, to the sender, the same as one that reads and says nothing.
  const gone = await closedAddress();
  for (let count = 0; count < 10; count++) near.socket.probe(silent.address, word('?'));
  near.socket.probe(gone, word('?'));
  expect(await until(() => near.refused.length > 0)).toBe(true);
  expect(near.refused).toEqual([gone]);
});

test('probes of many members share a few sockets, and each is refused', async () => {
  const near = await open();
  const before = openDescriptors();
  const gone = await Promise.all(Array.from({ length: 100 }, () => closedAddress()));
  for (const address of gone) {
    const { length } = near.refused;
    near.socket.probe(address, word('?'));
    await until(() => near.refused.length > length);
  }
  expect(new Set(near.refused)).toEqual(new Set(gone));
  expect(openDescriptors() - before).toBeLessThanOrEqual(33);
  near.socket.close();
  expect(await until(() => openDescriptors() < before)).toBe(true);
});

test('what is no address, or cannot be reached from here, is lost without a word', async () => {
  const near = await open();
  for (const address of ['nowhere', 'host:1', '', '[::1]:9', '127.0.0.1:0']) {
    near.socket.send(address, word('?'));
  }
  near.socket.probe('nowhere', word('?'));
  near.socket.close();
  near.socket.send(near.address, word('after the end'));
  near.socket.probe(near.address, word('after the end'));
  const next = await open();
  next.socket.send(next.address, word('still alive'));
  expect(await until(() => next.datagrams.length === 1)).toBe(true);
});

test('a port that somebody has, or an address of somebody else, cannot be bound', async () => {
  const { socket } = await open();
  const network = new UdpNetwork();
  await expect(network.bind('127.0.0.1', socket.endpoint.port)).rejects.toMatchObject({
    code: 'EADDRINUSE',
  });
  await expect(network.bind('192.0.2.1', 0)).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' });
});
