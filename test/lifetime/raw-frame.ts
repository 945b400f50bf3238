import { crc32c } from '../../dist/wire/crc32c.js';
import { FrameType } from '../../dist/wire/frame.js';

/** One MESSAGE as it lies on the wire (docs/WIRE.md), number 0 of its connection. */
export function encodeMessage(payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(32 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0x5050, true);
  view.setUint8(2, 1);
  view.setUint8(3, FrameType.message);
  view.setUint16(6, 1, true);
  view.setUint32(8, payload.length, true);
  view.setUint32(24, crc32c(payload), true);
  view.setUint32(28, crc32c(bytes.subarray(0, 28)), true);
  bytes.set(payload, 32);
  return bytes;
}
