import { expect, test } from 'vitest';
import { listen } from '../../dist/api/transport.js';
import { codeOf } from '../support/session-pair.js';
import { fastContract } from './transport-fast.js';
import { enginePairs } from './transport-pairs.js';

for (const [connecting, listening] of enginePairs) {
  fastContract(`transport ${connecting}–${listening} over tcp`, {
    connecting,
    listening,
    scheme: 'tcp',
  });
}
fastContract('transport over shared memory', {
  connecting: 'native',
  listening: 'native',
  scheme: 'tcp',
  sharesMemory: true,
});

test.each([1, null, { methods: { a: 1 } }, { topics: [undefined] }])(
  'the option is not %j',
  async (fast) => {
    expect(await codeOf(listen('tcp://127.0.0.1:0', { fast: fast as never }))).toBe(
      'PAIPAI_ERR_INVALID_ARGUMENT',
    );
  },
);

test('it is for bytes', async () => {
  const listening = listen('tcp://127.0.0.1:0', { codec: 'msgpack', fast: {} });
  expect(await codeOf(listening)).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
});
