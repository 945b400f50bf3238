import { expect, test } from 'vitest';
import { PaipaiError } from '../../../dist/base/errors.js';
import { errorJson, toJson } from '../../../dist/cli/json.js';

test.each([
  ['plain values', { a: [1, 'x', null, true] }, { a: [1, 'x', null, true] }],
  ['nothing', undefined, null],
  ['a small bigint', { n: 7n }, { n: 7 }],
  ['a large bigint', { n: 2n ** 64n - 1n }, { n: '18446744073709551615' }],
  ['maps', new Map([['k', new Map([['deep', 1n]])]]), { k: { deep: 1 } }],
  ['a key of old', new Map([['__proto__', 1]]), JSON.parse('{"__proto__":1}')],
  ['bytes', { bytes: new Uint8Array([1, 2, 255]) }, { bytes: { base64: 'AQL/' } }],
  ['a date', new Date(0), '1970-01-01T00:00:00.000Z'],
])('%s in JSON', (_what, value, expected) => {
  expect(JSON.parse(toJson(value))).toEqual(expected);
});

test('nothing in JSON steers a terminal, or ends the line', () => {
  const text = 'a\x1b[31m\x7f\x9b2J\u2028\u2029\n';
  expect(toJson({ [text]: text })).toMatch(/^[\x20-\x7e]+$/);
  expect(JSON.parse(toJson({ [text]: text }))).toEqual({ [text]: text });
});

test('errors have their code and the fields that help', () => {
  const lost = new PaipaiError('PAIPAI_ERR_NODE_LOST', 'gone', { dataId: 'd', shardIndexes: [1] });
  const full = Object.assign(new Error('no space'), { code: 'ENOSPC' });
  const lostJson = {
    code: 'PAIPAI_ERR_NODE_LOST',
    message: 'gone',
    dataId: 'd',
    shardIndexes: [1],
  };
  expect(JSON.parse(errorJson(lost))).toEqual({ error: lostJson });
  expect(JSON.parse(errorJson(full))).toEqual({ error: { code: 'ENOSPC', message: 'no space' } });
  expect(JSON.parse(errorJson('text'))).toEqual({ error: { code: 'Error', message: 'text' } });
  expect(JSON.parse(errorJson(new AggregateError([lost, full])))).toEqual({
    error: lostJson,
    errors: [lostJson, { code: 'ENOSPC', message: 'no space' }],
  });
});
