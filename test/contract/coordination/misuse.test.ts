import { expect, test } from 'vitest';
import { keyBytesMax, valueBytesMax } from '../../../dist/coordination/coordinator.js';
import { bytes, describeBackends, startWorld } from './worlds.js';

describeBackends((backend) => {
  test.each(['', 'x'.repeat(keyBytesMax + 1), '\ud800', 1, null, undefined])(
    '%j is no key',
    async (key) => {
      const { one } = await startWorld(backend);
      const wrong = { code: 'PAIPAI_ERR_INVALID_ARGUMENT' };
      await expect(one.get(key as string)).rejects.toMatchObject(wrong);
      const setting = one.compareAndSet(key as string, 0, bytes('1'));
      await expect(setting).rejects.toMatchObject(wrong);
      expect(() => one.watch(key as string, { after: 0 })).toThrow(expect.objectContaining(wrong));
    },
  );

  test('versions, values and options that are none', async () => {
    const { one } = await startWorld(backend);
    const wrong = { code: 'PAIPAI_ERR_INVALID_ARGUMENT' };
    for (const version of [-1, 0.5, NaN, Infinity, '1']) {
      const setting = one.compareAndSet('a', version as number, bytes('1'));
      await expect(setting).rejects.toMatchObject(wrong);
      expect(() => one.watch('a', { after: version as number })).toThrow(
        expect.objectContaining(wrong),
      );
    }
    for (const value of [new Uint8Array(valueBytesMax + 1), 'text', null, undefined]) {
      const setting = one.compareAndSet('a', 0, value as Uint8Array);
      await expect(setting).rejects.toMatchObject(wrong);
    }
    for (const options of [null, { deadlineMs: 0 }, { signal: {} }]) {
      await expect(one.get('a', options as never)).rejects.toMatchObject(wrong);
    }
    expect((await one.get('a')).version).toBe(0);
  });

  test('a call that was aborted before it began did nothing', async () => {
    const { one } = await startWorld(backend);
    const options = { signal: AbortSignal.abort('no') };
    const aborted = { code: 'PAIPAI_ERR_ABORTED', cause: 'no' };
    await expect(one.get('a', options)).rejects.toMatchObject(aborted);
    const setting = one.compareAndSet('a', 0, bytes('1'), options);
    await expect(setting).rejects.toMatchObject(aborted);
    expect((await one.get('a')).version).toBe(0);
  });

  test('after close everything says so, and watches end', async () => {
    const { one } = await startWorld(backend);
    const closed = { code: 'PAIPAI_ERR_CLOSED' };
    const watch = one.watch('a', { after: 0 });
    const unread = one.watch('a', { after: 0 });
    const waiting = watch.next();
    const closing = one.close();
    await expect(waiting).rejects.toMatchObject(closed);
    await Promise.all([closing, one.close()]);
    expect((await watch.next()).done).toBe(true);
    await expect(unread.next()).rejects.toMatchObject(closed);
    await expect(one.get('a')).rejects.toMatchObject(closed);
    await expect(one.compareAndSet('a', 0, bytes('1'))).rejects.toMatchObject(closed);
    expect(() => one.watch('a', { after: 0 })).toThrow(expect.objectContaining(closed));
  });
});
