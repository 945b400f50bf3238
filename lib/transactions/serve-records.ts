import { PaipaiError } from '../base/errors.js';
import type { IncomingRequest } from '../session/types.js';
import {
  compareRecordsMethod,
  decodeFinish,
  decodeKey,
  decodePreparation,
  decodeVersions,
  encodeAnswer,
  encodeInDoubt,
  encodeVote,
  finishMethod,
  getRecordMethod,
  inDoubtMethod,
  prepareMethod,
} from './messages.js';
import type { RecordStore } from './record-store.js';

const methods: ReadonlySet<string> = new Set([
  getRecordMethod,
  compareRecordsMethod,
  prepareMethod,
  finishMethod,
  inDoubtMethod,
]);

export function servesRecords(method: string): boolean {
  return methods.has(method);
}

/** Answers the requests of `messages.ts`. Fails: PAIPAI_ERR_PROTOCOL, _METHOD_UNKNOWN, and as `RecordStore`. */
export async function serveRecords(
  { method, payload }: Pick<IncomingRequest, 'method' | 'payload'>,
  records: RecordStore,
): Promise<Uint8Array> {
  switch (method) {
    case getRecordMethod:
      return encodeAnswer(await records.get(decodeKey(payload)));
    case compareRecordsMethod:
      return encodeVote(await records.compare(decodeVersions(payload)));
    case prepareMethod:
      return encodeVote(await records.prepare(decodePreparation(payload)));
    case finishMethod: {
      const { id, outcome } = decodeFinish(payload);
      await records.finish(id, outcome);
      return new Uint8Array(0);
    }
    case inDoubtMethod:
      return encodeInDoubt(records.inDoubt());
    default:
      throw new PaipaiError('PAIPAI_ERR_METHOD_UNKNOWN', `no records are kept by ${method}`, {
        method,
      });
  }
}
