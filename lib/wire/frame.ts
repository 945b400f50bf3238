import { crc32c } from './crc32c.js';
import { readU16, readU32, writeU16, writeU32 } from './little-endian.js';

/**
 * The frame of docs/WIRE.md: 32 bytes of header, then the payload.
 *
 *  0      2  3  4      6      8         12        16         20         24         28        32
 *  |magic |v |t |flags | name | payload | stream  | sequence | argument | payload  | header  |
 *  |      |  |  |      |      |  bytes  |   id    |          |          |  CRC32C  | CRC32C  |
 */

export const frameMagic = 0x5050;
export const frameVersion = 1;
export const frameHeaderBytes = 32;

/** Longest payload of one frame: the range of the option `frameBytesMax`, and its default. */
export const frameBytesMaxLeast = 1024;
export const frameBytesMaxDefault: number = 16 * 1024 * 1024;
export const frameBytesMaxMost: number = 64 * 1024 * 1024;

/** Longest payload of STREAM_DATA. */
export const chunkBytesMax: number = 256 * 1024;
/** Longest metadata of STREAM_OPEN, trailer of STREAM_END, and payload of ERROR, STREAM_RESET and GOODBYE. */
export const metadataBytesMax: number = 64 * 1024;
/** Longest payload of PING and PONG. */
export const pingBytesMax = 64;
/** Longest name that NAME introduces. */
export const nameBytesMax = 255;

/** Longest payload of a frame of several small ones; taken whatever the frame limit is. */
export const severalBytesMax: number = 16 * 1024;

export const FrameType = {
  hello: 1,
  auth: 2,
  ready: 3,
  name: 4,
  request: 5,
  response: 6,
  error: 7,
  cancel: 8,
  message: 9,
  streamOpen: 10,
  streamData: 11,
  streamEnd: 12,
  streamReset: 13,
  credit: 14,
  ping: 15,
  pong: 16,
  goodbye: 17,
  path: 18,
  switch: 19,
  requests: 20,
  responses: 21,
  messages: 22,
} as const;

const typeLeast = FrameType.hello;
const typeMost = FrameType.messages;

export function isFrameType(type: number): boolean {
  return type >= typeLeast && type <= typeMost;
}

/**
 * Writes the header of one frame at `at`, where 32 bytes must be free. Numbers are cut to the width of their field.
 * @param payloadCrc32c of the payload; 0 when there is none
 */
export function writeFrameHeader(
  into: Uint8Array,
  at: number,
  type: number,
  flags: number,
  name: number,
  streamId: number,
  sequence: number,
  argument: number,
  payloadBytes: number,
  payloadCrc32c: number,
): void {
  writeU16(into, at, frameMagic);
  into[at + 2] = frameVersion;
  into[at + 3] = type;
  writeU16(into, at + 4, flags);
  writeU16(into, at + 6, name);
  writeU32(into, at + 8, payloadBytes);
  writeU32(into, at + 12, streamId);
  writeU32(into, at + 16, sequence);
  writeU32(into, at + 20, argument);
  writeU32(into, at + 24, payloadCrc32c);
  writeU32(into, at + 28, crc32c(into, at, at + 28));
}

/** Fields of the header at `at`, where its 32 bytes lie. Only the decoder reads them unchecked. */
export const frameField = {
  magic: (bytes: Uint8Array, at: number): number => readU16(bytes, at),
  version: (bytes: Uint8Array, at: number): number => bytes[at + 2]!,
  type: (bytes: Uint8Array, at: number): number => bytes[at + 3]!,
  flags: (bytes: Uint8Array, at: number): number => readU16(bytes, at + 4),
  name: (bytes: Uint8Array, at: number): number => readU16(bytes, at + 6),
  payloadBytes: (bytes: Uint8Array, at: number): number => readU32(bytes, at + 8),
  streamId: (bytes: Uint8Array, at: number): number => readU32(bytes, at + 12),
  sequence: (bytes: Uint8Array, at: number): number => readU32(bytes, at + 16),
  argument: (bytes: Uint8Array, at: number): number => readU32(bytes, at + 20),
  payloadCrc32c: (bytes: Uint8Array, at: number): number => readU32(bytes, at + 24),
  headerCrc32c: (bytes: Uint8Array, at: number): number => readU32(bytes, at + 28),
} as const;
