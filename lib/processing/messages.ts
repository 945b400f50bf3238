import { PaipaiError } from '../base/errors.js';
import { MessageFields, uint32Bytes } from '../cluster/transfer/message-fields.js';
import { mapField, readMapVersion } from '../cluster/transfer/messages.js';
import { encodeValue } from '../wire/values.js';
import { handlerNameBytesMax } from './handlers.js';

/**
 * What client and node say to each other about processing. Both methods are streams: the request is the metadata, the answer
 * comes as value parts (see part-stream.ts), and its trailer says how it went.
 */
export const processMethod = 'data.process';
export const mergeMethod = 'data.merge';

/** Encoded `args` that fit into the metadata beside everything else. */
export const argsBytesMax: number = 40 * 1024;
/** Shards that one request names. */
export const shardsPerRequestMax = 4_096;
/** Shards that a node may be told to work on at once. */
export const concurrencyMax = 1_024;
const jobIdBytesMax = 64;

/** What a node works on at once for one call, which is several requests. */
export interface JobLimit {
  /** Unique among the calls of a client. */
  readonly jobId: string;
  /** Shards at once: 1 to `concurrencyMax`. */
  readonly concurrency: number;
}

export interface ProcessRequest {
  readonly dataId: string;
  readonly version: bigint;
  /** The name by which the caller knows the node; handlers see it. */
  readonly nodeId: string;
  readonly handler: string;
  readonly args: Uint8Array | undefined;
  /** Indexes, each once; they travel in rising order. */
  readonly shards: readonly number[];
  /** Gives the shards back as soon as they are processed. */
  readonly drop: boolean;
  /** Of the shard map that the caller knows; 0 without one. */
  readonly mapVersion: number;
  /** Undefined: as many as the node has workers. */
  readonly limit: JobLimit | undefined;
  /** Infinity is none. */
  readonly deadlineMs: number;
}

export interface MergeRequest {
  readonly handler: string;
  readonly deadlineMs: number;
}

export interface ProcessTrailer {
  /** Milliseconds that handlers ran, summed over the workers. */
  readonly timeMs: number;
  /** The handler has a merge, and the answer is one merged value. */
  readonly merges: boolean;
}

function deadlineField(deadlineMs: number): { deadlineMs?: number } {
  return deadlineMs === Infinity ? {} : { deadlineMs };
}

function readDeadline(fields: MessageFields): number {
  return fields.has('deadlineMs') ? fields.milliseconds('deadlineMs') : Infinity;
}

function readShards(fields: MessageFields): number[] {
  const shards = [...fields.uint32List('shards', shardsPerRequestMax)];
  if (shards.every((index, at) => at === 0 || index > (shards[at - 1] ?? index))) return shards;
  throw new PaipaiError(
    'PAIPAI_ERR_PROTOCOL',
    `the message ${processMethod} names shards twice or not in rising order`,
  );
}

export function encodeProcessRequest(request: ProcessRequest): Uint8Array {
  const { args, shards, deadlineMs, limit, mapVersion, ...rest } = request;
  return encodeValue({
    ...rest,
    ...limit,
    ...mapField(mapVersion),
    ...deadlineField(deadlineMs),
    shards: uint32Bytes([...shards].sort((a, b) => a - b)),
    ...(args === undefined ? {} : { args }),
  });
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL, PAIPAI_ERR_VALUE. */
export function decodeProcessRequest(bytes: Uint8Array): ProcessRequest {
  const fields = new MessageFields(processMethod, bytes);
  return {
    dataId: fields.string('dataId', 255),
    version: fields.uint64('version'),
    nodeId: fields.string('nodeId', 255),
    handler: fields.string('handler', handlerNameBytesMax),
    args: fields.has('args') ? fields.bytes('args', argsBytesMax) : undefined,
    shards: readShards(fields),
    drop: fields.boolean('drop'),
    mapVersion: readMapVersion(fields),
    limit: fields.has('concurrency')
      ? {
          jobId: fields.string('jobId', jobIdBytesMax),
          concurrency: fields.integer('concurrency', 1, concurrencyMax),
        }
      : undefined,
    deadlineMs: readDeadline(fields),
  };
}

export function encodeMergeRequest({ handler, deadlineMs }: MergeRequest): Uint8Array {
  return encodeValue({ handler, ...deadlineField(deadlineMs) });
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL, PAIPAI_ERR_VALUE. */
export function decodeMergeRequest(bytes: Uint8Array): MergeRequest {
  const fields = new MessageFields(mergeMethod, bytes);
  return {
    handler: fields.string('handler', handlerNameBytesMax),
    deadlineMs: readDeadline(fields),
  };
}

export function encodeProcessTrailer({ timeMs, merges }: ProcessTrailer): Uint8Array {
  return encodeValue({ timeMs, merges });
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL, PAIPAI_ERR_VALUE. */
export function decodeProcessTrailer(bytes: Uint8Array): ProcessTrailer {
  const fields = new MessageFields(processMethod, bytes);
  return { timeMs: fields.milliseconds('timeMs'), merges: fields.boolean('merges') };
}
