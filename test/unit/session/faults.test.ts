import { describe, expect, test } from 'vitest';
import { PaipaiError } from '../../../dist/base/errors.js';
import type { Peer, PeerService } from '../../../dist/session/types.js';
import { type Faults, FaultyChannel } from '../../../dist/transport/faulty-channel.js';
import { MemoryNetwork } from '../../../dist/transport/memory-network.js';
import { seeded } from '../../support/seeded.js';
import { codeOf, pattern, sessionPair, wrappedNetwork } from '../../support/session-pair.js';
import { realTimers } from '../../support/test-env.js';

type Chances = Omit<Faults, 'random' | 'timers'>;

/** A pair whose near side speaks through a faulty channel; faults begin once both are in session. */
async function faultyPair(seed: number, chances: Chances, service: PeerService): Promise<Peer> {
  const memory = new MemoryNetwork();
  const faults: Record<string, unknown> = { random: seeded(seed), timers: realTimers };
  const connect = wrappedNetwork(memory, (channel) => new FaultyChannel(channel, faults as never));
  const networks = { listen: memory, connect, address: 'tcp://127.0.0.1:0' };
  const { near } = await sessionPair({ networks, service, near: { deadlineMs: 60 } });
  Object.assign(faults, chances);
  return near;
}

const service: PeerService = {
  onRequest: ({ payload }) => payload,
  onStream: async (stream) => {
    const target = new Uint8Array(3 * 1024 * 1024);
    const { bytes, trailer } = await stream.receiveInto(target);
    stream.end(Buffer.concat([target.subarray(0, bytes), trailer]));
  },
};

const expectedCodes = new Set([
  'PAIPAI_ERR_DEADLINE',
  'PAIPAI_ERR_PEER_CLOSED',
  'PAIPAI_ERR_CLOSED',
]);

describe('over a channel that loses, doubles, delays and breaks', () => {
  test('a lost request ends at its deadline', async () => {
    const near = await faultyPair(1, { lossChance: 1 }, service);
    expect(await codeOf(near.request('echo'))).toBe('PAIPAI_ERR_DEADLINE');
    expect(near.state).toBe('open');
  });

  test('a doubled request breaks the rules, and is not served twice', async () => {
    let count = 0;
    const counting: PeerService = {
      onRequest: async (r) => {
        count++;
        return r.payload;
      },
    };
    const near = await faultyPair(1, { duplicateChance: 1 }, counting);
    expect(await codeOf(near.request('echo'))).toBe('PAIPAI_ERR_PEER_CLOSED');
    expect(await near.closed).toMatchObject({ code: 'PAIPAI_ERR_PROTOCOL' });
    expect(count).toBeLessThanOrEqual(1);
  });

  test('a connection that breaks in the middle of a stream', async () => {
    const near = await faultyPair(1, { cutAfterBytes: 1024 * 1024 }, service);
    const stream = near.openStream('store');
    expect(await codeOf(stream.write(pattern(3 * 1024 * 1024)))).toBe('PAIPAI_ERR_PEER_CLOSED');
    expect(await codeOf(stream.ended)).toBe('PAIPAI_ERR_PEER_CLOSED');
    expect(await near.closed).toBeInstanceOf(PaipaiError);
  });

  test('a chunk of a stream that is lost or doubled never passes for the data', async () => {
    for (const chances of [{ lossChance: 0.3 }, { duplicateChance: 0.3 }]) {
      for (let seed = 1; seed <= 10; seed++) {
        const near = await faultyPair(seed, chances, {
          onStream: async (stream) => {
            const { bytes } = await stream.receiveInto(new Uint8Array(4 * 1024 * 1024));
            expect(bytes).toBe(2 * 1024 * 1024);
            stream.end();
          },
        });
        const stream = near.openStream('store', undefined, { deadlineMs: 60 });
        stream.write(pattern(2 * 1024 * 1024)).then(
          () => stream.end(),
          () => {},
        );
        const code = await codeOf(stream.ended);
        expect(code).toMatch(/^settled|DEADLINE|PEER_CLOSED/);
      }
    }
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'seed %i: every request settles once, with its own answer or with a code',
    async (seed) => {
      const chances = { lossChance: 0.02, duplicateChance: seed % 2 ? 0 : 0.005, delayMsMax: 3 };
      const near = await faultyPair(seed, chances, service);
      const results = await Promise.all(
        Array.from({ length: 200 }, async (_, i) => {
          const payload = pattern(i, i + 1);
          try {
            const answer = await near.request(`method ${i % 5}`, payload);
            return Buffer.compare(answer, payload) === 0 ? 'right' : 'wrong';
          } catch (error) {
            return error instanceof PaipaiError ? error.code : String(error);
          }
        }),
      );
      for (const result of results) {
        if (result !== 'right') expect(expectedCodes).toContain(result);
      }
    },
  );
});
