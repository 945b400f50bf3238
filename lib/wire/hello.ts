import { PaipaiError } from '../base/errors.js';
import { readU16, readU32, writeU16, writeU32 } from './little-endian.js';
import { decodeText, encodeText } from './text.js';

/**
 * The first frame each way.
 *
 *  0       2       4        8                 40   41   42      44
 *  |version|version|features| nonce, 32 bytes |net |node|  0    | net name | node id |
 *  | min   | max   |  u32   |                 |len |len |       |  UTF-8   |  UTF-8  |
 */
export interface Hello {
  /** Versions of the wire that this side speaks, both included; 1 to 65,535. */
  versionMin: number;
  versionMax: number;
  /** Bits of `helloFeature`; unknown ones are kept. */
  features: number;
  /** 32 unpredictable bytes. */
  nonce: Uint8Array;
  /** 1 to 255 bytes of UTF-8 each. */
  netName: string;
  nodeId: string;
}

/** `sharedMemory`: could move to shared memory, with a peer of the same host. */
export const helloFeature = { secret: 1, sharedMemory: 2 } as const;
export const nonceBytes = 32;

const fixedBytes = 44;
const nameBytesMax = 255;

/** @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT when a name is empty or too long. */
export function encodeHello(hello: Hello): Uint8Array {
  const netName = encodeName('net name', hello.netName);
  const nodeId = encodeName('node id', hello.nodeId);
  const bytes = new Uint8Array(fixedBytes + netName.length + nodeId.length);
  writeU16(bytes, 0, hello.versionMin);
  writeU16(bytes, 2, hello.versionMax);
  writeU32(bytes, 4, hello.features);
  bytes.set(hello.nonce.subarray(0, nonceBytes), 8);
  bytes[40] = netName.length;
  bytes[41] = nodeId.length;
  bytes.set(netName, fixedBytes);
  bytes.set(nodeId, fixedBytes + netName.length);
  return bytes;
}

function encodeName(what: string, text: string): Uint8Array {
  const bytes = encodeText(text);
  if (bytes.length >= 1 && bytes.length <= nameBytesMax) return bytes;
  throw new PaipaiError(
    'PAIPAI_ERR_INVALID_ARGUMENT',
    `a ${what} must have 1 to ${nameBytesMax} bytes, but has ${bytes.length}`,
  );
}

/**
 * The nonce is a copy: the bytes may be lent.
 * @throws PaipaiError PAIPAI_ERR_PROTOCOL when a length, a range or a text is wrong.
 */
export function decodeHello(bytes: Uint8Array): Hello {
  if (bytes.length < fixedBytes) throw malformed(`it has ${bytes.length} bytes`);
  const netNameEnd = fixedBytes + bytes[40]!;
  const nodeIdEnd = netNameEnd + bytes[41]!;
  if (bytes[40] === 0 || bytes[41] === 0) throw malformed('a name is empty');
  if (bytes.length !== nodeIdEnd) {
    throw malformed(`it has ${bytes.length} bytes and announces ${nodeIdEnd}`);
  }
  if (readU16(bytes, 42) !== 0) throw malformed('a reserved field is not 0');
  const versionMin = readU16(bytes, 0);
  const versionMax = readU16(bytes, 2);
  if (versionMin < 1 || versionMax < versionMin) {
    throw malformed(`it offers versions ${versionMin} to ${versionMax}`);
  }
  const netName = decodeText(bytes, fixedBytes, netNameEnd);
  const nodeId = decodeText(bytes, netNameEnd, nodeIdEnd);
  if (netName === undefined || nodeId === undefined) throw malformed('a name is not UTF-8');
  return {
    versionMin,
    versionMax,
    features: readU32(bytes, 4),
    nonce: new Uint8Array(bytes.subarray(8, 8 + nonceBytes)),
    netName,
    nodeId,
  };
}

function malformed(why: string): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_PROTOCOL', `the hello of the peer is malformed: ${why}`);
}
