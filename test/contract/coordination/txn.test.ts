import { expect, test } from 'vitest';
import { type Txn, txnKeysMax, valueBytesMax } from '../../../dist/coordination/coordinator.js';
import { bytes, describeBackends, setAll, startWorld, text } from './worlds.js';

describeBackends((backend) => {
  test('changes several keys at one moment, with one version', async () => {
    const { one, other } = await startWorld(backend, 2);
    const { version } = await setAll(one, 'a', ['1']);
    await setAll(one, 'gone', ['1']);
    const result = await one.txn({
      expect: [
        { key: 'a', version },
        { key: 'b', version: 0 },
      ],
      set: [
        { key: 'a', value: bytes('2') },
        { key: 'b', value: bytes('') },
        { key: 'gone', value: undefined },
        { key: 'never there', value: undefined },
      ],
    });
    expect(result.isSet).toBe(true);
    const set = result.versions.get('a');
    expect(set).toBeGreaterThan(version);
    expect([...result.versions]).toEqual([
      ['a', set],
      ['b', set],
      ['gone', 0],
      ['never there', 0],
    ]);
    expect(await other.get('a')).toMatchObject({ value: new Uint8Array(bytes('2')), version: set });
    expect(await other.get('b')).toMatchObject({ value: new Uint8Array(0), version: set });
    expect((await other.list('')).keys.map(({ key }) => key)).toEqual(['a', 'b']);
  });

  test('changes nothing when one key is not as expected, and tells how all of them are', async () => {
    const { one, other } = await startWorld(backend, 2);
    const { version } = await setAll(one, 'a', ['1']);
    const refused = await other.txn({
      expect: [
        { key: 'a', version },
        { key: 'b', version },
      ],
      set: [
        { key: 'a', value: bytes('2') },
        { key: 'c', value: bytes('2') },
      ],
    });
    expect(refused.isSet).toBe(false);
    expect([...refused.versions]).toEqual([
      ['a', version],
      ['b', 0],
      ['c', 0],
    ]);
    expect(text((await one.get('a')).value)).toBe('1');
    expect((await one.list('')).keys.length).toBe(1);
  });

  test('without changes it looks at several keys at one moment; without conditions it sets', async () => {
    const { one } = await startWorld(backend);
    const set = await one.txn({ set: [{ key: 'a', value: bytes('1') }] });
    expect(set.isSet).toBe(true);
    const again = await one.txn({ set: [{ key: 'a', value: bytes('2') }] });
    const version = again.versions.get('a')!;
    expect(version).toBeGreaterThan(set.versions.get('a')!);
    const seen = await one.txn({
      expect: [
        { key: 'a', version },
        { key: 'b', version: 0 },
      ],
    });
    expect(seen.isSet).toBe(true);
    expect([...seen.versions]).toEqual([
      ['a', version],
      ['b', 0],
    ]);
    expect(seen.asOf).toBeGreaterThanOrEqual(version);
    expect((await one.txn({ expect: [{ key: 'a', version: 0 }] })).isSet).toBe(false);
    expect(await one.txn({})).toMatchObject({ isSet: true, versions: new Map() });
  });

  test('a watch of each of the keys is told', async () => {
    const { one, other } = await startWorld(backend, 2);
    const watches = ['a', 'b'].map((key) => other.watch(key, { after: 0 }));
    const { versions, asOf } = await one.txn({
      set: ['a', 'b'].map((key) => ({ key, value: bytes(`of ${key}`) })),
    });
    const told = await Promise.all(watches.map((watch) => watch.next()));
    expect(told.map(({ value }) => [value.key, text(value.value), value.version])).toEqual([
      ['a', 'of a', versions.get('a')],
      ['b', 'of b', versions.get('a')],
    ]);
    const behind = one.watch('a', { after: asOf });
    await setAll(one, 'a', ['later']);
    expect(text((await behind.next()).value.value)).toBe('later');
    for (const watch of [...watches, behind]) await watch.return();
  });

  test('nobody ever sees half of one, and of two that stand against each other one is made', async () => {
    const { clients, one } = await startWorld(backend, 4);
    const accounts = ['x', 'y', 'z'];
    await one.txn({ set: accounts.map((key) => ({ key, value: bytes('100') })) });
    const readAll = async (client: (typeof clients)[number]) => {
      for (;;) {
        const states = await Promise.all(accounts.map((key) => client.get(key)));
        const expect = accounts.map((key, at) => ({ key, version: states[at]!.version }));
        if ((await client.txn({ expect })).isSet) return { states, expect };
      }
    };
    await Promise.all(
      clients.map(async (client, at) => {
        for (let moved = 0; moved < 8; ) {
          const { states, expect: seen } = await readAll(client);
          const amounts = states.map(({ value }) => Number(text(value)));
          expect(amounts.reduce((sum, amount) => sum + amount)).toBe(300);
          const [from, to] = [(at + moved) % 3, (at + moved + 1) % 3];
          const { isSet } = await client.txn({
            expect: seen,
            set: [
              { key: accounts[from]!, value: bytes(`${amounts[from]! - 1}`) },
              { key: accounts[to]!, value: bytes(`${amounts[to]! + 1}`) },
            ],
          });
          if (isSet) moved++;
        }
      }),
    );
  });

  test('as many keys and as many bytes as there may be, and no more', async () => {
    const { one } = await startWorld(backend);
    const many = Array.from({ length: txnKeysMax }, (_, at) => `key-${at}`);
    const share = valueBytesMax / txnKeysMax;
    const set = many.map((key) => ({ key, value: new Uint8Array(share) }));
    expect((await one.txn({ set })).isSet).toBe(true);
    const wrong = { code: 'PAIPAI_ERR_INVALID_ARGUMENT' };
    const more = { key: 'one more', version: 0 };
    await expect(one.txn({ expect: [more], set })).rejects.toMatchObject(wrong);
    const longer = [{ key: many[0]!, value: new Uint8Array(share + 1) }, ...set.slice(1)];
    await expect(one.txn({ set: longer })).rejects.toMatchObject(wrong);
  });

  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['a key twice', { set: ['a', 'a'].map((key) => ({ key, value: bytes('1') })) }],
    ['a key expected twice', { expect: ['a', 'a'].map((key) => ({ key, version: 0 })) }],
    ['no list', { set: { key: 'a', value: bytes('1') } }],
    ['no key', { set: [{ value: bytes('1') }] }],
    ['text as a value', { set: [{ key: 'a', value: '1' }] }],
    ['a version below 0', { expect: [{ key: 'a', version: -1 }] }],
    ['a deletion under a lease', { set: [{ key: 'a', value: undefined, leaseId: 1 }] }],
  ])('%s is refused', async (_, txn) => {
    const { one } = await startWorld(backend);
    const wrong = { code: 'PAIPAI_ERR_INVALID_ARGUMENT' };
    await expect(one.txn(txn as Txn)).rejects.toMatchObject(wrong);
    expect((await one.list('')).keys).toEqual([]);
  });
});
