import { describe, expect, test } from 'vitest';
import { MessageFields } from '../../../../dist/cluster/transfer/message-fields.js';
import {
  decodeDropRequest,
  encodeDropRequest,
  shardsPerMessageMax,
} from '../../../../dist/cluster/transfer/messages.js';
import { encodeValue } from '../../../../dist/wire/values.js';

const withFields = (count: number): Uint8Array =>
  encodeValue(Object.fromEntries(Array.from({ length: count }, (_, at) => [`f${at}`, at])));

describe('a message from a peer', () => {
  test('of as many shard indexes as one may name is read', () => {
    const shards = Array.from({ length: shardsPerMessageMax }, (_, at) => at);
    const bytes = encodeDropRequest({ dataId: 'd'.repeat(255), version: 1n, shards });
    expect(decodeDropRequest(bytes).shards).toHaveLength(shardsPerMessageMax);
  });

  test('has at most 32 fields', () => {
    expect(new MessageFields('m', withFields(32)).integer('f31', 0, 99)).toBe(31);
    expect(() => new MessageFields('m', withFields(33))).toThrow(
      expect.objectContaining({ code: 'PAIPAI_ERR_PROTOCOL' }),
    );
  });

  test('is refused before it is decoded when it is too long or holds too much', () => {
    const long = encodeValue({ text: new Uint8Array(5_000_000) });
    expect(() => new MessageFields('m', long)).toThrow(
      expect.objectContaining({ code: 'PAIPAI_ERR_PROTOCOL' }),
    );
    const many = encodeValue({ list: new Array(1_024).fill([]) });
    expect(() => new MessageFields('m', many)).toThrow(
      expect.objectContaining({ code: 'PAIPAI_ERR_VALUE' }),
    );
  });
});
