import fc from 'fast-check';
import { shortened } from '../recorder.js';
import { ended, listening, once, settle } from '../support.js';
import { type Generated, type Step, socketCalls, stepsOf, takeAll } from './calls.js';

/** Buffers of any size, one or one for each read, and a callback that says stop when it likes. */
interface Reading {
  readonly bufferBytes: readonly number[];
  readonly isGenerated: boolean;
  readonly goesOn: readonly boolean[];
  readonly steps: readonly Step[];
}

const calls = ['write', 'write', 'writeText', 'pause', 'resume', 'resume', 'end', 'destroy'];

export const onread: Generated<Reading> = {
  runCount: 80,
  inputs: fc.record({
    bufferBytes: fc.array(fc.integer({ min: 1, max: 600 }), { minLength: 1, maxLength: 4 }),
    isGenerated: fc.boolean(),
    goesOn: fc.array(fc.boolean(), { maxLength: 5 }),
    steps: stepsOf(['accepted', 'accepted', 'client'], calls, {
      maxLength: 8,
      numbers: fc.nat(1_000),
    }),
  }),
  async play(net, recorder, { bufferBytes, isGenerated, goesOn, steps }) {
    const server = net.createServer();
    const port = await listening(server);
    const accepting = once(server, 'connection');
    let bufferCount = 0;
    const next = (): Buffer => Buffer.alloc(bufferBytes[bufferCount++ % bufferBytes.length]!);
    let readCount = 0;
    const client = net.connect({
      port,
      host: '127.0.0.1',
      onread: {
        buffer: isGenerated ? next : next(),
        callback(count, bytes) {
          recorder.note(
            'onread',
            count,
            shortened(Buffer.from(bytes).toString('latin1', 0, count)),
          );
          return goesOn[readCount++] ?? true;
        },
      },
    });
    recorder.socket('client', client, { reads: false });
    const [accepted] = await accepting;
    recorder.socket('accepted', accepted);
    await settle(recorder);
    await takeAll({ client, accepted }, socketCalls, steps, recorder);
    client.destroy();
    accepted.destroy();
    await ended(server, client, accepted);
  },
};
