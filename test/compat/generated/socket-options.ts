import fc from 'fast-check';
import { ended, listening, once, settle } from '../support.js';
import { systemOptionsOf } from '../system-options.js';
import { type Generated, type Step, socketCalls, stepsOf, take } from './calls.js';

/** Options given in any order, before, while and after connecting; what the system has at the end. */
interface Told {
  readonly server: object;
  readonly client: object;
  readonly before: readonly Step[];
  readonly during: readonly Step[];
  readonly after: readonly Step[];
}

const calls = ['setNoDelay', 'setKeepAlive', 'setKeepAlive', 'ref', 'unref'];

const options = fc.record(
  {
    noDelay: fc.boolean(),
    keepAlive: fc.boolean(),
    keepAliveInitialDelay: fc.nat(20_000),
  },
  { requiredKeys: [] },
);

const steps = (on: readonly string[]): fc.Arbitrary<Step[]> =>
  stepsOf(on, calls, { maxLength: 4, numbers: fc.nat(20_000) });

export const socketOptions: Generated<Told> = {
  runCount: 6,
  inputs: fc.record({
    server: options,
    client: options,
    before: steps(['client']),
    during: steps(['client']),
    after: steps(['client', 'accepted']),
  }),
  async play(
    net,
    recorder,
    { server: serverOptions, client: clientOptions, before, during, after },
  ) {
    const server = net.createServer(serverOptions);
    const port = await listening(server);
    const accepting = once(server, 'connection');
    const client = recorder.socket('client', new net.Socket());
    for (const step of before) take(client, socketCalls, step, recorder);
    client.connect({ port, host: '127.0.0.1', ...clientOptions });
    for (const step of during) take(client, socketCalls, step, recorder);
    const [accepted] = await accepting;
    await settle(recorder);
    const sockets = { client, accepted };
    for (const step of after) {
      take(sockets[step.on as 'client'], socketCalls, step, recorder);
    }
    recorder.note('system', systemOptionsOf(client, accepted));
    client.destroy();
    accepted.destroy();
    await ended(server, client, accepted);
  },
};
