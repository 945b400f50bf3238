import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isLinearizable } from '../../support/linearizability.mjs';

interface Call {
  readonly startedAt: number;
  readonly endedAt: number;
  readonly what: 'get' | 'set' | 'add';
  readonly value?: number;
  /** Of `add`: what was there before. */
  readonly answer?: number;
}

const model = {
  first: 0,
  step(state: number, { what, value = 0, answer, endedAt }: Call): number | undefined {
    if (what === 'get') return state === value ? state : undefined;
    if (what === 'set') return value;
    if (endedAt !== Infinity && answer !== state) return undefined;
    return state + value;
  },
};

const call = (
  startedAt: number,
  endedAt: number,
  rest: Omit<Call, 'startedAt' | 'endedAt'>,
): Call => ({
  startedAt,
  endedAt,
  ...rest,
});

describe('a history', () => {
  test.each<[string, Call[], boolean]>([
    ['of nothing', [], true],
    [
      'one behind the other',
      [call(0, 1, { what: 'set', value: 1 }), call(2, 3, { what: 'get', value: 1 })],
      true,
    ],
    [
      'that forgets',
      [call(0, 1, { what: 'set', value: 1 }), call(2, 3, { what: 'get', value: 0 })],
      false,
    ],
    [
      'side by side, either way',
      [call(0, 3, { what: 'set', value: 1 }), call(1, 2, { what: 'get', value: 0 })],
      true,
    ],
    [
      'that goes back between two looks',
      [
        call(0, 9, { what: 'set', value: 1 }),
        call(1, 2, { what: 'get', value: 1 }),
        call(3, 4, { what: 'get', value: 0 }),
      ],
      false,
    ],
    [
      'with two who both found nothing and added',
      [
        call(0, 5, { what: 'add', value: 1, answer: 0 }),
        call(1, 6, { what: 'add', value: 1, answer: 0 }),
      ],
      false,
    ],
    [
      'in which a change without an answer was made late',
      [
        call(0, Infinity, { what: 'set', value: 1 }),
        call(1, 2, { what: 'get', value: 0 }),
        call(3, 4, { what: 'get', value: 1 }),
      ],
      true,
    ],
    [
      'in which a change without an answer was never made',
      [call(0, Infinity, { what: 'set', value: 1 }), call(1, 2, { what: 'get', value: 0 })],
      true,
    ],
    [
      'in which a change is seen before anybody asked for it',
      [call(0, 1, { what: 'get', value: 1 }), call(2, Infinity, { what: 'set', value: 1 })],
      false,
    ],
    [
      'in which a change without an answer is made twice',
      [
        call(0, Infinity, { what: 'set', value: 1 }),
        call(1, 2, { what: 'get', value: 1 }),
        call(3, 4, { what: 'set', value: 2 }),
        call(5, 6, { what: 'get', value: 1 }),
      ],
      false,
    ],
  ])('%s', (_, calls, expected) => {
    expect(isLinearizable(calls, model)).toBe(expected);
    expect(isLinearizable(calls.toReversed(), model)).toBe(expected);
  });

  /** Calls that were made at a moment of their own each, with answers as it was then. */
  const made = fc
    .array(
      fc.record({
        what: fc.constantFrom('get', 'set', 'add'),
        value: fc.integer({ min: 1, max: 3 }),
        before: fc.integer({ min: 0, max: 30 }),
        after: fc.integer({ min: 1, max: 30 }),
        hasAnswer: fc.boolean(),
      }),
      { maxLength: 10 },
    )
    .map((list) => {
      let state = 0;
      return list.map(({ what, value, before, after, hasAnswer }, at): Call => {
        const moment = at * 10;
        const isAnswered = what === 'get' || hasAnswer;
        const times = {
          startedAt: moment - before,
          endedAt: isAnswered ? moment + after : Infinity,
        };
        if (what === 'get') return { ...times, what, value: state };
        const answer = state;
        state = what === 'set' ? value : state + value;
        return { ...times, what: what as 'set' | 'add', value, answer };
      });
    });

  test('that was made in some order is accepted', () => {
    fc.assert(
      fc.property(made, (calls) => {
        expect(isLinearizable(calls, model)).toBe(true);
      }),
    );
  });

  test('in which one look sees what never was is refused', () => {
    fc.assert(
      fc.property(made, fc.nat(), (calls, at) => {
        const wrong = call(at % 100, (at % 100) + 5, { what: 'get', value: -1 });
        expect(isLinearizable([...calls, wrong], model)).toBe(false);
      }),
    );
  });
});
