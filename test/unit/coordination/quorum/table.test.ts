import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Table } from '../../../../dist/coordination/quorum/table.js';
import { codeThrown } from '../../../support/session-pair.js';

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const members = { epoch: 3, list: [{ nodeId: 'a', acceptorId: 7 }] };
const empty = new Table({ members, version: 10 });

describe('the table of a quorum', () => {
  test('each change makes another one, and the one before stays as it is', () => {
    const one = empty.with([{ key: 'a', value: bytes('1') }]);
    const two = one.with([
      { key: 'a', value: undefined },
      { key: 'b', value: bytes('2') },
    ]);
    expect([
      empty.entries.size,
      one.versionOf('a'),
      two.versionOf('a'),
      two.versionOf('b'),
    ]).toEqual([0, 11, 0, 12]);
    expect(two.with([{ key: 'c', value: undefined }])).toBe(two);
    expect(two.history.map(({ key, version }) => [key, version])).toEqual([
      ['a', 11],
      ['a', 12],
      ['b', 12],
    ]);
  });

  test('keys go with their lease, at one moment', () => {
    const leased = empty
      .withLease(5, 500)
      .with([
        { key: 'a', value: bytes('1'), leaseId: 5 },
        { key: 'b', value: bytes('1'), leaseId: 5 },
        { key: 'c', value: bytes('1') },
      ])
      .with([{ key: 'b', value: bytes('2') }]);
    const over = leased.without(5);
    expect([...over.entries.keys()].sort()).toEqual(['b', 'c']);
    expect(over.version).toBe(leased.version + 1);
    expect(over.without(5)).toBe(over);
    const lost = 'PAIPAI_ERR_LEASE_LOST';
    expect(codeThrown(() => over.withKept(5))).toBe(lost);
    expect(codeThrown(() => over.with([{ key: 'a', value: bytes('1'), leaseId: 5 }]))).toBe(lost);
    expect(leased.withKept(5).leases.get(5)?.keeps).toBe(1);
  });

  test('history is bounded, and a version is in it whole or not at all', () => {
    const set = Array.from({ length: 60 }, (_, at) => ({ key: `${at}`, value: bytes('1') }));
    let table = empty;
    for (let change = 0; change < 10; change++) table = table.with(set);
    expect(table.history.length).toBe(240);
    expect(table.historyStart).toBe(16);
    expect(table.history[0]?.version).toBe(17);
    const large = table.with([{ key: 'a', value: new Uint8Array(1024 * 1024) }]);
    expect([large.history.length, large.historyStart]).toEqual([0, 21]);
  });

  test('it is full, and then takes no more; what frees bytes it takes', () => {
    const value = new Uint8Array(1024 * 1024 - 100);
    const full = empty.with([{ key: 'a', value }]).with([{ key: 'b', value }]);
    const more = [{ key: 'c', value: new Uint8Array(200) }];
    expect(codeThrown(() => full.with(more))).toBe('PAIPAI_ERR_STORE_FULL');
    expect(full.with([{ key: 'a', value: undefined }, ...more]).entries.size).toBe(2);
  });

  test('whether a proposal is a part of it is known for the latest ones', () => {
    const ballot = (round: number) => ({ epoch: 0, round, proposer: 1 });
    let table = empty.under(ballot(1));
    expect(table.descendsFrom(ballot(1))).toBe(true);
    expect(table.descendsFrom(ballot(0))).toBe(false);
    for (let round = 2; round <= 17; round++) table = table.under(ballot(round * 2));
    expect(table.descendsFrom(ballot(34))).toBe(true);
    expect(table.descendsFrom(ballot(33))).toBe(false);
    expect(table.descendsFrom(ballot(1))).toBeUndefined();
  });

  test('what is encoded is decoded', () => {
    const key = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 });
    const change = fc.record({
      key,
      value: fc.option(fc.uint8Array({ maxLength: 20 }), { nil: undefined }),
    });
    const changes = fc.array(fc.uniqueArray(change, { selector: (one) => one.key, maxLength: 5 }));
    fc.assert(
      fc.property(changes, fc.maxSafeNat(), (all, round) => {
        const table = all
          .reduce((table, set) => table.with(set), empty.withLease(5, 500).withKept(5))
          .under({ epoch: 1, round, proposer: 2 });
        expect(Table.decode(table.encode())).toEqual(table);
      }),
    );
  });

  test('bytes that are none are refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const code = codeThrown(() => Table.decode(bytes));
        if (!code.startsWith('returned')) expect(code).toBe('PAIPAI_ERR_PROTOCOL');
      }),
    );
    const whole = empty.with([{ key: 'a', value: bytes('1') }]).encode();
    for (let cut = 0; cut < whole.byteLength; cut++) {
      expect(codeThrown(() => Table.decode(whole.subarray(0, cut)))).toBe('PAIPAI_ERR_PROTOCOL');
    }
  });
});
