import { PaipaiError } from '../../base/errors.js';
import type { DataPosition } from '../../store/data-position.js';
import type { StoredData } from '../../store/store.js';
import { decodeText, encodeText } from '../../wire/text.js';
import { encodeValue } from '../../wire/values.js';
import { MessageFields } from './message-fields.js';

/** Request for what a node holds, of all data or of one id; the answer comes in pages, in the order of `comparePositions`. */
export const dataListMethod = 'data.list';

/** Payload of `data.list`. */
export interface DataListRequest {
  /** Only versions of these data. */
  readonly dataId?: string | undefined;
  /** What comes behind this one; without it from the first on. */
  readonly behind?: DataPosition | undefined;
}

export function encodeDataListRequest({ dataId, behind }: DataListRequest): Uint8Array {
  return encodeValue({
    ...(dataId === undefined ? {} : { dataId }),
    ...(behind === undefined ? {} : { behindId: behind.dataId, behindVersion: behind.version }),
  });
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL, PAIPAI_ERR_VALUE. */
export function decodeDataListRequest(bytes: Uint8Array): DataListRequest {
  const fields = new MessageFields(dataListMethod, bytes);
  const id = (name: string): string => fields.string(name, dataIdBytesMax);
  return {
    ...(fields.has('dataId') ? { dataId: id('dataId') } : {}),
    ...(fields.has('behindId')
      ? { behind: { dataId: id('behindId'), version: fields.uint64('behindVersion') } }
      : {}),
  };
}

/** One page; with `more`, others follow behind the last version in it. */
export interface DataList {
  readonly data: readonly StoredData[];
  readonly more: boolean;
}

/** With ids of the greatest length a page has 2.8 MB. */
export const dataPerListMax = 10_000;
const dataIdBytesMax = 255;
/** Version, shards and bytes, besides the id and its length. */
const fixedBytes = 8 + 4 + 8;

/** Each packed as `| id bytes u8 | id | version u64 | shards u32 | bytes u64 |`, little-endian. */
export function encodeDataList({ data, more }: DataList): Uint8Array {
  const ids = data.map(({ dataId }) => encodeText(dataId));
  const length = ids.reduce((sum, id) => sum + 1 + id.byteLength + fixedBytes, 0);
  const packed = new Uint8Array(length);
  const view = new DataView(packed.buffer);
  let at = 0;
  data.forEach(({ version, shards, bytes }, index) => {
    const id = ids[index] ?? new Uint8Array(0);
    view.setUint8(at, id.byteLength);
    packed.set(id, at + 1);
    at += 1 + id.byteLength;
    view.setBigUint64(at, version, true);
    view.setUint32(at + 8, shards, true);
    view.setBigUint64(at + 12, BigInt(bytes), true);
    at += fixedBytes;
  });
  return encodeValue({ data: packed, more });
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL, PAIPAI_ERR_VALUE. */
export function decodeDataList(message: Uint8Array): DataList {
  const fields = new MessageFields(dataListMethod, message);
  const packed = fields.bytes('data', dataPerListMax * (1 + dataIdBytesMax + fixedBytes));
  const more = fields.boolean('more');
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const data: StoredData[] = [];
  for (let at = 0; at < packed.byteLength; ) {
    const idEnd = at + 1 + view.getUint8(at);
    if (idEnd === at + 1 || idEnd > packed.byteLength - fixedBytes) throw malformed('is cut short');
    const dataId = decodeText(packed, at + 1, idEnd);
    const bytes = Number(view.getBigUint64(idEnd + 12, true));
    if (dataId === undefined) throw malformed('has an id that is no text');
    if (!Number.isSafeInteger(bytes)) throw malformed(`has data of ${bytes} bytes`);
    const version = view.getBigUint64(idEnd, true);
    data.push({ dataId, version, shards: view.getUint32(idEnd + 8, true), bytes });
    at = idEnd + fixedBytes;
  }
  if (more && data.length === 0) throw malformed('goes on with nothing in it');
  return { data, more };
}

export function malformed(why: string): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_PROTOCOL', `the message ${dataListMethod} ${why}`);
}
