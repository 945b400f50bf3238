import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Dissemination } from '../../../../dist/cluster/membership/dissemination.js';
import { LocalHealth } from '../../../../dist/cluster/membership/local-health.js';
import { claimHash, MemberTable } from '../../../../dist/cluster/membership/member-table.js';
import {
  checkParameters,
  defaultParameters,
  suspicionLeast,
  transmitLimit,
} from '../../../../dist/cluster/membership/parameters.js';
import { compareRecords } from '../../../../dist/cluster/membership/precedence.js';
import { Suspicion } from '../../../../dist/cluster/membership/suspicion.js';
import type { MemberRecord, MemberState } from '../../../../dist/cluster/membership/types.js';
import { SeededRandom } from '../../../sim/virtual-time.mjs';

function memberRecord(nodeId: string, more: Partial<MemberRecord> = {}): MemberRecord {
  const metadata = new Uint8Array(0);
  return {
    nodeId,
    instanceId: 1,
    incarnation: 1,
    state: 'alive',
    address: nodeId,
    metadata,
    ...more,
  };
}

describe('precedence', () => {
  const record = fc.record({
    nodeId: fc.constant('a'),
    instanceId: fc.nat(2),
    incarnation: fc.nat(2),
    state: fc.constantFrom<MemberState>('alive', 'suspect', 'dead', 'left'),
  });

  test.each([
    ['a suspicion', { state: 'suspect' }, { state: 'alive' }],
    ['a death', { state: 'dead' }, { state: 'suspect' }],
    ['a refutation', { incarnation: 2 }, { state: 'suspect' }],
    ['life after death', { incarnation: 2 }, { state: 'dead' }],
    ['the higher instance of one incarnation', { instanceId: 2 }, { state: 'dead' }],
  ] as const)('%s is news', (_, news, known) => {
    const order = compareRecords(memberRecord('a', news), memberRecord('a', known));
    expect(order).toBeGreaterThan(0);
  });

  test('property: any order of rumours, any of them twice, leads to the same belief', () => {
    const believed = (
      rumours: readonly Pick<MemberRecord, 'state' | 'instanceId' | 'incarnation'>[],
    ) =>
      rumours
        .map((each) => memberRecord('a', each))
        .reduce((known, news) => (compareRecords(news, known) > 0 ? news : known));
    const orders = fc
      .array(record, { minLength: 1, maxLength: 10 })
      .chain((list) =>
        fc.tuple(
          fc.constant(list),
          fc.shuffledSubarray([...list, ...list], { minLength: list.length * 2 }),
        ),
      );
    fc.assert(
      fc.property(orders, ([list, shuffled]) => {
        expect(believed(shuffled)).toEqual(believed(list));
      }),
    );
  });
});

describe('suspicion', () => {
  test('is long when one accuses, and at its shortest with three more', () => {
    const suspicion = new Suspicion('a', 100, 1_000, 4_000, 3);
    const lengths = [suspicion.dueMs - 100];
    for (const accuser of ['b', 'c', 'd']) {
      expect(suspicion.confirm(accuser)).toBe(true);
      lengths.push(suspicion.dueMs - 100);
    }
    // log 2 / log 4 is a half.
    expect(lengths.map(Math.round)).toEqual([4_000, 2_500, 1_623, 1_000]);
  });

  test('the same accuser, and a fifth, count for nothing', () => {
    const suspicion = new Suspicion('a', 0, 1_000, 4_000, 3);
    expect(suspicion.confirm('a')).toBe(false);
    for (const accuser of ['b', 'c', 'd']) suspicion.confirm(accuser);
    expect(suspicion.confirm('e')).toBe(false);
    expect(suspicion.dueMs).toBeCloseTo(1_000);
  });

  test('without anybody to confirm, or in haste, it is the shortest from the start', () => {
    expect(new Suspicion('a', 0, 1_000, 4_000, 0).dueMs).toBe(1_000);
    const suspicion = new Suspicion('a', 0, 1_000, 4_000, 3);
    suspicion.hasten();
    suspicion.postpone(50);
    expect(suspicion.dueMs).toBe(1_050);
  });
});

test('local health stays within its bounds, and stretches times', () => {
  const health = new LocalHealth(2);
  health.note(-1);
  expect(health.scale(100)).toBe(100);
  health.note(5);
  expect(health.score).toBe(2);
  expect(health.scale(100)).toBe(300);
  const unwatched = new LocalHealth(0);
  unwatched.note(3);
  expect([unwatched.scale(100), unwatched.isWatched]).toEqual([100, false]);
});

describe('dissemination', () => {
  const rumour = (length = 20) => new Uint8Array(length);

  test('each rumour goes out as often as it may, the least sent first', () => {
    const rumours = new Dissemination();
    const [first, second] = [rumour(), rumour()];
    rumours.add('a', first);
    expect(rumours.take(100, 10, 3)).toEqual([first]);
    rumours.add('b', second);
    expect(rumours.take(20, 10, 3)[0]).toBe(second);
    expect(rumours.take(20, 10, 3)).toHaveLength(1);
    for (let left = 3; left > 0; left--) expect(rumours.take(20, 10, 3)).toHaveLength(1);
    expect(rumours.take(100, 10, 3)).toEqual([]);
    expect(rumours.count).toBe(0);
  });

  test('news about a node takes the place of what was said before', () => {
    const rumours = new Dissemination();
    const [old, news] = [rumour(), rumour()];
    rumours.add('a', old);
    rumours.take(100, 10, 5);
    rumours.add('a', news);
    expect(rumours.count).toBe(1);
    expect(rumours.take(100, 10, 1)[0]).toBe(news);
  });

  test('property: neither the room nor the count is passed', () => {
    const sizes = fc.array(fc.integer({ min: 13, max: 800 }), { maxLength: 40 });
    fc.assert(
      fc.property(sizes, fc.nat(1_400), fc.nat(64), (lengths, room, countMax) => {
        const rumours = new Dissemination();
        for (const [i, length] of lengths.entries()) rumours.add(`${i}`, rumour(length));
        const taken = rumours.take(room, countMax, 4);
        expect(taken.length).toBeLessThanOrEqual(countMax);
        expect(taken.reduce((sum, each) => sum + each.byteLength, 0)).toBeLessThanOrEqual(room);
      }),
    );
  });
});

describe('the table of members', () => {
  function tableOf(count: number, countMax = 100): MemberTable {
    const table = new MemberTable(new SeededRandom(7), countMax);
    for (let i = 0; i < count; i++) table.add(memberRecord(`${i}`), i);
    return table;
  }

  function bury(table: MemberTable, nodeId: string, nowMs: number): void {
    const member = table.get(nodeId);
    if (member !== undefined) {
      table.update(member, { ...member.record, state: 'dead' }, null, nowMs);
    }
  }

  test('everybody is probed once a round, nobody that is dead', () => {
    const table = tableOf(20);
    bury(table, '3', 100);
    for (let i = 0; i < 20; i++) table.nextToProbe(); // What is left of the first, which began with the first member.
    for (let round = 0; round < 5; round++) {
      const ids = Array.from({ length: 19 }, () => table.nextToProbe()?.record.nodeId);
      if (round > 0) expect(new Set(ids).size).toBeGreaterThanOrEqual(10);
      expect(ids).not.toContain('3');
    }
  });

  test('full: the longest dead makes room, and the living do not', () => {
    const table = tableOf(3, 3);
    expect(table.add(memberRecord('new'), 10)).toBe(false);
    bury(table, '1', 11);
    bury(table, '0', 12);
    expect(table.add(memberRecord('new'), 13)).toBe(true);
    expect([...table.all()].map(({ record }) => record.nodeId)).toEqual(['0', '2', 'new']);
  });

  test('helpers are different, living, and not the one in question', () => {
    const table = tableOf(10);
    bury(table, '5', 20);
    for (let i = 0; i < 100; i++) {
      const ids = table.someLiving(3, '4').map(({ record }) => record.nodeId);
      expect(new Set(ids).size).toBe(ids.length);
      expect(ids.some((id) => id === '4' || id === '5')).toBe(false);
    }
    expect(tableOf(1).someLiving(3, '0')).toEqual([]);
  });

  test('the digest is that of the living, however they came', () => {
    const table = tableOf(4);
    bury(table, '2', 30);
    const expected =
      ['0', '1', '3'].reduce((sum, id) => sum ^ claimHash(memberRecord(id)), 0) >>> 0;
    expect(table.digest).toBe(expected);
    expect([table.livingCount, table.deadCount]).toEqual([3, 1]);
    table.forgetDead(31);
    expect([table.deadCount, table.digest]).toEqual([0, expected]);
  });
});

describe('parameters', () => {
  test('formulas: 100 nodes pass a rumour on 13 times, and wait 6 s for a suspect', () => {
    expect(transmitLimit(defaultParameters, 100)).toBe(13);
    expect(transmitLimit(defaultParameters, 1)).toBe(2);
    expect(suspicionLeast(defaultParameters, 100)).toBe(6_000);
    expect(suspicionLeast({ ...defaultParameters, suspicionLeastMs: 0 }, 100)).toBe(4_000);
  });

  test.each([
    { probeIntervalMs: 9 },
    { probeTimeoutMs: 500 },
    { helperCount: 1.5 },
    { datagramBytesMax: 65_508 },
    { memberCountMax: 1 },
  ])('%o is refused', (given) => {
    expect(() => checkParameters(given)).toThrow(
      expect.objectContaining({ code: 'PAIPAI_ERR_INVALID_ARGUMENT' }),
    );
  });
});
