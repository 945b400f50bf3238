import { checkBytes, checkInteger, invalidArgument } from '../base/check.js';
import { deferred } from '../base/deferred.js';
import { toError } from '../base/errors.js';
import type {
  ChannelPath,
  EngineName,
  FrameChannel,
  FrameReceiver,
  FrameView,
} from '../transport/frame-channel.js';
import { checkPayloadBytes, queueBytesHigh, queueBytesLow } from '../transport/limits.js';
import { decodeError } from '../wire/error-payload.js';
import { FrameType, frameHeaderBytes, pingBytesMax } from '../wire/frame.js';
import { Calls, cancelNumbers } from './calls.js';
import { Alarm, type Deadlines } from './deadlines.js';
import { peerClosed, protocolError } from './failures.js';
import { FastServing } from './fast-serving.js';
import { Heartbeat, type HeartbeatSettings } from './heartbeat.js';
import { IdSequence, type Role } from './ids.js';
import { lingerMs } from './linger.js';
import { Link } from './link.js';
import { IncomingNames } from './names.js';
import { keepPayload, noBytes, ownPayload, viewPayload } from './payload.js';
import { Serving } from './serving.js';
import type { Settings } from './settings.js';
import { Streams } from './streams.js';
import type { OnAnswer, Peer, PeerStats, PeerStream, RequestOptions } from './types.js';

const graceMsDefault = 1_000;
/** In one call of `sendMany`. */
const sendManyBytesMax = 1024 * 1024;

const noSettler = (): void => {};

/** Those of the promise that is being made: one executor for all requests spares each a closure of its own. */
const settlers: { resolve: (answer: Uint8Array) => void; reject: (error: unknown) => void } = {
  resolve: noSettler,
  reject: noSettler,
};

function holdSettlers(
  resolve: (answer: Uint8Array) => void,
  reject: (error: unknown) => void,
): void {
  settlers.resolve = resolve;
  settlers.reject = reject;
}

/**
 * One session, from the end of its handshake on. It hands each frame to the part it concerns: `Calls` (requests we make),
 * `Serving` (requests we answer), `Streams`. What breaks a rule is thrown by those parts and ends the session here.
 */
export class SessionPeer implements Peer, FrameReceiver {
  readonly remoteNodeId: string;
  readonly closed: Promise<Error | null>;
  readonly #channel: FrameChannel;
  readonly #link: Link;
  readonly #names = new IncomingNames();
  readonly #calls: Calls;
  readonly #serving: Serving;
  readonly #streams: Streams;
  readonly #fast: FastServing | null;
  readonly #onGone: (peer: SessionPeer) => void;
  readonly #resolveClosed: (reason: Error | null) => void;
  #state: 'open' | 'closing' | 'closed' = 'open';
  /** Goodbye was said or heard, or the channel destroyed: frames count no more, everything has settled. */
  #isOver = false;
  #reason: Error | null = null;
  /** First ends the grace of `close`, then the wait for the channel. */
  readonly #alarm: Alarm = new Alarm(() => this.#end(null));
  #graceMs = 0;
  readonly #heartbeat: Heartbeat | null;
  #aboveHighMark = false;
  #drainWaiters: { resolve(): void; reject(error: Error): void }[] = [];

  /** @param onGone called once, when the channel has ended */
  constructor(
    channel: FrameChannel,
    settings: Settings,
    deadlines: Deadlines,
    role: Role,
    remoteNodeId: string,
    onGone: (peer: SessionPeer) => void,
  ) {
    const { promise, resolve } = deferred<Error | null>();
    this.closed = promise;
    this.#resolveClosed = resolve;
    this.remoteNodeId = remoteNodeId;
    this.#channel = channel;
    this.#onGone = onGone;
    const link = new Link(channel, settings, deadlines);
    const ownIds = new IdSequence(role);
    const peerIds = new IdSequence(role === 'connect' ? 'listen' : 'connect');
    const onDone = (): void => this.#endWhenIdle();
    this.#link = link;
    this.#calls = new Calls(link, ownIds, onDone);
    this.#serving = new Serving(link, this, peerIds, onDone);
    this.#streams = new Streams(link, this, ownIds, peerIds, onDone);
    const { heartbeat, service } = settings;
    this.#fast =
      service.fast === undefined
        ? null
        : new FastServing(link, this.#serving, service.fast, this.#names, this, () =>
            this.#flushFast(),
          );
    this.#heartbeat =
      heartbeat === null ? null : new Heartbeat(link, heartbeat, () => this.#onSilent(heartbeat));
  }

  get engine(): EngineName | 'memory' {
    return this.#channel.engine;
  }

  get path(): ChannelPath {
    return this.#channel.path;
  }

  get remoteAddress(): string {
    return this.#channel.remoteAddress;
  }

  get queuedBytes(): number {
    return this.#channel.queuedBytes;
  }

  get state(): 'open' | 'closing' | 'closed' {
    return this.#state;
  }

  request(method: string, payload?: Uint8Array, options?: RequestOptions): Promise<Uint8Array> {
    const answer = new Promise<Uint8Array>(holdSettlers);
    const { resolve, reject } = settlers;
    holdSettlers(noSettler, noSettler);
    try {
      this.#calls.start(method, payload, options, resolve, reject);
    } catch (error) {
      reject(error);
    }
    return answer;
  }

  requestFast(method: string, payload: Uint8Array, onAnswer: OnAnswer, deadlineMs?: number): void {
    this.#calls.startFast(method, payload, onAnswer, deadlineMs);
  }

  send(topic: string, payload: Uint8Array = noBytes): boolean {
    const link = this.#link;
    if (!link.open) link.checkOpen(`message '${topic}'`);
    const bytes = checkBytes('payload', payload);
    link.checkRoom('message', topic, bytes.length);
    const nameIndex = link.nameIndex('topic', topic);
    link.send(FrameType.message, nameIndex, 0, 0, ownPayload(bytes));
    return this.#isBelowHighMark();
  }

  sendMany(topic: string, payloads: Uint8Array, payloadBytes: number): boolean {
    const link = this.#link;
    link.checkOpen(`messages '${topic}'`);
    const bytes = checkBytes('payloads', payloads);
    checkInteger('payloadBytes', payloadBytes, 1, sendManyBytesMax);
    if (bytes.length > sendManyBytesMax || bytes.length % payloadBytes !== 0) {
      const expected = `a multiple of payloadBytes, at most ${sendManyBytesMax} bytes`;
      throw invalidArgument('payloads', expected, bytes.length);
    }
    checkPayloadBytes(payloadBytes, link.settings.frameBytesMax);
    const count = bytes.length / payloadBytes;
    link.checkRoom('message', topic, bytes.length + (count - 1) * frameHeaderBytes);
    if (count > 0) link.sendMany(link.nameIndex('topic', topic), bytes, payloadBytes);
    return this.#isBelowHighMark();
  }

  #isBelowHighMark(): boolean {
    if (this.#channel.queuedBytes <= queueBytesHigh) return true;
    this.#aboveHighMark = true;
    return false;
  }

  async drained(): Promise<void> {
    const { queuedBytes } = this.#channel;
    if (this.#isOver) throw peerClosed(this.remoteAddress, 'drained', this.#reason);
    // Between the marks the channel calls only if it was above the high one before.
    if (queuedBytes <= queueBytesLow) return;
    if (queuedBytes <= queueBytesHigh && !this.#aboveHighMark) return;
    return new Promise((resolve, reject) => {
      this.#drainWaiters.push({ resolve, reject });
    });
  }

  openStream(method: string, metadata?: Uint8Array, options?: RequestOptions): PeerStream {
    return this.#streams.open(method, metadata, options);
  }

  stats(): PeerStats {
    const { framesSent, framesReceived, bytesSent, bytesReceived, handlerFailures } = this.#link;
    return {
      framesSent,
      framesReceived,
      bytesSent,
      bytesReceived,
      requestsInFlight: this.#calls.count + this.#serving.count,
      streamsOpen: this.#streams.count,
      handlerFailures,
    };
  }

  async close(graceMs: number = graceMsDefault): Promise<void> {
    checkInteger('graceMs', graceMs, 0, 0x7fff_ffff);
    if (this.#state === 'open') {
      this.#state = 'closing';
      this.#link.open = false;
      this.#graceMs = graceMs;
      this.#endWhenIdle();
      if (!this.#isOver && graceMs === 0) this.#end(null);
      else if (!this.#isOver) this.#link.deadlines.set(this.#alarm, graceMs);
    }
    await this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  destroy(error?: Error): void {
    if (this.#state === 'closed') return;
    if (!this.#isOver) this.#reason = error ?? null;
    this.#settle();
    this.#state = 'closed';
    this.#channel.destroy(error);
  }

  ref(): void {
    this.#channel.ref();
  }

  unref(): void {
    this.#channel.unref();
  }

  onFrame(frame: FrameView): void {
    if (this.#isOver) return;
    this.#link.framesReceived++;
    this.#link.bytesReceived += frameHeaderBytes + frame.end - frame.start;
    try {
      const fast = this.#fast;
      if (fast !== null) {
        if (fast.take(frame)) return;
        fast.flush();
        // What a handler did may have ended all this.
        if (this.#isOver) return;
      }
      this.#dispatch(frame);
    } catch (error) {
      this.#end(toError(error));
    }
  }

  onSeveral(frame: FrameView): boolean {
    const fast = this.#fast;
    if (this.#isOver || fast === null) return this.#isOver;
    try {
      return fast.takeSeveral(frame);
    } catch (error) {
      this.#end(toError(error));
      return true;
    }
  }

  onSink(streamId: number, landedBytes: number, crc32c: number): void {
    if (this.#isOver) return;
    try {
      this.#streams.onSink(streamId, landedBytes, crc32c);
    } catch (error) {
      this.#end(toError(error));
    }
  }

  onDrain(): void {
    this.#aboveHighMark = false;
    for (const waiter of this.#drainWaiters.splice(0)) waiter.resolve();
  }

  onClose(error: Error | null): void {
    this.#flushFast();
    if (!this.#isOver) {
      this.#reason = error ?? peerClosed(this.remoteAddress, 'no goodbye was said', null);
      this.#settle();
    }
    this.#state = 'closed';
    this.#link.deadlines.clear(this.#alarm);
    this.#resolveClosed(this.#reason);
    try {
      this.#link.settings.service.onClose?.(this, this.#reason);
    } catch (thrown) {
      this.#link.noteHandlerFailure('onClose', thrown);
    }
    this.#onGone(this);
  }

  #flushFast(): void {
    if (this.#isOver) return;
    try {
      this.#fast?.flush();
    } catch (error) {
      this.#end(toError(error));
    }
  }

  #dispatch(frame: FrameView): void {
    if (frame.flags !== 0) throw protocolError(`a frame with flags ${frame.flags}`);
    switch (frame.type) {
      case FrameType.request:
        return this.#serving.onRequest(frame, this.#names.nameOf(frame.name));
      case FrameType.response:
        return this.#calls.onResponse(frame);
      case FrameType.error:
        return this.#calls.onError(frame);
      case FrameType.cancel:
        return this.#onCancel(frame);
      case FrameType.streamOpen:
        return this.#streams.onOpen(frame, this.#names.nameOf(frame.name));
      case FrameType.streamData:
        return this.#streams.onData(frame);
      case FrameType.streamEnd:
        return this.#streams.onEnd(frame);
      case FrameType.streamReset:
        return this.#streams.onReset(frame);
      case FrameType.credit:
        return this.#streams.onCredit(frame);
    }
    if (frame.streamId !== 0) {
      throw protocolError(`a frame of type ${frame.type} for stream ${frame.streamId}`);
    }
    switch (frame.type) {
      case FrameType.name:
        return this.#names.introduce(frame);
      case FrameType.message:
        return this.#onMessage(frame);
      case FrameType.ping:
        return this.#onPing(frame);
      case FrameType.pong:
        // An answer to a ping of ours; of others there is nothing to say.
        return;
      case FrameType.goodbye:
        return this.#onGoodbye(frame);
      case FrameType.switch:
        // The engine has judged it: nothing comes by the socket from here on.
        if (this.#channel.path !== 'shm') throw protocolError('a switch without shared memory');
        this.#link.framesReceived--;
        this.#link.bytesReceived -= frameHeaderBytes;
        return;
      default:
        throw protocolError(`a frame of type ${frame.type} in the session`);
    }
  }

  #onCancel(frame: FrameView): void {
    if (!cancelNumbers.has(frame.argument)) {
      throw protocolError(
        `request ${frame.streamId} was cancelled with the number ${frame.argument}`,
      );
    }
    this.#serving.onCancel(frame);
  }

  #onMessage(frame: FrameView): void {
    const topic = this.#names.nameOf(frame.name);
    const { service } = this.#link.settings;
    try {
      const result: unknown = service.onMessage?.(topic, keepPayload(frame), this);
      if (result instanceof Promise) {
        result.catch((error: unknown) => this.#link.noteHandlerFailure('onMessage', error));
      }
    } catch (error) {
      this.#link.noteHandlerFailure('onMessage', error);
    }
  }

  #onPing(frame: FrameView): void {
    const byteCount = frame.end - frame.start;
    if (byteCount > pingBytesMax) throw protocolError(`a ping of ${byteCount} bytes`);
    this.#link.checkFlood();
    this.#link.send(FrameType.pong, 0, 0, frame.argument, viewPayload(frame));
  }

  #onGoodbye(frame: FrameView): void {
    const error = frame.argument === 0 ? null : decodeError(frame.argument, viewPayload(frame));
    this.#end(error, true);
  }

  #onSilent({ timeoutMs }: HeartbeatSettings): void {
    const tried = `nothing came within the ${timeoutMs} ms of the heartbeat`;
    this.destroy(peerClosed(this.remoteAddress, tried, null));
  }

  #endWhenIdle(): void {
    if (this.#isOver || this.#state === 'open') return;
    if (this.#calls.count + this.#serving.count + this.#streams.count === 0) this.#end(null);
  }

  /** Says goodbye, with the number of `reason` unless the peer said its own first, and lets the channel run out. */
  #end(reason: Error | null, isAnswer = false): void {
    if (this.#isOver) return;
    this.#reason = reason;
    this.#state = 'closing';
    const link = this.#link;
    if (reason === null || isAnswer) link.send(FrameType.goodbye, 0, 0, 0, noBytes);
    else link.sendFailure(FrameType.goodbye, 0, reason);
    this.#settle();
    this.#channel.close();
    // A peer that neither reads nor ends must not keep the connection.
    link.deadlines.clear(this.#alarm);
    this.#alarm.onDeadline = () => this.#channel.destroy();
    link.deadlines.set(this.#alarm, Math.max(lingerMs, this.#graceMs));
  }

  /** Everything in flight ends, once. */
  #settle(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#link.open = false;
    this.#heartbeat?.stop();
    this.#fast?.stop();
    const cause = this.#reason;
    this.#calls.failAll(cause);
    this.#serving.abandonAll(cause);
    this.#streams.failAll(cause);
    for (const waiter of this.#drainWaiters.splice(0)) {
      waiter.reject(peerClosed(this.remoteAddress, 'drained', cause));
    }
  }
}
