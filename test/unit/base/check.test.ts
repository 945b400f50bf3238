import { describe, expect, test } from 'vitest';
import {
  checkBytes,
  checkDuration,
  checkInteger,
  checkOneOf,
  checkSignal,
  checkString,
} from '../../../dist/base/check.js';

const refusal = (message: RegExp): unknown =>
  expect.objectContaining({
    code: 'PAIPAI_ERR_INVALID_ARGUMENT',
    message: expect.stringMatching(message),
  });

describe('checkInteger', () => {
  test.each([1, 2, 5])('takes %d of 1 to 5', (value) => {
    expect(checkInteger('count', value, 1, 5)).toBe(value);
  });

  test.each([0, 6, 1.5, Number.NaN, Infinity, '3', 3n, null, undefined, {}, [3]])(
    'refuses %s and names the argument',
    (value) => {
      expect(() => checkInteger('count', value, 1, 5)).toThrowError(
        refusal(/^count must be an integer from 1 to 5, but is /),
      );
    },
  );
});

describe('checkDuration', () => {
  test.each([0.5, 1, 0x7fff_ffff])('takes %d ms', (value) => {
    expect(checkDuration('deadlineMs', value)).toBe(value);
  });

  test.each([0, -1, 0x8000_0000, Infinity, Number.NaN, '5'])('refuses %s', (value) => {
    expect(() => checkDuration('deadlineMs', value)).toThrowError(refusal(/^deadlineMs /));
  });

  test('takes Infinity where that is allowed', () => {
    expect(checkDuration('deadlineMs', Infinity, true)).toBe(Infinity);
    expect(() => checkDuration('deadlineMs', -Infinity, true)).toThrowError(
      refusal(/2147483647, or Infinity, but is/),
    );
    expect(() => checkDuration('deadlineMs', -1)).toThrowError(refusal(/2147483647, but is -1$/));
  });
});

describe('checkString', () => {
  test('counts bytes of UTF-8', () => {
    expect(checkString('id', 'é'.repeat(4), 8)).toBe('éééé');
    expect(() => checkString('id', 'é'.repeat(4), 7)).toThrowError(refusal(/1 to 7 bytes/));
  });

  test.each(['', 5, null, new String('a')])('refuses %o', (value) => {
    expect(() => checkString('id', value, 255)).toThrowError(refusal(/^id /));
  });

  test('does not repeat a long text in full', () => {
    expect(() => checkString('id', 'x'.repeat(10_000), 255)).toThrowError(refusal(/^.{0,200}$/));
  });
});

describe('checkBytes', () => {
  test('memory that was transferred away is not there to be sent', () => {
    const buffer = new ArrayBuffer(8);
    const views = [new Uint8Array(buffer), new DataView(buffer), new Float64Array(buffer), buffer];
    structuredClone(buffer, { transfer: [buffer] });
    for (const view of views) {
      expect(() => checkBytes('source', view)).toThrowError(refusal(/^source must be bytes/));
    }
  });

  test('sees the same memory through any kind of bytes', () => {
    const buffer = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8).buffer;
    const view = checkBytes('source', new Uint16Array(buffer, 2, 2));
    expect([...view]).toEqual([3, 4, 5, 6]);
    view[0] = 9;
    expect(new Uint8Array(buffer)[2]).toBe(9);
    expect(checkBytes('source', buffer).byteLength).toBe(8);
    expect(checkBytes('source', new SharedArrayBuffer(3)).byteLength).toBe(3);
    expect([...checkBytes('source', new DataView(buffer, 7))]).toEqual([8]);
    const same = Buffer.from('ab');
    expect(checkBytes('source', same)).toBe(same);
  });

  test.each(['text', 5, null, undefined, [1, 2], {}])('refuses %o', (value) => {
    expect(() => checkBytes('source', value)).toThrowError(refusal(/^source must be bytes/));
  });
});

describe('checkSignal', () => {
  test('takes a signal or nothing', () => {
    const { signal } = new AbortController();
    expect(checkSignal('signal', signal)).toBe(signal);
    expect(checkSignal('signal', undefined)).toBeUndefined();
  });

  test.each([null, {}, new AbortController(), 'abort'])('refuses %o', (value) => {
    expect(() => checkSignal('signal', value)).toThrowError(refusal(/AbortSignal/));
  });
});

describe('checkOneOf', () => {
  const choices = ['process', 'thread', 'inline'] as const;

  test('takes a choice', () => {
    expect(checkOneOf('runAs', 'thread', choices)).toBe('thread');
  });

  test.each(['Thread', '', undefined, 1])('refuses %o and lists the choices', (value) => {
    expect(() => checkOneOf('runAs', value, choices)).toThrowError(
      refusal(/'process', 'thread', 'inline'/),
    );
  });
});
