import fc from 'fast-check';
import { ended, pair, settle } from '../support.js';
import { type Generated, type Step, socketCalls, stepsOf, takeAll } from './calls.js';

/** Some life, then a reset by either side, and whatever comes behind it. */
interface Ended {
  readonly before: readonly Step[];
  readonly by: string;
  readonly after: readonly Step[];
  readonly server: object;
  readonly client: object;
}

const sides = ['client', 'accepted'];

/** All is read before the reset: what lies unread in the kernel then is heard differently. */
const numbers = fc.nat(5_000);
const names = ['write', 'writeMuch', 'end', 'endWith', 'cork', 'destroySoon'];

const options = fc.record({ allowHalfOpen: fc.boolean() });

export const reset: Generated<Ended> = {
  runCount: 50,
  inputs: fc.record({
    before: stepsOf(sides, names, { maxLength: 5, numbers }),
    by: fc.constantFrom(...sides),
    after: stepsOf(sides, [...names, 'write', 'resetAndDestroy', 'destroy', 'uncork'], {
      maxLength: 4,
      numbers,
    }),
    server: options,
    client: options,
  }),
  async play(net, recorder, { before, by, after, ...how }) {
    const { server, client, accepted } = await pair(net, recorder, how);
    await settle(recorder);
    const steps = [...before, { on: by, call: 'resetAndDestroy', n: 0 }, ...after];
    await takeAll({ client, accepted }, socketCalls, steps, recorder);
    client.destroy();
    accepted.destroy();
    await ended(server, client, accepted);
  },
};
