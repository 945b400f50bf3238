import { describe, expect, test } from 'vitest';
import { codeNumbers, codeOfNumber, type PaipaiCode } from '../../../dist/base/codes.js';
import {
  errorOfResult,
  isPaipaiError,
  PaipaiError,
  phraseOf,
  systemError,
  toError,
} from '../../../dist/base/errors.js';

describe('PaipaiError', () => {
  test('carries code, number, cause and the fields that are given', () => {
    const cause = new Error('disk');
    const error = new PaipaiError('PAIPAI_ERR_SOURCE_FAILED', 'reading book.txt failed', {
      cause,
      dataId: 'book',
      shardIndex: 0,
    });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      code: 'PAIPAI_ERR_SOURCE_FAILED',
      number: 71,
      cause,
      dataId: 'book',
      shardIndex: 0,
    });
    expect(Object.keys(error).sort()).toEqual(['code', 'dataId', 'shardIndex']);
    expect('nodeId' in error).toBe(false);
    expect(String(error)).toBe('PaipaiError: reading book.txt failed');
  });

  test('without a cause has none', () => {
    expect('cause' in new PaipaiError('PAIPAI_ERR_CLOSED', 'closed')).toBe(false);
  });

  test('is told from others, by code when asked', () => {
    const error: unknown = new PaipaiError('PAIPAI_ERR_CLOSED', 'closed');
    expect(isPaipaiError(error)).toBe(true);
    expect(isPaipaiError(error, 'PAIPAI_ERR_CLOSED')).toBe(true);
    expect(isPaipaiError(error, 'PAIPAI_ERR_SECRET')).toBe(false);
    expect(isPaipaiError(Object.assign(new Error('x'), { code: 'PAIPAI_ERR_CLOSED' }))).toBe(false);
    expect(isPaipaiError(undefined)).toBe(false);
  });
});

describe('codes', () => {
  test('each number belongs to one code, and leads back to it', () => {
    const entries = Object.entries(codeNumbers) as [PaipaiCode, number][];
    expect(new Set(entries.map(([, number]) => number)).size).toBe(entries.length);
    for (const [code, number] of entries) expect(codeOfNumber(number)).toBe(code);
  });

  test('an unknown number has none', () => {
    for (const number of [0, -1, 9999, Number.NaN]) expect(codeOfNumber(number)).toBeUndefined();
  });

  test('read as words', () => {
    expect(phraseOf('PAIPAI_ERR_FRAME_TOO_LARGE')).toBe('frame too large');
  });
});

describe('results of native calls', () => {
  test('ours become a PaipaiError that says what was tried', () => {
    expect(errorOfResult(-10_015, 'send to tcp://a:1', { address: 'tcp://a:1' })).toMatchObject({
      code: 'PAIPAI_ERR_FRAME_TOO_LARGE',
      message: 'send to tcp://a:1: frame too large',
      address: 'tcp://a:1',
    });
  });

  test("the system's keep its name and number", () => {
    const error = errorOfResult(-111, 'connect to tcp://a:1', {
      syscall: 'connect',
      address: 'tcp://a:1',
    });
    expect(error).not.toBeInstanceOf(PaipaiError);
    expect(error).toMatchObject({
      code: 'ECONNREFUSED',
      errno: -111,
      syscall: 'connect',
      address: 'tcp://a:1',
      message: 'connect to tcp://a:1: ECONNREFUSED',
    });
  });

  test('a system error has only the fields that are known', () => {
    expect(Object.keys(systemError(-2, 'open')).sort()).toEqual(['code', 'errno']);
  });
});

describe('toError', () => {
  test('leaves errors as they are and wraps the rest', () => {
    const error = new TypeError('x');
    expect(toError(error)).toBe(error);
    expect(toError('text')).toMatchObject({ message: 'text', cause: 'text' });
    expect(toError(undefined).message).toBe('failed without an error');
    expect(toError(null).message).toBe('null');
  });
});
