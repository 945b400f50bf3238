import { describe, expect, test } from 'vitest';
import { PaipaiError } from '../../../dist/base/errors.js';
import { decodeError, encodeError } from '../../../dist/wire/error-payload.js';
import { metadataBytesMax } from '../../../dist/wire/frame.js';
import { encodeValue } from '../../../dist/wire/values.js';

const there = (thrown: unknown): PaipaiError => {
  const { number, payload } = encodeError(thrown);
  return decodeError(number, payload);
};

describe('errors that travel', () => {
  test('keep code, message and fields', () => {
    const sent = new PaipaiError('PAIPAI_ERR_HANDLER_FAILED', 'wordCount threw: no', {
      nodeId: '2',
      dataId: 'book',
      shardIndex: 7,
      handler: 'wordCount',
      cause: new Error('stays here'),
    });
    const got = there(sent);
    expect(got).toBeInstanceOf(PaipaiError);
    expect({ ...got, message: got.message }).toEqual({
      code: 'PAIPAI_ERR_HANDLER_FAILED',
      message: 'wordCount threw: no',
      nodeId: '2',
      dataId: 'book',
      shardIndex: 7,
      handler: 'wordCount',
    });
  });

  test('anything else thrown becomes REMOTE with its message', () => {
    expect(there(new TypeError('x is undefined'))).toMatchObject({
      code: 'PAIPAI_ERR_REMOTE',
      message: 'x is undefined',
    });
    expect(there('just text')).toMatchObject({ code: 'PAIPAI_ERR_REMOTE', message: 'just text' });
    expect(there(undefined)).toMatchObject({ code: 'PAIPAI_ERR_REMOTE' });
  });

  test('a system error tells call and number', () => {
    const error = Object.assign(new Error('open: ENOENT'), { errno: -2, syscall: 'open' });
    expect(there(error)).toMatchObject({ errno: -2, syscall: 'open', message: 'open: ENOENT' });
  });

  test('long texts are cut: messages keep the beginning, stderr the end', () => {
    const details = { stderr: `${'y'.repeat(100_000)}the end`, method: '数'.repeat(50_000) };
    const sent = new PaipaiError('PAIPAI_ERR_NODE_START', `first ${'数'.repeat(50_000)}`, details);
    const { number, payload } = encodeError(sent);
    expect(payload.length).toBeLessThanOrEqual(metadataBytesMax);
    const got = decodeError(number, payload);
    expect(got.message).toMatch(/^first 数+/);
    expect(got.stderr).toMatch(/the end$/);
  });

  test('nor is what throws when it is looked at', () => {
    const throwing = (fields: string[]): Error => {
      const error = new PaipaiError('PAIPAI_ERR_STORE_FULL', 'no room', { dataId: 'd' });
      const get = (): never => {
        throw new Error('trap');
      };
      for (const field of fields) Object.defineProperty(error, field, { get });
      return error;
    };
    expect(there(throwing(['nodeId', 'errno']))).toMatchObject({
      code: 'PAIPAI_ERR_STORE_FULL',
      message: 'no room',
      dataId: 'd',
    });
    expect(there(throwing(['message']))).toMatchObject({ code: 'PAIPAI_ERR_STORE_FULL' });
    expect(there(throwing(['code', 'message']))).toMatchObject({ code: 'PAIPAI_ERR_REMOTE' });
    expect(there(Object.create(null))).toMatchObject({ code: 'PAIPAI_ERR_REMOTE' });
  });

  test('broken text is no obstacle', () => {
    expect(there(new Error('half \ud800')).message).toBe('half \ufffd');
  });
});

describe('what a peer may send', () => {
  test('a number of a later version is REMOTE', () => {
    expect(decodeError(9999, encodeValue({ message: 'new' }))).toMatchObject({
      code: 'PAIPAI_ERR_REMOTE',
      message: 'new',
    });
  });

  test('no payload: the words of the code', () => {
    expect(decodeError(33, new Uint8Array(0))).toMatchObject({
      code: 'PAIPAI_ERR_NET_NAME',
      message: expect.stringContaining('net name'),
    });
  });

  test.each<[string, Uint8Array]>([
    ['no value', Uint8Array.of(0xc1)],
    ['no object', encodeValue('message')],
    ['no message', encodeValue({ details: {} })],
    ['a message that is no text', encodeValue({ message: 5 })],
    ['too many bytes', encodeValue({ message: 'x'.repeat(metadataBytesMax) })],
  ])('%s is PROTOCOL', (_, payload) => {
    expect(decodeError(44, payload)).toMatchObject({ code: 'PAIPAI_ERR_PROTOCOL' });
  });

  test('details of a wrong type are left out', () => {
    const payload = encodeValue({
      message: 'm',
      details: { nodeId: 5, shardIndex: 'x', dataId: 'd', code: 'EVIL' },
    });
    const got = decodeError(44, payload);
    expect({ ...got }).toEqual({ code: 'PAIPAI_ERR_REMOTE', dataId: 'd' });
  });
});
