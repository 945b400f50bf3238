import { checkInteger, invalidArgument } from '../../base/check.js';
import { ByteReader, ByteWriter, MalformedMessage } from '../../wire/byte-cursor.js';
import { encodeText } from '../../wire/text.js';

/**
 * What a node says of itself through the gossip. Each change costs the net about N · ⌈λ · log(N + 1)⌉ times its bytes, so load figures
 * belong here every few seconds at most, and only when they moved.
 */
export interface NodeMetadata {
  /** Where the transport reaches the node (`tcp://host:port`); at most 218 bytes, empty when it has none. */
  readonly transportAddress: string;
  /** Share of the data that the node should hold, relative to the others; above 0. */
  readonly weight: number;
  /** Whether it serves the coordinator of the net; one node at most should. */
  readonly coordinates: boolean;
  readonly load: NodeLoadFigures;
}

export interface NodeLoadFigures {
  /** Requests and tasks under way, 0 to 2^32 - 1. */
  readonly inFlight: number;
  /** Smoothed time of an answer in milliseconds, from 0. */
  readonly latencyMs: number;
  /** Busy share of the processor, 0 to 1. */
  readonly cpu: number;
  /** Bytes of stored shards, 0 to 2^53 - 1. */
  readonly storedBytes: number;
}

/** In the low bits of the first byte; `coordinatesFlag` stands beside it, since beside the longest address no byte is left. */
const layoutVersion = 1;
const coordinatesFlag = 0x80;

/** @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT when a field is out of its range. */
export function encodeMetadata(metadata: NodeMetadata): Uint8Array {
  const { transportAddress, weight, coordinates, load } = metadata;
  // Beside the longest address the numbers would not fit below `metadataBytesMax`.
  if (encodeText(transportAddress).byteLength > transportAddressBytesMax) {
    throw invalidArgument(
      'transportAddress',
      `text of at most ${transportAddressBytesMax} bytes`,
      transportAddress,
    );
  }
  if (!(weight > 0 && weight < Infinity)) throw invalidArgument('weight', 'above 0', weight);
  if (!isFromZero(load.latencyMs)) throw invalidArgument('latencyMs', 'from 0', load.latencyMs);
  if (!(load.cpu >= 0 && load.cpu <= 1)) throw invalidArgument('cpu', 'from 0 to 1', load.cpu);
  checkInteger('inFlight', load.inFlight, 0, 0xffff_ffff);
  checkInteger('storedBytes', load.storedBytes, 0, Number.MAX_SAFE_INTEGER);
  const first = coordinates ? layoutVersion | coordinatesFlag : layoutVersion;
  return writeLoad(new ByteWriter().u8(first).f64(weight), load).text(transportAddress).finish();
}

/** `| inFlight u32 | latencyMs f64 | cpu f64 | storedBytes f64 |`. */
export function writeLoad(
  writer: ByteWriter,
  { inFlight, latencyMs, cpu, storedBytes }: NodeLoadFigures,
): ByteWriter {
  return writer.u32(inFlight).f64(latencyMs).f64(cpu).f64(storedBytes);
}

/** Undefined when a figure is out of its range. */
export function readLoad(reader: ByteReader): NodeLoadFigures | undefined {
  const load = {
    inFlight: reader.u32(),
    latencyMs: reader.f64(),
    cpu: reader.f64(),
    storedBytes: reader.f64(),
  };
  const isSane =
    isFromZero(load.latencyMs) &&
    load.cpu >= 0 &&
    load.cpu <= 1 &&
    load.storedBytes >= 0 &&
    Number.isSafeInteger(load.storedBytes);
  return isSane ? load : undefined;
}

/** Undefined when the bytes are no metadata of this version, or out of their ranges: a peer may run another one. */
export function decodeMetadata(bytes: Uint8Array): NodeMetadata | undefined {
  const reader = new ByteReader(bytes);
  try {
    const first = reader.u8();
    if ((first & ~coordinatesFlag) !== layoutVersion) return undefined;
    const coordinates = (first & coordinatesFlag) !== 0;
    const weight = reader.f64();
    const load = readLoad(reader);
    const transportAddress = reader.text(0);
    const isSane = reader.isAtEnd && weight > 0 && weight < Infinity;
    if (!isSane || load === undefined) return undefined;
    return { transportAddress, weight, coordinates, load };
  } catch (error) {
    if (error instanceof MalformedMessage) return undefined;
    throw error;
  }
}

const transportAddressBytesMax = 218;

function isFromZero(value: number): boolean {
  return value >= 0 && value < Infinity;
}
