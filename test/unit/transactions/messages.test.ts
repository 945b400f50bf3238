import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isPaipaiError } from '../../../dist/base/errors.js';
import { changedBytesMax, touchedRecordsMax } from '../../../dist/transactions/limits.js';
import * as messages from '../../../dist/transactions/messages.js';
import { codeThrown } from '../../support/session-pair.js';

const id = fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme-ascii' });
const key = fc.string({ minLength: 1, maxLength: 30 });
const version = fc.maxSafeNat();
const value = fc.option(fc.uint8Array({ maxLength: 50 }), { nil: undefined });
const change = fc.option(fc.record({ value }), { nil: undefined });
const ids = fc.array(id, { maxLength: 5 });

const decoders = [
  messages.decodeKey,
  messages.decodeAnswer,
  messages.decodeVersions,
  messages.decodePreparation,
  messages.decodeVote,
  messages.decodeFinish,
  messages.decodeInDoubt,
];

describe('messages of transactions', () => {
  test('come out as they went in', () => {
    fc.assert(
      fc.property(
        id,
        fc.uniqueArray(fc.record({ key, version, change }), {
          selector: (record) => record.key,
          maxLength: 8,
        }),
        ids,
        (transaction, records, by) => {
          const preparation = { id: transaction, records };
          const { encodePreparation, decodePreparation } = messages;
          expect(decodePreparation(encodePreparation(preparation))).toEqual(preparation);
          const versions = records.map(({ key, version }) => ({ key, version }));
          expect(messages.decodeVersions(messages.encodeVersions(versions))).toEqual(versions);
          for (const vote of [
            { kind: 'yes' },
            { kind: 'changed' },
            { kind: 'blocked', by },
          ] as const) {
            expect(messages.decodeVote(messages.encodeVote(vote))).toEqual(vote);
          }
          for (const outcome of ['committed', 'aborted'] as const) {
            const finish = messages.encodeFinish(transaction, outcome);
            expect(messages.decodeFinish(finish)).toEqual({ id: transaction, outcome });
          }
          const list = by.map((one, at) => ({ id: one, forMs: at / 3 }));
          expect(messages.decodeInDoubt(messages.encodeInDoubt(list))).toEqual(list);
        },
      ),
    );
    fc.assert(
      fc.property(key, version, value, ids, (recordKey, its, content, by) => {
        expect(messages.decodeKey(messages.encodeKey(recordKey))).toBe(recordKey);
        for (const answer of [
          { kind: 'is', version: its, value: content },
          { kind: 'blocked', by },
        ] as const) {
          expect(messages.decodeAnswer(messages.encodeAnswer(answer))).toEqual(answer);
        }
      }),
    );
  });

  test('any bytes are a message or PAIPAI_ERR_PROTOCOL', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (payload) => {
        for (const decode of decoders) {
          try {
            decode(payload);
          } catch (thrown) {
            expect(isPaipaiError(thrown, 'PAIPAI_ERR_PROTOCOL')).toBe(true);
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test('too many records, too large ones, and one that is named twice are refused', () => {
    const { encodePreparation, decodePreparation } = messages;
    const record = (at: number) => ({ key: `k${at}`, version: 0 });
    const many = Array.from({ length: touchedRecordsMax + 1 }, (_, at) => record(at));
    const large = [{ ...record(0), change: { value: new Uint8Array(changedBytesMax) } }];
    for (const records of [many, large, [record(0), record(0)]]) {
      const payload = encodePreparation({ id: 't', records });
      expect(codeThrown(() => decodePreparation(payload))).toBe('PAIPAI_ERR_PROTOCOL');
    }
  });
});
