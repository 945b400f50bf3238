import { expect, test } from 'vitest';
import { keyBytesMax, valueBytesMax } from '../../../dist/coordination/coordinator.js';
import { bytes, describeBackends, setAll, startWorld, text } from './worlds.js';

describeBackends((backend) => {
  test('a value is set, read, replaced and deleted', async () => {
    const { one, other } = await startWorld(backend, 2);
    expect(await one.get('a')).toMatchObject({ value: undefined, version: 0 });
    const first = await one.compareAndSet('a', 0, bytes('1'));
    expect([first.isSet, text(first.value)]).toEqual([true, '1']);
    expect(first.version).toBeGreaterThan(0);
    expect(await other.get('a')).toEqual({
      value: new Uint8Array(bytes('1')),
      version: first.version,
      asOf: expect.any(Number),
    });
    const second = await other.compareAndSet('a', first.version, bytes('2'));
    expect(second.isSet).toBe(true);
    expect(second.version).toBeGreaterThan(first.version);
    const deleted = await one.compareAndSet('a', second.version, undefined);
    expect(deleted).toMatchObject({ isSet: true, value: undefined, version: 0 });
    expect(deleted.asOf).toBeGreaterThan(second.version);
    expect(await other.get('a')).toMatchObject({ value: undefined, version: 0 });
  });

  test('who expects something else is told what there is, and changes nothing', async () => {
    const { one, other } = await startWorld(backend, 2);
    const { version } = await setAll(one, 'a', ['1']);
    for (const expected of [0, version - 1, version + 1]) {
      if (expected === version || expected < 0) continue;
      const result = await other.compareAndSet('a', expected, bytes('2'));
      expect([result.isSet, text(result.value), result.version]).toEqual([false, '1', version]);
    }
    const absent = await other.compareAndSet('b', version, bytes('2'));
    expect(absent).toMatchObject({ isSet: false, value: undefined, version: 0 });
    expect(text((await one.get('a')).value)).toBe('1');
  });

  test('each of several calls at once is told what there was at its own moment', async () => {
    const { one } = await startWorld(backend);
    const { version } = await setAll(one, 'a', ['1']);
    const [, created, deleted, recreated] = await Promise.all([
      one.get('a'), // What comes behind it waits, and may then be done together.
      one.compareAndSet('a', 0, bytes('2')),
      one.compareAndSet('a', version, undefined),
      one.compareAndSet('a', 0, bytes('3')),
    ]);
    // Which of the last two is first is nobody’s promise.
    expect(deleted).toMatchObject({ isSet: true, value: undefined, version: 0 });
    for (const result of [created, recreated]) {
      if (!result.isSet) expect(result.version).toBeGreaterThan(0);
      else expect(text(result.value)).toBe(result === created ? '2' : '3');
    }
  });

  test('a version never comes again, also after the key was deleted', async () => {
    const { one, world } = await startWorld(backend);
    const seen = new Set<number>();
    for (let round = 0; round < 3; round++) {
      const { version } = await setAll(one, 'a', ['1', '2']);
      expect(seen.has(version)).toBe(false);
      seen.add(version);
      await one.compareAndSet('a', version, undefined);
      await world.forgetHistory();
      expect((await one.compareAndSet('a', version, bytes('late'))).isSet).toBe(false);
    }
  });

  test('keys are apart from each other', async () => {
    const { one } = await startWorld(backend);
    const keys = [
      'a',
      'A',
      'a/b',
      'a b',
      'a\u0000',
      'é',
      'e\u0301',
      '東京',
      'x'.repeat(keyBytesMax),
    ];
    for (const key of keys) await setAll(one, key, [`of ${key}`]);
    for (const key of keys) expect(text((await one.get(key)).value)).toBe(`of ${key}`);
  });

  test('values of 0 bytes and of the largest size', async () => {
    const { one } = await startWorld(backend);
    const empty = await one.compareAndSet('a', 0, new Uint8Array(0));
    expect(empty).toMatchObject({ isSet: true, value: new Uint8Array(0) });
    const large = new Uint8Array(valueBytesMax).map((_, at) => at * 7);
    await one.compareAndSet('a', empty.version, large);
    expect(Buffer.compare((await one.get('a')).value!, large)).toBe(0);
  });

  test('bytes are the caller’s again at once, and those that come out are the receiver’s', async () => {
    const { one } = await startWorld(backend);
    const value = bytes('1');
    const writing = one.compareAndSet('a', 0, value);
    value[0] = 0x32;
    (await writing).value![0] = 0x33;
    (await one.get('a')).value![0] = 0x34;
    const watch = one.watch('a', { after: 0 });
    (await watch.next()).value.value[0] = 0x35;
    await watch.return();
    expect(text((await one.get('a')).value)).toBe('1');
  });

  test('of many who create a key at once one does', async () => {
    const { clients } = await startWorld(backend, 8);
    const results = await Promise.all(
      clients.map((client, at) => client.compareAndSet('a', 0, bytes(`${at}`))),
    );
    const winners = results.filter(({ isSet }) => isSet);
    expect(winners.length).toBe(1);
    for (const { value } of results) expect(value).toEqual(winners[0]?.value);
  });

  test('many who count together lose nothing', async () => {
    const { clients, one } = await startWorld(backend, 5);
    await Promise.all(
      clients.map(async (client) => {
        for (let counted = 0; counted < 10; ) {
          const { value, version } = await client.get('sum');
          const sum = bytes(`${Number(text(value) ?? 0) + 1}`);
          if ((await client.compareAndSet('sum', version, sum)).isSet) counted++;
        }
      }),
    );
    expect(text((await one.get('sum')).value)).toBe('50');
  });
});
