import { debuglog } from 'node:util';
import { PaipaiError } from '../base/errors.js';
import { throwLater } from '../base/throw-later.js';
import type { FrameChannel, OnBulkSent } from '../transport/frame-channel.js';
import { bulkChunkBytes, checkPayloadBytes, copyBytesMax } from '../transport/limits.js';
import { FrameType, frameHeaderBytes } from '../wire/frame.js';
import { gatheredBytesMax } from '../wire/several.js';
import type { Deadlines } from './deadlines.js';
import { encodeFailure, protocolError, sessionClosed } from './failures.js';
import { idBeforeFirst, mayFollow, type Role } from './ids.js';
import { OutgoingNames } from './names.js';
import { ownPayload } from './payload.js';
import type { Settings } from './settings.js';
import type { OnSent, Peer } from './types.js';

const log = debuglog('paipainet');

/** What all sessions of a listener have in common. */
export interface SessionSetting {
  readonly settings: Settings;
  readonly deadlines: Deadlines;
  readonly role: Role;
  /** Called once for each, when its channel has ended. */
  onGone(session: Peer): void;
}

/**
 * What the parts of a session share: how frames get on its channel, what is counted, and what they tell. `SessionPeer` is one
 * itself, because a listener may have very many of them, and each further object costs.
 */
export class Link {
  readonly channel: FrameChannel;
  /** `over`: goodbye was said or heard, or the channel destroyed: frames count no more, everything has settled. */
  phase: 'open' | 'closing' | 'over' | 'closed' = 'open';
  framesSent = 0;
  framesReceived = 0;
  bytesSent = 0;
  bytesReceived = 0;
  handlerFailures = 0;
  /** In the bulk lane, and not with the system yet. */
  bulkMessages = 0;
  /** Of requests and streams that each side has made; see `ids.ts`. */
  lastOwnId: number;
  lastPeerId: number;
  protected readonly setting: SessionSetting;
  #names: OutgoingNames | null = null;
  #bulkBytes = 0;
  /** The frame that `checkRoom` has refused last; 0: none since `takesRefused` said yes. */
  #refusedBytes = 0;

  constructor(channel: FrameChannel, setting: SessionSetting) {
    this.channel = channel;
    this.setting = setting;
    const isConnector = setting.role === 'connect';
    this.lastOwnId = idBeforeFirst(isConnector ? 'connect' : 'listen');
    this.lastPeerId = idBeforeFirst(isConnector ? 'listen' : 'connect');
  }

  get settings(): Settings {
    return this.setting.settings;
  }

  get deadlines(): Deadlines {
    return this.setting.deadlines;
  }

  /** Whether new work is taken. */
  get open(): boolean {
    return this.phase === 'open';
  }

  /** The peer has made a request or a stream. @throws PaipaiError PAIPAI_ERR_PROTOCOL */
  acceptPeerId(kind: 'request' | 'stream', id: number): void {
    if (!mayFollow(this.lastPeerId, id)) {
      throw protocolError(`${kind} ${id} does not follow the ids before it`);
    }
    this.lastPeerId = id | 0;
  }

  /** A request, a stream or a message of the bulk lane is over while no new work is taken. */
  onDone(): void {}

  /** The heartbeat has heard nothing for too long. */
  onSilent(): void {}

  /** @throws PaipaiError PAIPAI_ERR_FRAME_TOO_LARGE, and then nothing was sent. */
  sendFrame(
    type: number,
    name: number,
    streamId: number,
    argument: number,
    payload: Uint8Array,
  ): void {
    this.channel.send(type, 0, name, streamId, argument, payload);
    this.framesSent++;
    this.bytesSent += frameHeaderBytes + payload.length;
  }

  /** The answer to request `streamId`: `bytes` from `start` to `end`, which are borrowed for the call. */
  sendAnswer(streamId: number, bytes: Uint8Array, start: number, end: number): void {
    const { channel } = this;
    if (end - start <= copyBytesMax) {
      channel.send(FrameType.response, 0, 0, streamId, 0, bytes, start, end);
    } else {
      const own = new Uint8Array(bytes.subarray(start, end));
      channel.send(FrameType.response, 0, 0, streamId, 0, own);
    }
    this.framesSent++;
    this.bytesSent += frameHeaderBytes + end - start;
  }

  /** A message whose payload is referenced until `onSent`. @throws PaipaiError PAIPAI_ERR_FRAME_TOO_LARGE, and then nothing was sent. */
  sendMessageByReference(name: number, payload: Uint8Array, onSent: OnSent): void {
    const { channel } = this;
    const told = (error: Error | null): void => {
      try {
        onSent(error);
      } catch (thrown) {
        throwLater(thrown);
      }
    };
    if (payload.length > copyBytesMax && channel.sendByReference !== undefined) {
      channel.sendByReference(FrameType.message, name, 0, 0, payload, told);
      this.framesSent++;
      this.bytesSent += frameHeaderBytes + payload.length;
      return;
    }
    this.sendFrame(FrameType.message, name, 0, 0, ownPayload(payload));
    process.nextTick(told, null);
  }

  /** Messages of one topic, all of `payloadBytes`, one behind the other in `payloads`; counted as each would be alone. */
  sendMessages(name: number, payloads: Uint8Array, payloadBytes: number): void {
    const { channel } = this;
    if (payloadBytes <= gatheredBytesMax && channel.sendMany !== undefined) {
      const count = payloads.length / payloadBytes;
      channel.sendMany(name, payloads, payloadBytes);
      this.framesSent += count;
      this.bytesSent += count * frameHeaderBytes + payloads.length;
      return;
    }
    for (let at = 0; at < payloads.length; at += payloadBytes) {
      const payload = ownPayload(payloads.subarray(at, at + payloadBytes));
      this.sendFrame(FrameType.message, name, 0, 0, payload);
    }
  }

  /** ERROR, STREAM_RESET or GOODBYE. */
  sendFailure(type: number, streamId: number, thrown: unknown): void {
    const { number, payload } = encodeFailure(thrown, this.settings.frameBytesMax);
    this.sendFrame(type, 0, streamId, number, payload);
  }

  /** Stream data in the bulk lane; `onSent` as of `FrameChannel.sendBulk`. */
  sendBulk(streamId: number, bytes: Uint8Array, onSent: OnBulkSent): void {
    const frames = Math.ceil(bytes.length / bulkChunkBytes);
    this.framesSent += frames;
    this.bytesSent += frames * frameHeaderBytes + bytes.length;
    this.#bulkBytes += bytes.length;
    this.channel.sendBulk(streamId, bytes, (error, crc32c) => {
      this.#bulkBytes -= bytes.length;
      onSent(error, crc32c);
    });
  }

  /** A message in the bulk lane; the payload is copied. @throws PaipaiError PAIPAI_ERR_FRAME_TOO_LARGE, and then nothing was sent. */
  sendBulkMessage(name: number, payload: Uint8Array): void {
    checkPayloadBytes(payload.length, this.settings.frameBytesMax);
    this.channel.sendBulkFrame(FrameType.message, name, new Uint8Array(payload), (error) => {
      this.bulkMessages--;
      // A channel that broke says so itself.
      if (error === null && !this.open) this.onDone();
    });
    this.bulkMessages++;
    this.framesSent++;
    this.bytesSent += frameHeaderBytes + payload.length;
  }

  /** The index of a method or topic; the first use on this connection introduces it. */
  nameIndex(what: string, name: string): number {
    this.#names ??= new OutgoingNames();
    const known = this.#names.indexOf(name);
    if (known !== 0) return known;
    const index = this.#names.add(what, name);
    this.sendFrame(FrameType.name, index, 0, 0, Buffer.from(name));
    return index;
  }

  /**
   * Bytes of answers, messages and the like that wait for the peer to read. Stream data are bounded by the peer's own credit
   * and not counted; a piece of them counts as waiting until all of it has left, so the figure errs on the low side.
   */
  get waitingBytes(): number {
    return this.channel.queuedBytes - this.#bulkBytes;
  }

  /** Whether the peer asks for more than it reads, so that a further answer must not be queued. */
  get isClogged(): boolean {
    return this.waitingBytes > this.settings.inFlightBytesMax;
  }

  /**
   * Refuses a request or a message that would make the queue longer than `queuedBytesMax`; an empty queue takes any frame.
   * `longestBytes` is the longest payload, where `payloadBytes` are of several.
   * @throws PaipaiError PAIPAI_ERR_BACK_PRESSURE, _FRAME_TOO_LARGE of what will never have room
   */
  checkRoom(
    kind: 'request' | 'message',
    name: string,
    payloadBytes: number,
    longestBytes: number = payloadBytes,
  ): void {
    const { queuedBytesMax, frameBytesMax } = this.settings;
    if (queuedBytesMax === Infinity) return;
    const waiting = this.waitingBytes;
    const frameBytes = frameHeaderBytes + payloadBytes;
    if (waiting <= 0 || waiting + frameBytes <= queuedBytesMax) return;
    checkPayloadBytes(longestBytes, frameBytesMax);
    this.#refusedBytes = frameBytes;
    const address = this.channel.remoteAddress;
    throw new PaipaiError(
      'PAIPAI_ERR_BACK_PRESSURE',
      `${kind} '${name}': ${waiting} bytes wait already for ${address}, of at most ${queuedBytesMax}; wait for drained()`,
      { address },
    );
  }

  /** Whether what `checkRoom` has refused last would be taken now, or nothing was. */
  takesRefused(): boolean {
    if (this.#refusedBytes === 0) return true;
    const waiting = this.waitingBytes;
    if (waiting > 0 && waiting + this.#refusedBytes > this.settings.queuedBytesMax) return false;
    this.#refusedBytes = 0;
    return true;
  }

  forgetRefused(): void {
    this.#refusedBytes = 0;
  }

  /**
   * Answers that only refuse or echo are short, yet a peer that never reads could pile them up as well.
   * @throws PaipaiError PAIPAI_ERR_BACK_PRESSURE
   */
  checkFlood(): void {
    if (this.waitingBytes <= 2 * this.settings.inFlightBytesMax) return;
    throw new PaipaiError(
      'PAIPAI_ERR_BACK_PRESSURE',
      `the peer at ${this.channel.remoteAddress} goes on asking and does not read: ${this.waitingBytes} bytes wait for it`,
    );
  }

  /** @throws PaipaiError PAIPAI_ERR_CLOSED when no new work is taken. */
  checkOpen(tried: string): void {
    if (!this.open) throw sessionClosed(this.channel.remoteAddress, tried);
  }

  /** A handler without an answer of its own has failed: counted and logged, and the session goes on. */
  noteHandlerFailure(what: string, error: unknown): void {
    this.handlerFailures++;
    log('%s of the service failed: %o', what, error);
  }
}

/** A session, for the parts that hand it to others. */
export type Session = Link & Peer;
