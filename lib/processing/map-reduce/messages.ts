import { MessageFields, uint32Bytes } from '../../cluster/transfer/message-fields.js';
import { encodeValue } from '../../wire/values.js';
import { handlerNameBytesMax } from '../handlers.js';
import { argsBytesMax } from '../messages.js';
import { memoryBytesMax, memoryBytesMin } from './limits.js';
import { partitionsMax } from './partition.js';

/**
 * What client and node say to each other about a MapReduce. A job begins with `open` and ends with `close`, or with the session; in between
 * all name it. `map`, `seal`, `open` and `close` are requests; `fetch` and `reduce` are streams, whose bytes are entries (entry-writer.ts).
 */
export const openMethod = 'mapReduce.open';
export const mapMethod = 'mapReduce.map';
export const sealMethod = 'mapReduce.seal';
export const fetchMethod = 'mapReduce.fetch';
export const reduceMethod = 'mapReduce.reduce';
export const closeMethod = 'mapReduce.close';

/** Shards of one task. */
export const shardsPerTaskMax = 1_024;
/** Tasks of one job whose output counts on one node. */
export const tasksPerNodeMax = 1_000_000;

const jobIdBytesMax = 64;
const uint32Max = 0xffff_ffff;

/** The node has the functions ready before it answers. */
export interface OpenRequest {
  readonly jobId: string;
  readonly dataId: string;
  readonly version: bigint;
  /** The name by which the caller knows the node; functions see it. */
  readonly nodeId: string;
  readonly map: string;
  readonly combine: string | undefined;
  readonly reduce: string;
  /** Encoded. */
  readonly args: Uint8Array | undefined;
  readonly memoryBytes: number;
}

export interface OpenAnswer {
  /** How many tasks the node works on at once. */
  readonly workers: number;
}

/** Maps some shards, as one task. What an earlier task of the same id left is dropped. */
export interface MapRequest {
  readonly jobId: string;
  readonly taskId: number;
  /** The same for all tasks of a job. */
  readonly partitions: number;
  readonly shards: readonly number[];
}

export interface MapAnswer {
  readonly timeMs: number;
  /** What the task emitted, combined and encoded. */
  readonly outputBytes: number;
  /** What the job has written to the disk of this node so far. */
  readonly spilledBytes: number;
}

/** From now on these tasks count, of all that the node has worked on for the job, and no others. */
export interface SealRequest {
  readonly jobId: string;
  readonly tasks: readonly number[];
}

/** Metadata of `fetch`, answered with what the tasks that count have for the partition. */
export interface PartitionRequest {
  readonly jobId: string;
  readonly partition: number;
}

/**
 * Trailer of `reduce`. Its metadata are a `PartitionRequest`; the client sends what other nodes have for the partition, the node adds its
 * own and answers with the results.
 */
export interface ReduceTrailer {
  readonly timeMs: number;
  /** Of all entries that went in. */
  readonly inputBytes: number;
  readonly keys: number;
  readonly spilledBytes: number;
}

export function encodeOpenRequest(request: OpenRequest): Uint8Array {
  const { combine, args, ...rest } = request;
  return encodeValue({
    ...rest,
    ...(combine === undefined ? {} : { combine }),
    ...(args === undefined ? {} : { args }),
  });
}

/** This and the others below: @throws PaipaiError PAIPAI_ERR_PROTOCOL, PAIPAI_ERR_VALUE. */
export function decodeOpenRequest(bytes: Uint8Array): OpenRequest {
  const fields = new MessageFields(openMethod, bytes);
  return {
    jobId: fields.string('jobId', jobIdBytesMax),
    dataId: fields.string('dataId', 255),
    version: fields.uint64('version'),
    nodeId: fields.string('nodeId', 255),
    map: fields.string('map', handlerNameBytesMax),
    combine: fields.has('combine') ? fields.string('combine', handlerNameBytesMax) : undefined,
    reduce: fields.string('reduce', handlerNameBytesMax),
    args: fields.has('args') ? fields.bytes('args', argsBytesMax) : undefined,
    memoryBytes: fields.integer('memoryBytes', memoryBytesMin, memoryBytesMax),
  };
}

export function encodeOpenAnswer({ workers }: OpenAnswer): Uint8Array {
  return encodeValue({ workers });
}

export function decodeOpenAnswer(bytes: Uint8Array): OpenAnswer {
  const fields = new MessageFields(openMethod, bytes);
  return { workers: fields.integer('workers', 1, 65_536) };
}

export function encodeMapRequest(request: MapRequest): Uint8Array {
  const { jobId, taskId, partitions, shards } = request;
  return encodeValue({ jobId, taskId, partitions, shards: uint32Bytes(shards) });
}

export function decodeMapRequest(bytes: Uint8Array): MapRequest {
  const fields = new MessageFields(mapMethod, bytes);
  return {
    jobId: fields.string('jobId', jobIdBytesMax),
    taskId: fields.integer('taskId', 0, uint32Max),
    partitions: fields.integer('partitions', 1, partitionsMax),
    shards: [...fields.uint32List('shards', shardsPerTaskMax)],
  };
}

export function encodeMapAnswer({ timeMs, outputBytes, spilledBytes }: MapAnswer): Uint8Array {
  return encodeValue({ timeMs, outputBytes, spilledBytes });
}

export function decodeMapAnswer(bytes: Uint8Array): MapAnswer {
  const fields = new MessageFields(mapMethod, bytes);
  return {
    timeMs: fields.milliseconds('timeMs'),
    outputBytes: byteCount(fields, 'outputBytes'),
    spilledBytes: byteCount(fields, 'spilledBytes'),
  };
}

export function encodeSealRequest({ jobId, tasks }: SealRequest): Uint8Array {
  return encodeValue({ jobId, tasks: uint32Bytes(tasks) });
}

export function decodeSealRequest(bytes: Uint8Array): SealRequest {
  const fields = new MessageFields(sealMethod, bytes);
  return {
    jobId: fields.string('jobId', jobIdBytesMax),
    tasks: [...fields.uint32List('tasks', tasksPerNodeMax)],
  };
}

export function encodePartitionRequest({ jobId, partition }: PartitionRequest): Uint8Array {
  return encodeValue({ jobId, partition });
}

export function decodePartitionRequest(bytes: Uint8Array): PartitionRequest {
  const fields = new MessageFields('mapReduce.fetch or mapReduce.reduce', bytes);
  return {
    jobId: fields.string('jobId', jobIdBytesMax),
    partition: fields.integer('partition', 0, partitionsMax - 1),
  };
}

export function encodeReduceTrailer(trailer: ReduceTrailer): Uint8Array {
  const { timeMs, inputBytes, keys, spilledBytes } = trailer;
  return encodeValue({ timeMs, inputBytes, keys, spilledBytes });
}

export function decodeReduceTrailer(bytes: Uint8Array): ReduceTrailer {
  const fields = new MessageFields(reduceMethod, bytes);
  return {
    timeMs: fields.milliseconds('timeMs'),
    inputBytes: byteCount(fields, 'inputBytes'),
    keys: byteCount(fields, 'keys'),
    spilledBytes: byteCount(fields, 'spilledBytes'),
  };
}

export function encodeCloseRequest(jobId: string): Uint8Array {
  return encodeValue({ jobId });
}

export function decodeCloseRequest(bytes: Uint8Array): string {
  return new MessageFields(closeMethod, bytes).string('jobId', jobIdBytesMax);
}

function byteCount(fields: MessageFields, name: string): number {
  return fields.integer(name, 0, Number.MAX_SAFE_INTEGER);
}
