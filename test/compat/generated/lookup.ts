import fc from 'fast-check';
import { lookupAll } from '../scenes/happy-eyeballs.js';
import { lookupOf, lookups } from '../scenes/lookup.js';
import { closed, freePort, listening, once } from '../support.js';
import { type Generated, type Step, socketCalls, stepsOf, takeAll } from './calls.js';

/** Names that are looked up by a function that does as it likes, and sockets that are used meanwhile. */

const calls = [
  'write',
  'end',
  'destroy',
  'destroyWith',
  'pause',
  'resume',
  'resetAndDestroy',
  'setTimeout',
  'unref',
  'ref',
] as const;

interface Misbehaviour {
  readonly behaviour: string;
  readonly options: object;
  readonly steps: readonly Step[];
}

export const misbehavingLookup: Generated<Misbehaviour> = {
  runCount: 80,
  inputs: fc.record({
    behaviour: fc.constantFrom(...Object.keys(lookups)),
    options: fc.record(
      {
        family: fc.constantFrom(0, 4, 6),
        autoSelectFamily: fc.boolean(),
        hints: fc.constantFrom(0, 32),
        localAddress: fc.constantFrom('127.0.0.1', '::1'),
        allowHalfOpen: fc.boolean(),
      },
      { requiredKeys: [] },
    ),
    steps: stepsOf(['client'], calls, { maxLength: 4 }),
  }),
  async play(net, recorder, { behaviour, options, steps }) {
    const server = net.createServer((socket) => socket.on('error', () => {}).resume());
    const port = await listening(server);
    const lookup = lookupOf(behaviour, (...what) => recorder.note('lookup', ...what));
    const client = recorder.socket('client', new net.Socket(options));
    recorder.attempt('connect', () =>
      client.connect({ port, host: 'some.name', lookup, ...options }),
    );
    await takeAll({ client }, socketCalls, steps, recorder);
    client.destroy();
    server.close();
    await closed(client, server);
  },
};

interface Attempts {
  readonly addresses: readonly string[];
  readonly isAll: boolean;
  readonly localAddress: string | undefined;
  readonly gives: string | undefined;
}

const attemptEvents = ['lookup', 'connectionAttempt', 'connectionAttemptFailed', 'connect'];

export const severalAddresses: Generated<Attempts> = {
  runCount: 80,
  inputs: fc.record({
    addresses: fc.array(fc.constantFrom('LIVE', '127.0.0.9', '::1', '127.0.0.8', '198.51.100.x'), {
      minLength: 1,
      maxLength: 5,
    }),
    isAll: fc.boolean(),
    localAddress: fc.constantFrom(undefined, undefined, '127.0.0.3', '::1'),
    /** The event on which the socket is destroyed. */
    gives: fc.constantFrom(undefined, undefined, ...attemptEvents),
  }),
  async play(net, recorder, { addresses, isAll, localAddress, gives }) {
    const server = net.createServer((socket) => socket.on('error', () => {}).resume());
    const port = await listening(server);
    const lookup = lookupAll(
      addresses.map((each) => {
        const address = each === 'LIVE' ? '127.0.0.1' : each;
        return { address, family: address.includes(':') ? 6 : 4 };
      }),
    );
    const client = net.connect({
      ...{ port, host: 'some.name', lookup, autoSelectFamily: isAll },
      ...(localAddress === undefined ? {} : { localAddress }),
    });
    recorder.socket('client', client);
    client.write('written before');
    if (gives !== undefined) client.once(gives, () => client.destroy());
    await Promise.race([once(client, 'connect'), closed(client)]);
    recorder.note('client', client.remoteAddress, client.autoSelectFamilyAttemptedAddresses);
    client.end('and after');
    server.close();
    await closed(client, server);
    recorder.note('free', typeof (await freePort(net)));
  },
};
