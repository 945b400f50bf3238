import { expect, test } from 'vitest';
import { flawOf, type RecordedCall } from '../../support/coordinator-history.js';

// The judge of the contract suite is itself judged: each of these histories has the flaw that its name says.

const one = Uint8Array.of(1);
const two = Uint8Array.of(2);
const key = 'a';
const changes = [
  { key, version: 3, value: one },
  { key, version: 5, value: two },
  { key, version: 8, value: undefined },
];
const states = [
  { value: undefined, version: 0, asOf: 0 },
  { value: one, version: 3, asOf: 3 },
  { value: two, version: 5, asOf: 5 },
  { value: undefined, version: 0, asOf: 8 },
] as const;

function set(at: number, startedAt: number, endedAt: number): RecordedCall {
  return {
    startedAt,
    endedAt,
    result: { isSet: true, ...states[at]! },
    write: { expectedVersion: states[at - 1]!.version, value: states[at]!.value },
  };
}

function get(at: number, startedAt: number, endedAt: number): RecordedCall {
  return { startedAt, endedAt, result: states[at]! };
}

const sound = [set(1, 0, 1), set(2, 2, 5), get(1, 3, 4), set(3, 6, 7), get(3, 8, 9)];

test('a sound history, in whatever order it is told', () => {
  expect(flawOf(sound, changes)).toBeUndefined();
  expect(flawOf(sound.toReversed(), changes)).toBeUndefined();
  expect(flawOf([], [])).toBeUndefined();
});

test.each<[string, RecordedCall[], RegExp]>([
  ['a read of what was replaced before it began', [...sound, get(2, 10, 11)], /is before call/],
  ['a read of what was written after it ended', [get(1, -2, -1), ...sound], /is before call/],
  ['a write that nobody asked for', sound.slice(0, 3), /made by 0 calls/],
  ['two writers of one change', [...sound, set(3, 6, 7)], /made by 2 calls/],
  [
    'a write over another than expected',
    sound.with(1, {
      ...set(2, 2, 5),
      write: { expectedVersion: 0, value: two },
    }),
    /expected 0 and replaced 3/,
  ],
  [
    'a refusal of what was there',
    [
      ...sound,
      {
        startedAt: 3,
        endedAt: 4,
        result: { isSet: false, ...states[1] },
        write: { expectedVersion: 3, value: two },
      },
    ],
    /refused what it expected/,
  ],
  [
    'a value that never was',
    [...sound, { startedAt: 3, endedAt: 4, result: { ...states[1], value: two } }],
    /answers with version/,
  ],
])('%s', (_, calls, flaw) => {
  expect(flawOf(calls, changes)).toMatch(flaw);
});
