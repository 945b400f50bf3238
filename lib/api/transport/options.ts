import {
  checkBoolean,
  checkDuration,
  checkFunction,
  checkInteger,
  checkObject,
  checkOneOf,
  checkOptions,
  checkString,
  invalidArgument,
} from '../../base/check.js';
import type { Env } from '../../base/env.js';
import { type IoChoice, ioChoices } from '../../native/io.js';
import { type EngineChoice, engineChoices } from '../../node/select-network.js';
import type { ListenOptions as SessionListenOptions, SessionOptions } from '../../session/types.js';
import type { PathChoice } from '../../transport/frame-channel.js';
import { nameBytesMax } from '../../wire/frame.js';
import type { Backoff } from './backoff.js';
import { type Codec, codecs } from './codec.js';
import type { ServiceHandlers } from './service.js';
import type {
  CodecName,
  ConnectOptions,
  FastHandlers,
  HeartbeatOptions,
  Lane,
  ListenOptions,
  ReconnectOptions,
  RequestOptions,
  SendOptions,
  StreamOptions,
  TransportOptions,
} from './types.js';

const mebi = 1024 * 1024;
const pathChoices: readonly PathChoice[] = ['auto', 'tcp', 'unix'];
const lanes: readonly Lane[] = ['first', 'bulk'];
const requestNames: ReadonlySet<string> = new Set<keyof RequestOptions>([
  'deadlineMs',
  'signal',
  'failFast',
]);
const sendNames: ReadonlySet<string> = new Set<keyof SendOptions>(['lane']);
const streamNames: ReadonlySet<string> = new Set<keyof StreamOptions>(['deadlineMs', 'signal']);
const codecNames: readonly CodecName[] = ['bytes', 'msgpack'];
const queuedBytesMaxDefault = 16 * mebi;
const deadlineMsDefault = 30_000;
const spinMicrosecondsMost = 10_000_000;
/** What Linux takes, in seconds, is 32,767. */
const keepAliveMsMost = 32_767_000;

const commonNames: readonly (keyof TransportOptions<unknown>)[] = [
  'name',
  'secret',
  'nodeId',
  'engine',
  'io',
  'waiting',
  'path',
  'codec',
  'methods',
  'onRequest',
  'topics',
  'onMessage',
  'onStream',
  'fast',
  'deadlineMs',
  'heartbeat',
  'noDelay',
  'keepAlive',
  'handshakeTimeoutMs',
  'frameBytesMax',
  'queuedBytesMax',
  'inFlightBytesMax',
  'requestsInFlightMax',
  'requestsPendingMax',
  'streamsMax',
];
const listenNames: ReadonlySet<string> = new Set<keyof ListenOptions>([
  ...commonNames,
  'slowPeers',
  'handshakesMax',
]);
const connectNames: ReadonlySet<string> = new Set<keyof ConnectOptions>([
  ...commonNames,
  'reconnect',
  'queuedRequestsMax',
  'failFast',
  'connectTimeoutMs',
  'signal',
]);
const fastNames: ReadonlySet<string> = new Set<keyof FastHandlers>(['methods', 'topics']);
const heartbeatNames: ReadonlySet<string> = new Set<keyof HeartbeatOptions>([
  'intervalMs',
  'timeoutMs',
]);
const reconnectNames: ReadonlySet<string> = new Set<keyof ReconnectOptions>([
  'backoffMs',
  'backoffMsMax',
  'jitter',
  'attemptsMax',
]);
const waitingNames: ReadonlySet<string> = new Set(['spinMicroseconds']);

export interface ListenSettings {
  /** Without the service, which needs somebody to serve for. */
  readonly session: SessionListenOptions;
  readonly codec: Codec;
  readonly handlers: ServiceHandlers;
  readonly dropsSlowPeers: boolean;
}

export interface ConnectSettings {
  readonly session: SessionOptions;
  readonly codec: Codec;
  readonly handlers: ServiceHandlers;
  readonly backoff: Backoff | null;
  readonly queuedRequestsMax: number;
  readonly queuedBytesMax: number;
  readonly failFast: boolean;
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
}

/** @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT, which names the option; ranges of the session's own are checked there. */
export function checkListenOptions(env: Env, options: ListenOptions<unknown>): ListenSettings {
  checkOptions('options', options, listenNames);
  const { slowPeers, handshakesMax } = options;
  return {
    session: {
      ...checkTransportOptions(env, options),
      ...(handshakesMax !== undefined && { handshakesMax }),
    },
    codec: codecOf(options.codec),
    handlers: checkHandlers(options),
    dropsSlowPeers: checkOneOf('slowPeers', slowPeers ?? 'skip', ['skip', 'drop']) === 'drop',
  };
}

/** As `checkListenOptions`. */
export function checkConnectOptions(env: Env, options: ConnectOptions<unknown>): ConnectSettings {
  checkOptions('options', options, connectNames);
  const { connectTimeoutMs, queuedRequestsMax, deadlineMs } = options;
  const session: SessionOptions = {
    ...checkTransportOptions(env, options),
    ...(connectTimeoutMs !== undefined && { connectTimeoutMs }),
  };
  return {
    session,
    codec: codecOf(options.codec),
    handlers: checkHandlers(options),
    backoff: checkReconnect(options.reconnect),
    queuedRequestsMax: checkInteger('queuedRequestsMax', queuedRequestsMax ?? 1_024, 0, mebi),
    queuedBytesMax: session.queuedBytesMax ?? queuedBytesMaxDefault,
    failFast: checkBoolean('failFast', options.failFast ?? false),
    deadlineMs: deadlineMs ?? deadlineMsDefault,
    signal: options.signal,
  };
}

/** What `options` ask of the engine; they are looked at here before anything else is. */
export function checkEngine(options: TransportOptions<unknown>): {
  engine: EngineChoice;
  io: IoChoice;
} {
  checkObject('options', options);
  return {
    engine: checkOneOf('engine', options.engine ?? 'auto', engineChoices),
    io: checkOneOf('io', options.io ?? 'auto', ioChoices),
  };
}

export function checkRequestOptions(options: unknown): RequestOptions {
  checkOptions('options', options, requestNames);
  const asked: RequestOptions = options;
  if (asked.failFast !== undefined) checkBoolean('failFast', asked.failFast);
  return asked;
}

/** @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT */
export function checkStreamOptions(options: unknown): void {
  checkOptions('options', options, streamNames);
}

/** As `checkStreamOptions`. */
export function laneOf(options: unknown): Lane {
  checkOptions('options', options, sendNames);
  const { lane }: SendOptions = options;
  return checkOneOf('lane', lane ?? 'first', lanes);
}

function checkTransportOptions(env: Env, options: TransportOptions<unknown>): SessionOptions {
  const { name, nodeId, heartbeat, secret, deadlineMs, handshakeTimeoutMs } = options;
  const { frameBytesMax, inFlightBytesMax, requestsInFlightMax, streamsMax } = options;
  const { requestsPendingMax } = options;
  if (typeof heartbeat === 'object' && heartbeat !== null) {
    checkOptions('heartbeat', heartbeat, heartbeatNames);
  }
  return {
    netName: checkString('name', name ?? 'default', 255),
    nodeId: nodeId ?? `peer-${Buffer.from(env.random.bytes(8)).toString('hex')}`,
    heartbeat: heartbeat ?? {},
    queuedBytesMax: options.queuedBytesMax ?? queuedBytesMaxDefault,
    deadlineMs: deadlineMs ?? deadlineMsDefault,
    spinMicroseconds: spinMicrosecondsOf(options.waiting),
    path: checkOneOf('path', options.path ?? 'auto', pathChoices),
    noDelay: checkBoolean('noDelay', options.noDelay ?? true),
    keepAliveMs: keepAliveMsOf(options.keepAlive),
    ...(secret !== undefined && { secret }),
    ...(handshakeTimeoutMs !== undefined && { handshakeTimeoutMs }),
    ...(frameBytesMax !== undefined && { frameBytesMax }),
    ...(inFlightBytesMax !== undefined && { inFlightBytesMax }),
    ...(requestsInFlightMax !== undefined && { requestsInFlightMax }),
    ...(requestsPendingMax !== undefined && { requestsPendingMax }),
    ...(streamsMax !== undefined && { streamsMax }),
  };
}

/** 0 is to sleep. */
function spinMicrosecondsOf(waiting: unknown): number {
  if (waiting === undefined || waiting === 'sleep') return 0;
  checkOptions('waiting', waiting, waitingNames, "'sleep', or an object");
  const { spinMicroseconds }: { spinMicroseconds?: unknown } = waiting;
  return checkInteger('waiting.spinMicroseconds', spinMicroseconds, 1, spinMicrosecondsMost);
}

/** 0 is none. */
function keepAliveMsOf(keepAlive: unknown): number {
  if (keepAlive === undefined || keepAlive === false) return 0;
  return checkInteger('keepAlive', keepAlive, 1_000, keepAliveMsMost);
}

function codecOf(codec: unknown): Codec {
  return codecs[checkOneOf('codec', codec ?? 'bytes', codecNames)];
}

function checkHandlers(options: TransportOptions<unknown>): ServiceHandlers {
  checkFunctions('methods', options.methods);
  checkFunctions('topics', options.topics);
  checkFunction('onRequest', options.onRequest);
  checkFunction('onMessage', options.onMessage);
  checkFunction('onStream', options.onStream);
  const { fast, codec } = options;
  if (fast !== undefined) {
    checkOptions('fast', fast, fastNames);
    checkFunctions('fast.methods', fast.methods);
    checkFunctions('fast.topics', fast.topics);
    if (codec === 'msgpack')
      throw invalidArgument('fast', "missing with the codec 'msgpack'", fast);
  }
  return options;
}

function checkReconnect(reconnect: unknown): Backoff | null {
  if (reconnect === undefined || reconnect === false) return null;
  checkOptions('reconnect', reconnect, reconnectNames, 'false, or an object');
  const options: ReconnectOptions = reconnect;
  const { jitter = 1, attemptsMax = Infinity } = options;
  const backoffMs = checkDuration('reconnect.backoffMs', options.backoffMs ?? 100);
  const backoffMsMax = checkDuration(
    'reconnect.backoffMsMax',
    options.backoffMsMax ?? Math.max(backoffMs, 10_000),
  );
  if (backoffMsMax < backoffMs) {
    throw invalidArgument(
      'reconnect.backoffMsMax',
      `at least backoffMs (${backoffMs})`,
      backoffMsMax,
    );
  }
  return {
    backoffMs,
    backoffMsMax,
    jitter: checkFraction('reconnect.jitter', jitter),
    attemptsMax:
      attemptsMax === Infinity
        ? Infinity
        : checkInteger('reconnect.attemptsMax', attemptsMax, 1, Number.MAX_SAFE_INTEGER),
  };
}

function checkFraction(name: string, value: unknown): number {
  if (typeof value === 'number' && value >= 0 && value <= 1) return value;
  throw invalidArgument(name, 'a number from 0 to 1', value);
}

function checkFunctions(name: string, value: unknown): void {
  if (value === undefined) return;
  const expected = 'an object of functions';
  checkObject(name, value, expected);
  // It has none among its properties.
  if (value instanceof Map) throw invalidArgument(name, expected, value);
  for (const [key, member] of Object.entries(value)) {
    checkString(`a name in ${name}`, key, nameBytesMax); // Nobody could ask for another.
    checkFunction(`${name}.${key}`, member ?? null);
  }
}
