import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CheckedTxn } from '../../../dist/coordination/check.js';
import { keyBytesMax } from '../../../dist/coordination/coordinator.js';
import {
  decodeGrantedLease,
  decodeKeyList,
  decodeLease,
  decodeList,
  decodeMemberList,
  decodeMembersRequest,
  decodeSet,
  decodeTxn,
  decodeTxnResult,
  encodeGrantedLease,
  encodeKeyList,
  encodeLease,
  encodeList,
  encodeMemberList,
  encodeMembersRequest,
  encodeSet,
  encodeTxn,
  encodeTxnResult,
} from '../../../dist/coordination/messages.js';
import { codeThrown } from '../../support/session-pair.js';

const version = fc.maxSafeNat();
const leaseId = fc.option(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), { nil: undefined });
const key = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 40 })
  .filter((text) => Buffer.byteLength(text) <= keyBytesMax);
const value = fc.uint8Array({ maxLength: 100 });
const keyVersion = fc.record({ key, version });
const set = fc.oneof(
  fc.record({ key, value, leaseId }),
  fc.record({ key, value: fc.constant(undefined), leaseId: fc.constant(undefined) }),
);
const txn: fc.Arbitrary<CheckedTxn> = fc.record({
  expect: fc.uniqueArray(keyVersion, { maxLength: 8, selector: (one) => one.key }),
  set: fc.uniqueArray(set, { maxLength: 8, selector: (one) => one.key }),
});

describe('what is encoded is decoded', () => {
  test('a transaction and its answer', () => {
    fc.assert(
      fc.property(txn, version, fc.boolean(), (txn, asOf, isSet) => {
        expect(decodeTxn(encodeTxn(txn))).toEqual(txn);
        const keys = [...txn.expect, ...txn.set].map(({ key }) => key);
        const result = { isSet, asOf, versions: new Map(keys.map((key, at) => [key, at])) };
        expect(decodeTxnResult(encodeTxnResult(result), txn)).toEqual(result);
      }),
    );
  });

  test('a change of one key', () => {
    fc.assert(
      fc.property(key, version, value, leaseId, (key, expectedVersion, value, leaseId) => {
        const request = { key, expectedVersion, value, leaseId };
        expect(decodeSet(encodeSet(request))).toEqual(request);
      }),
    );
  });

  test('a list and its answer', () => {
    const request = fc.record({
      prefix: fc.oneof(key, fc.constant('')),
      limit: fc.integer({ min: 1, max: 1_000 }),
      after: fc.option(key, { nil: undefined }),
    });
    const list = fc.record({ keys: fc.array(keyVersion), isComplete: fc.boolean() });
    fc.assert(
      fc.property(request, list, (request, list) => {
        expect(decodeList(encodeList(request))).toEqual(request);
        expect(decodeKeyList(encodeKeyList(list))).toEqual(list);
      }),
    );
  });

  test('what is asked about members, and the answer', () => {
    const replace = { kind: 'replace', oldNodeId: 'a', newNodeId: 'ö'.repeat(127) } as const;
    for (const request of [{ kind: 'list' } as const, replace]) {
      expect(decodeMembersRequest(encodeMembersRequest(request))).toEqual(request);
    }
    const states = ['voting', 'wiped', 'silent'] as const;
    const members = states.map((state) => ({ nodeId: `of ${state}`, state }));
    expect(decodeMemberList(encodeMemberList(members))).toEqual(members);
  });

  test('what is asked of a lease, and its answer', () => {
    for (const kind of ['keep', 'revoke'] as const) {
      expect(decodeLease(encodeLease({ kind, leaseId: 7 }))).toEqual({ kind, leaseId: 7 });
    }
    const grant = { kind: 'grant', ttlMs: 500 } as const;
    expect(decodeLease(encodeLease(grant))).toEqual(grant);
    const granted = { leaseId: Number.MAX_SAFE_INTEGER, ttlMs: 3_600_000 };
    expect(decodeGrantedLease(encodeGrantedLease(granted))).toEqual(granted);
  });
});

describe('bytes that are no message', () => {
  const decoders = [
    decodeTxn,
    decodeList,
    decodeKeyList,
    decodeLease,
    decodeGrantedLease,
    decodeMembersRequest,
    decodeMemberList,
    decodeSet,
    (bytes: Uint8Array) => decodeTxnResult(bytes, { expect: [{ key: 'a', version: 1 }], set: [] }),
  ];

  test('are refused as such, or taken for what they say', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        for (const decode of decoders) {
          const code = codeThrown(() => decode(bytes));
          if (!code.startsWith('returned')) expect(code).toBe('PAIPAI_ERR_PROTOCOL');
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test('a message that lacks a byte, or has one more, is refused', () => {
    fc.assert(
      fc.property(txn, fc.nat(), (txn, cut) => {
        const bytes = encodeTxn(txn);
        const short = bytes.subarray(0, cut % bytes.byteLength);
        expect(codeThrown(() => decodeTxn(short))).toBe('PAIPAI_ERR_PROTOCOL');
        const long = Buffer.concat([bytes, Buffer.alloc(1)]);
        expect(codeThrown(() => decodeTxn(long))).toBe('PAIPAI_ERR_PROTOCOL');
      }),
    );
  });

  test.each([
    ['more keys than a transaction has', () => decodeTxn(Buffer.from('41000000', 'hex'))],
    ['a limit of 0', () => decodeList(Buffer.alloc(6))],
    ['more keys than an answer has', () => decodeKeyList(Buffer.from('0000e903', 'hex'))],
    [
      'something else to do to a lease',
      () => decodeLease(Buffer.from('03'.padEnd(32, '0'), 'hex')),
    ],
  ])('%s', (_, decode) => {
    expect(codeThrown(decode)).toBe('PAIPAI_ERR_PROTOCOL');
  });
});
