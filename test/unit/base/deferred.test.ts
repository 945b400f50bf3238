import { expect, test } from 'vitest';
import { deferred } from '../../../dist/base/deferred.js';

test('a deferred is settled from outside, once', async () => {
  const done = deferred<number>();
  done.resolve(1);
  done.reject(new Error('too late'));
  expect(await done.promise).toBe(1);

  const failed = deferred<number>();
  const reason = new Error('no');
  failed.reject(reason);
  await expect(failed.promise).rejects.toBe(reason);
});
