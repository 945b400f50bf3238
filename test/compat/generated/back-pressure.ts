import type { Socket } from 'node:net';
import fc from 'fast-check';
import { shortened } from '../recorder.js';
import { ended, pair, settle } from '../support.js';
import {
  type Calls,
  type Generated,
  type Step,
  socketCalls,
  stepsOf,
  takeAll,
  writeMuch,
} from './calls.js';

/**
 * A writer that says much, and a reader that comes and goes. Sizes are far below what the kernel holds or far above, since what lies
 * in between is for it to decide; and a reader that reads by hand is only looked at where that plays no part.
 */

interface Flow {
  readonly steps: readonly Step[];
  readonly server: { readonly highWaterMark: number };
  readonly client: object;
}

// As a default there is no 'hex': of an odd number of digits under cork Node's own asserts, and that is the end of the process.
const defaults = ['utf8', 'latin1', 'ascii', 'ucs2', 'base64', 'base64url'] as const;
const encodings = ['utf8', 'latin1', 'ascii', 'ucs2', 'hex', 'base64', 'base64url', 'HEX'] as const;

const calls: Calls<Socket> = {
  ...socketCalls,
  writeMuchText: (socket, n, note) => writeMuch(socket, 'é'.repeat((4 << 20) + n), note),
  writeEncoded: (socket, n, note) =>
    socket.write(
      '6162€ß'.repeat(n % 5_000),
      encodings[n % encodings.length] as BufferEncoding,
      note,
    ),
  writeMany: (socket, n, note) => {
    const results = Array.from({ length: n % 20 }, (_, i) =>
      socket.write(`${i}`.repeat(i * 7), note),
    );
    return results.filter((each) => !each).length;
  },
  setDefaultEncoding: (socket, n) =>
    socket.setDefaultEncoding(defaults[n % defaults.length] as BufferEncoding),
  counts: (socket) => ({ read: socket.bytesRead, written: socket.bytesWritten }),
};

const names = [
  ...['write', 'write', 'writeText', 'writeEncoded', 'writeEncoded', 'writeMany', 'writeNothing'],
  ...['pause', 'resume', 'resume', 'cork', 'uncork', 'uncork', 'setDefaultEncoding', 'counts'],
  ...['writeMuch', 'writeMuchText'],
];

export const backPressure: Generated<Flow> = {
  runCount: 30,
  inputs: fc.record({
    steps: stepsOf(['client', 'client', 'accepted'], names, {
      maxLength: 14,
      numbers: fc.nat(6_000),
    }),
    server: fc.record({ highWaterMark: fc.constantFrom(1, 1_000, 16_384, 1 << 20) }),
    client: fc.record({ highWaterMark: fc.constantFrom(1, 1_000, 16_384, 1 << 20) }),
  }),
  async play(net, recorder, { steps, ...options }) {
    const { server, client, accepted } = await pair(net, recorder, options);
    await settle(recorder);
    await takeAll({ client, accepted }, calls, steps, recorder);
    // All that was written and not thrown away arrives.
    for (const socket of [client, accepted]) {
      while (socket.writableCorked > 0) socket.uncork();
      socket.resume();
    }
    await allRead(client, accepted);
    for (const socket of [client, accepted]) socket.end();
    await ended(server, client, accepted);
  },
};

/**
 * Resolves when each has read what the other has written. Who says much, and ends, while much comes has sent or read the last of it first
 * as chance has it.
 */
function allRead(one: Socket, other: Socket): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (one.bytesRead < other.bytesWritten || other.bytesRead < one.bytesWritten) return;
      for (const each of [one, other]) each.off('data', look);
      resolve();
    };
    for (const each of [one, other]) each.on('data', look);
    look();
  });
}

interface Reading {
  readonly writes: readonly number[];
  readonly reads: readonly number[];
  readonly encoding: BufferEncoding | null;
  readonly highWaterMark: number;
}

export const readByHand: Generated<Reading> = {
  runCount: 80,
  inputs: fc.record({
    writes: fc.array(fc.nat(2_000), { minLength: 1, maxLength: 6 }),
    reads: fc.array(fc.oneof(fc.nat(3_000), fc.constant(-1)), { maxLength: 8 }),
    encoding: fc.constantFrom(null, 'utf8' as const, 'hex' as const, 'latin1' as const),
    highWaterMark: fc.constantFrom(1, 100, 16_384),
  }),
  async play(net, recorder, { writes, reads, encoding, highWaterMark }) {
    const { server, client, accepted } = await pair(net, recorder, {
      reads: false,
      server: { highWaterMark },
    });
    if (encoding !== null) accepted.setEncoding(encoding);
    accepted.on('readable', () => recorder.note('accepted', 'readable'));
    const note = (count: number): void => {
      const chunk: Buffer | string | null = count < 0 ? accepted.read() : accepted.read(count);
      recorder.note('accepted', 'read', count, chunk === null ? null : shortened(String(chunk)));
    };
    for (const [i, bytes] of writes.entries()) {
      client.write(Buffer.alloc(bytes, i));
      await settle(recorder);
      if (i < reads.length) note(reads[i]!);
      await settle(recorder);
      recorder.note('accepted', accepted.readableLength, accepted.bytesRead);
    }
    client.end();
    await settle(recorder);
    for (const count of reads) note(count);
    accepted.on('readable', () => accepted.read());
    accepted.read();
    client.resume();
    await ended(server, client, accepted);
  },
};
