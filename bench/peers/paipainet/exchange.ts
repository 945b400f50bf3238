/**
 * The cases `pingpong`, `requests` and `connections`: one promise for each request, or callbacks with borrowed bytes, as the
 * setting `surface` has it; deadlines and heartbeats on.
 */
import { connect, listen, type OnAnswer, type Peer } from 'paipainet/transport';
import { fillContent, Tally } from '../../support/content.js';
import {
  type Course,
  ExchangeClient,
  exchangePlanOf,
  takingServer,
} from '../../support/exchange.js';
import { play } from '../../support/program.js';
import { echoService } from './echo.js';
import { addressFor, engineOf, isFast, pathOf, waitingOf } from './settings.js';

await play({
  async server(settings) {
    const { payloadBytes } = exchangePlanOf(settings);
    const taken = new Tally();
    const listener = await listen(addressFor(settings), {
      engine: engineOf(settings),
      path: pathOf(settings),
      waiting: waitingOf(settings),
      ...echoService(taken, payloadBytes),
    });
    return takingServer(listener.address, taken, () => listener.close());
  },

  async client(settings, address) {
    const client = new ExchangeClient(exchangePlanOf(settings));
    const { answered, courses, plan } = client;
    const peers: Peer[] = [];
    // One for all requests: the payload is copied in the call.
    const words = new Int32Array(plan.payloadBytes / 4);
    const payload = new Uint8Array(words.buffer);

    /** One request after the other. */
    const call = async (peer: Peer, course: Course): Promise<void> => {
      do {
        const number = course.begin();
        fillContent(words, 0, words.length, number);
        const answer = await peer.request('echo', payload);
        if (answered.addBytes(answer, plan.payloadBytes) !== number) {
          throw new Error(`request ${number} got another answer`);
        }
        client.lap();
      } while (!client.isOver);
    };

    /** The same by callbacks: each answer starts the next request. */
    const callFast = ({ fast }: Peer, course: Course): Promise<void> =>
      new Promise((resolve, reject) => {
        let number = 0;
        const next = (): void => {
          number = course.begin();
          fillContent(words, 0, words.length, number);
          fast.request('fastEcho', payload, onAnswer);
        };
        const onAnswer: OnAnswer = (error, bytes, start, end) => {
          if (error !== null) return reject(error);
          if (answered.addRange(bytes, start, end, plan.payloadBytes) !== number) {
            return reject(new Error(`request ${number} got another answer`));
          }
          client.lap();
          if (client.isOver) resolve();
          else next();
        };
        next();
      });
    const one = isFast(settings) ? callFast : call;

    return client.role({
      async open() {
        peers.push(
          await connect(address, {
            engine: engineOf(settings),
            path: pathOf(settings),
            waiting: waitingOf(settings),
          }),
        );
      },
      async exchangeFor(seconds) {
        client.startFor(seconds);
        const calls = peers.flatMap((peer, index) =>
          // There is a course for each peer.
          Array.from({ length: plan.inFlight }, () => one(peer, courses[index] as Course)),
        );
        await Promise.all(calls);
      },
      async close() {
        await Promise.all(peers.map((peer) => peer.close()));
      },
      waiting: settings.waiting,
    });
  },
});
