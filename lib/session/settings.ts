import { checkDuration, checkInteger, checkString, invalidArgument } from '../base/check.js';
import { PaipaiError } from '../base/errors.js';
import { frameBytesMaxOf } from '../transport/limits.js';
import { encodeText } from '../wire/text.js';
import type { HeartbeatSettings } from './heartbeat.js';
import { NameBook } from './names.js';
import type { HeartbeatOptions, ListenOptions, PeerService, SessionOptions } from './types.js';

const kibi = 1024;
const mebi = 1024 * kibi;
const gibi = 1024 * mebi;

const secretBytesMin = 16;

export const netNameDefault = 'default';

/** `SessionOptions`, checked, with every default in place. */
export interface Settings {
  readonly netName: string;
  readonly nodeId: string;
  readonly secret: Uint8Array | null;
  readonly service: PeerService;
  readonly names: NameBook;
  readonly deadlineMs: number;
  readonly handshakeTimeoutMs: number;
  readonly inFlightBytesMax: number;
  readonly streamWindowBytes: number;
  readonly requestsInFlightMax: number;
  readonly requestsPendingMax: number;
  readonly streamsMax: number;
  /** Infinity is none. */
  readonly queuedBytesMax: number;
  readonly heartbeat: HeartbeatSettings | null;
  /** The channel's; known here so that nothing is begun that cannot be sent. */
  readonly frameBytesMax: number;
}

/** @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT, which names the option. */
export function checkSettings(options: SessionOptions): Settings {
  if (typeof options !== 'object' || options === null) {
    throw invalidArgument('options', 'an object with a nodeId', options);
  }
  const service = checkService(options.service);
  return {
    netName: checkString('netName', options.netName ?? netNameDefault, 255),
    nodeId: checkString('nodeId', options.nodeId, 255),
    secret: secretBytesOf(options.secret),
    service,
    names: new NameBook(service.fast),
    deadlineMs: checkDuration('deadlineMs', options.deadlineMs ?? 30_000, true),
    handshakeTimeoutMs: checkDuration('handshakeTimeoutMs', options.handshakeTimeoutMs ?? 5_000),
    inFlightBytesMax: checkInteger(
      'inFlightBytesMax',
      options.inFlightBytesMax ?? 64 * mebi,
      mebi,
      4 * gibi,
    ),
    streamWindowBytes: checkInteger(
      'streamWindowBytes',
      options.streamWindowBytes ?? mebi,
      64 * kibi,
      64 * mebi,
    ),
    requestsInFlightMax: checkInteger(
      'requestsInFlightMax',
      options.requestsInFlightMax ?? 4_096,
      1,
      mebi,
    ),
    requestsPendingMax: checkInteger(
      'requestsPendingMax',
      options.requestsPendingMax ?? mebi,
      1,
      16 * mebi,
    ),
    streamsMax: checkInteger('streamsMax', options.streamsMax ?? 1_024, 1, 64 * kibi),
    queuedBytesMax:
      options.queuedBytesMax === undefined
        ? Infinity
        : checkInteger('queuedBytesMax', options.queuedBytesMax, 64 * kibi, 4 * gibi),
    heartbeat: checkHeartbeat(options.heartbeat),
    frameBytesMax: frameBytesMaxOf(options),
  };
}

export function checkHandshakesMax(options: ListenOptions): number {
  return checkInteger('handshakesMax', options.handshakesMax ?? 1_024, 1, mebi);
}

/**
 * A copy of the bytes, so that a caller may wipe its own; null is none.
 * @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT for anything but text or bytes, 16 bytes or more.
 */
export function secretBytesOf(secret: unknown): Uint8Array | null {
  if (secret === undefined) return null;
  const bytes = typeof secret === 'string' ? encodeText(secret) : secret;
  if (!(bytes instanceof Uint8Array) || bytes.length < secretBytesMin) {
    // The value stays out of the message: it may be a secret after all.
    const got = bytes instanceof Uint8Array ? `has ${bytes.length}` : `is a ${typeof secret}`;
    throw new PaipaiError(
      'PAIPAI_ERR_INVALID_ARGUMENT',
      `secret must be a string or bytes, ${secretBytesMin} bytes or more, but ${got}`,
    );
  }
  return new Uint8Array(bytes);
}

function checkHeartbeat(heartbeat: unknown): HeartbeatSettings | null {
  if (heartbeat === undefined || heartbeat === false) return null;
  if (typeof heartbeat !== 'object' || heartbeat === null) {
    throw invalidArgument(
      'heartbeat',
      'false, or an object with intervalMs and timeoutMs',
      heartbeat,
    );
  }
  const { intervalMs: interval, timeoutMs: timeout }: HeartbeatOptions = heartbeat;
  const intervalMs = checkDuration(
    'heartbeat.intervalMs',
    interval ??
      (timeout === undefined ? 10_000 : checkDuration('heartbeat.timeoutMs', timeout) / 3),
  );
  const timeoutMs = checkDuration('heartbeat.timeoutMs', timeout ?? 3 * intervalMs);
  if (timeoutMs >= 2 * intervalMs) return { intervalMs, timeoutMs };
  throw invalidArgument(
    'heartbeat.timeoutMs',
    `at least twice intervalMs (${intervalMs})`,
    timeoutMs,
  );
}

function checkService(service: unknown): PeerService {
  if (service === undefined) return {};
  if (typeof service !== 'object' || service === null) {
    throw invalidArgument('service', 'an object with handlers', service);
  }
  // Its members are optional and looked at when a frame asks for them.
  return service as PeerService;
}
