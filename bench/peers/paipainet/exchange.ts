/**
 * The cases `pingpong`, `requests` and `connections`: one promise for each request, or callbacks with borrowed bytes, as the
 * setting `surface` has it; deadlines and heartbeats on.
 */
import { connect, listen, type OnAnswer, type Peer } from 'paipainet/transport';
import { fillContent, messageBytesOf, Tally } from '../../support/content.js';
import { Latencies } from '../../support/latencies.js';
import { play, setting, warmUpSeconds } from '../../support/program.js';
import { addressFor, engineOf, isFast, pathOf, waitingOf } from './settings.js';

await play({
  async server(settings) {
    const payloadBytes = messageBytesOf(settings['message-bytes']);
    const taken = new Tally();
    const listener = await listen(addressFor(settings), {
      engine: engineOf(settings),
      path: pathOf(settings),
      waiting: waitingOf(settings),
      fast: {
        methods: {
          fastEcho(batch) {
            const { bytes, length } = batch;
            for (let i = 0; i < length; i++) {
              const start = batch.start(i);
              const end = batch.end(i);
              taken.addRange(bytes, start, end, payloadBytes);
              batch.replyRange(i, start, end);
            }
          },
        },
      },
      methods: {
        echo(payload) {
          taken.addBytes(payload, payloadBytes);
          return payload;
        },
      },
    });
    return {
      address: listener.address,
      verify: () => ({ takenCount: taken.count, takenChecksum: taken.checksum }),
      close: () => listener.close(),
    };
  },

  async client(settings, address) {
    const payloadBytes = messageBytesOf(settings['message-bytes']);
    const inFlight = setting(settings, 'in-flight', 1);
    const count = setting(settings, 'connections', 1);
    const seconds = setting(settings, 'seconds', 2);
    const latencies = inFlight * count === 1 ? new Latencies() : null;
    const answered = new Tally();
    const peers: Peer[] = [];
    for (let i = 0; i < count; i++) {
      peers.push(
        await connect(address, {
          engine: engineOf(settings),
          path: pathOf(settings),
          waiting: waitingOf(settings),
        }),
      );
    }
    /** Of each peer: peer i of n sends number i + k * n as its message k. */
    const sentCounts = peers.map(() => 0);
    // One for all requests: the payload is copied in the call.
    const words = new Int32Array(payloadBytes / 4);
    const payload = new Uint8Array(words.buffer);
    let isOver = false;

    /** One request after the other. */
    const call = async (peer: Peer, index: number): Promise<void> => {
      while (!isOver) {
        const sentCount = sentCounts[index] ?? 0;
        sentCounts[index] = sentCount + 1;
        const number = (index + sentCount * count) >>> 0;
        fillContent(words, 0, words.length, number);
        const answer = await peer.request('echo', payload);
        if (answered.addBytes(answer, payloadBytes) !== number) {
          throw new Error(`request ${number} got another answer`);
        }
        latencies?.lap();
      }
    };

    /** The same by callbacks: each answer starts the next request. */
    const callFast = ({ fast }: Peer, index: number): Promise<void> =>
      new Promise((resolve, reject) => {
        let number = 0;
        const next = (): void => {
          if (isOver) return resolve();
          const sentCount = sentCounts[index] ?? 0;
          sentCounts[index] = sentCount + 1;
          number = (index + sentCount * count) >>> 0;
          fillContent(words, 0, words.length, number);
          fast.request('fastEcho', payload, onAnswer);
        };
        const onAnswer: OnAnswer = (error, bytes, start, end) => {
          if (error !== null) return reject(error);
          if (answered.addRange(bytes, start, end, payloadBytes) !== number) {
            return reject(new Error(`request ${number} got another answer`));
          }
          latencies?.lap();
          next();
        };
        next();
      });
    const one = isFast(settings) ? callFast : call;

    const exchangeFor = async (duration: number): Promise<void> => {
      isOver = false;
      setTimeout(() => {
        isOver = true;
      }, duration * 1e3);
      latencies?.start();
      const calls = peers.flatMap((peer, index) =>
        Array.from({ length: inFlight }, () => one(peer, index)),
      );
      await Promise.all(calls);
    };

    await exchangeFor(warmUpSeconds);
    return {
      async run() {
        const before = answered.count;
        await exchangeFor(seconds);
        return {
          count: answered.count - before,
          waiting: settings.waiting ?? 'sleep',
          ...latencies?.facts(),
        };
      },
      verify() {
        const sent = new Tally();
        for (const [index, sentCount] of sentCounts.entries()) {
          sent.addKnown(index, count, sentCount, payloadBytes);
        }
        return {
          sentCount: sent.count,
          sentChecksum: sent.checksum,
          answeredCount: answered.count,
          answeredChecksum: answered.checksum,
        };
      },
      async close() {
        await Promise.all(peers.map((peer) => peer.close()));
      },
    };
  },
});
