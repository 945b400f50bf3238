import { checkBytes, checkInteger, invalidArgument } from '../base/check.js';
import { type Deferred, deferred } from '../base/deferred.js';
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
import { Alarm } from './deadlines.js';
import { peerClosed, protocolError } from './failures.js';
import { FastServing, isForNames } from './fast-serving.js';
import { Heartbeat } from './heartbeat.js';
import { lingerMs } from './linger.js';
import { Link, type SessionSetting } from './link.js';
import { introduce, type NameList, nameAt, noNames } from './names.js';
import { keepPayload, noBytes, ownPayload, viewPayload } from './payload.js';
import { Serving } from './serving.js';
import { Streams } from './streams.js';
import type {
  FastService,
  Lane,
  OnAnswer,
  OnSent,
  Peer,
  PeerStats,
  PeerStream,
  RequestOptions,
} from './types.js';

const graceMsDefault = 1_000;
/** How long `drained` gives a queue that is below its marks, and has no room for what it refused. */
const refusedPauseMs = 2;
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

/** What a session needs for its end only, or for whoever awaits that. */
class Ending {
  readonly closed: Deferred<Error | null> = deferred();
  /** First ends the grace of `close`, then the wait for the channel. */
  readonly alarm: Alarm;
  reason: Error | null = null;
  graceMs = 0;

  constructor(onGraceOver: () => void) {
    this.alarm = new Alarm(onGraceOver);
  }
}

interface DrainWaiter {
  resolve(): void;
  reject(error: Error): void;
}

/**
 * One session, from the end of its handshake on. It hands each frame to the part it concerns: `Calls` (requests we make),
 * `Serving` (requests we answer), `Streams`. What breaks a rule is thrown by those parts and ends the session here.
 * A listener may hold ten thousands that say nothing, so each part is made when it is first needed.
 */
export class SessionPeer extends Link implements Peer, FrameReceiver {
  readonly remoteNodeId: string;
  holder: unknown;
  #names: NameList = noNames;
  #madeCalls: Calls | null = null;
  #madeServing: Serving | null = null;
  #madeStreams: Streams | null = null;
  #madeFast: FastServing | null = null;
  #madeEnding: Ending | null = null;
  readonly #heartbeat: Heartbeat | null;
  /** Who waits for the queue to drain; null while it has not been above its high mark. */
  #drainWaiters: DrainWaiter[] | null = null;

  constructor(channel: FrameChannel, setting: SessionSetting, remoteNodeId: string) {
    super(channel, setting);
    this.remoteNodeId = remoteNodeId;
    const { heartbeat } = setting.settings;
    this.#heartbeat = heartbeat === null ? null : new Heartbeat(this, heartbeat);
  }

  #calls(): Calls {
    this.#madeCalls ??= new Calls(this);
    return this.#madeCalls;
  }

  #serving(): Serving {
    this.#madeServing ??= new Serving(this);
    return this.#madeServing;
  }

  #streams(): Streams {
    this.#madeStreams ??= new Streams(this);
    return this.#madeStreams;
  }

  #fast(service: FastService): FastServing {
    this.#madeFast ??= new FastServing(this, this.#serving(), service, () => this.#flushFast());
    return this.#madeFast;
  }

  #ending(): Ending {
    this.#madeEnding ??= new Ending(() => this.#end(null));
    return this.#madeEnding;
  }

  get engine(): EngineName | 'memory' {
    return this.channel.engine;
  }

  get path(): ChannelPath {
    return this.channel.path;
  }

  get remoteAddress(): string {
    return this.channel.remoteAddress;
  }

  get queuedBytes(): number {
    return this.channel.queuedBytes;
  }

  get state(): 'open' | 'closing' | 'closed' {
    return this.phase === 'over' ? 'closing' : this.phase;
  }

  get closed(): Promise<Error | null> {
    return this.#ending().closed.promise;
  }

  #isOver(): boolean {
    return this.phase === 'over' || this.phase === 'closed';
  }

  request(method: string, payload?: Uint8Array, options?: RequestOptions): Promise<Uint8Array> {
    const answer = new Promise<Uint8Array>(holdSettlers);
    const { resolve, reject } = settlers;
    holdSettlers(noSettler, noSettler);
    try {
      this.#calls().start(method, payload, options, resolve, reject);
    } catch (error) {
      reject(error);
    }
    return answer;
  }

  requestFast(method: string, payload: Uint8Array, onAnswer: OnAnswer, deadlineMs?: number): void {
    this.#calls().startFast(method, payload, onAnswer, deadlineMs);
  }

  send(topic: string, payload: Uint8Array = noBytes, lane: Lane = 'first'): boolean {
    if (!this.open) this.checkOpen(`message '${topic}'`);
    const bytes = checkBytes('payload', payload);
    this.checkRoom('message', topic, bytes.length);
    const nameIndex = this.nameIndex('topic', topic);
    if (lane === 'bulk') this.sendBulkMessage(nameIndex, bytes);
    else this.sendFrame(FrameType.message, nameIndex, 0, 0, ownPayload(bytes));
    return this.#isBelowHighMark();
  }

  sendByReference(topic: string, payload: Uint8Array, onSent: OnSent): boolean {
    if (!this.open) this.checkOpen(`message '${topic}'`);
    const bytes = checkBytes('payload', payload);
    if (typeof onSent !== 'function') throw invalidArgument('onSent', 'a function', onSent);
    this.checkRoom('message', topic, bytes.length);
    this.sendMessageByReference(this.nameIndex('topic', topic), bytes, onSent);
    return this.#isBelowHighMark();
  }

  sendMany(topic: string, payloads: Uint8Array, payloadBytes: number): boolean {
    if (!this.open) this.checkOpen(`messages '${topic}'`);
    const bytes = checkBytes('payloads', payloads);
    checkInteger('payloadBytes', payloadBytes, 1, sendManyBytesMax);
    if (bytes.length > sendManyBytesMax || bytes.length % payloadBytes !== 0) {
      const expected = `a multiple of payloadBytes, at most ${sendManyBytesMax} bytes`;
      throw invalidArgument('payloads', expected, bytes.length);
    }
    checkPayloadBytes(payloadBytes, this.settings.frameBytesMax);
    const count = bytes.length / payloadBytes;
    const withHeaders = bytes.length + (count - 1) * frameHeaderBytes;
    this.checkRoom('message', topic, withHeaders, payloadBytes);
    if (count > 0) this.sendMessages(this.nameIndex('topic', topic), bytes, payloadBytes);
    return this.#isBelowHighMark();
  }

  #isBelowHighMark(): boolean {
    if (this.channel.queuedBytes <= queueBytesHigh) return true;
    this.#drainWaiters ??= [];
    return false;
  }

  async drained(): Promise<void> {
    const { queuedBytes } = this.channel;
    this.#checkNotOver();
    // Between the marks the channel calls only if it was above the high one before.
    const isBelow = queuedBytes <= queueBytesLow || this.#drainWaiters === null;
    if (isBelow && queuedBytes <= queueBytesHigh) return this.#leaveRoom();
    return new Promise((resolve, reject) => {
      this.#drainWaiters ??= [];
      this.#drainWaiters.push({ resolve, reject });
    });
  }

  #checkNotOver(): void {
    if (this.#isOver()) throw peerClosed(this.remoteAddress, 'drained', this.#ending().reason);
  }

  /**
   * Something may have been refused below the marks of the channel, which tells nothing there. Whoever tries it again and again in one turn of
   * the event loop would keep what waits from ever leaving.
   */
  async #leaveRoom(): Promise<void> {
    if (this.takesRefused()) return;
    await new Promise(setImmediate);
    if (!this.#isOver() && !this.takesRefused()) {
      await new Promise<void>((resolve) => this.deadlines.set(new Alarm(resolve), refusedPauseMs));
      this.forgetRefused();
    }
    this.#checkNotOver();
  }

  openStream(method: string, metadata?: Uint8Array, options?: RequestOptions): PeerStream {
    return this.#streams().open(method, metadata, options);
  }

  stats(): PeerStats {
    const { framesSent, framesReceived, bytesSent, bytesReceived, handlerFailures } = this;
    return {
      framesSent,
      framesReceived,
      bytesSent,
      bytesReceived,
      requestsInFlight: (this.#madeCalls?.count ?? 0) + (this.#madeServing?.count ?? 0),
      streamsOpen: this.#madeStreams?.count ?? 0,
      handlerFailures,
    };
  }

  async close(graceMs: number = graceMsDefault): Promise<void> {
    checkInteger('graceMs', graceMs, 0, 0x7fff_ffff);
    const ending = this.#ending();
    if (this.open) {
      this.phase = 'closing';
      ending.graceMs = graceMs;
      if (graceMs === 0) {
        this.#end(null);
      } else {
        this.deadlines.set(ending.alarm, graceMs);
        // Not at once: a handler may have called, whose own request is counted, or answered, when it has returned.
        queueMicrotask(() => this.onDone());
      }
    }
    await ending.closed.promise;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  destroy(error?: Error): void {
    if (this.phase === 'closed') return;
    if (!this.#isOver()) this.#ending().reason = error ?? null;
    this.#settle();
    this.phase = 'closed';
    this.channel.destroy(error);
  }

  ref(): void {
    this.channel.ref();
  }

  unref(): void {
    this.channel.unref();
  }

  onFrame(frame: FrameView): void {
    if (this.#isOver()) return;
    this.framesReceived++;
    this.bytesReceived += frameHeaderBytes + frame.end - frame.start;
    try {
      const { fast } = this.settings.service;
      if (fast === undefined || !this.#takeFast(frame, fast)) this.#dispatch(frame);
    } catch (error) {
      this.#end(toError(error));
    }
  }

  onSeveral(frame: FrameView): boolean {
    if (this.#isOver()) return true;
    // Other kinds, and what breaks a rule, go one by one the way of single frames.
    if (frame.flags !== 0 || frame.streamId !== 0) return false;
    try {
      return this.#takeSeveral(frame);
    } catch (error) {
      this.#end(toError(error));
      return true;
    }
  }

  /** Whole frames take one loop each, in place of a walk through all of these classes for each payload. */
  #takeSeveral(frame: FrameView): boolean {
    if (frame.type === FrameType.responses) {
      this.#madeFast?.flush();
      if (!this.#isOver()) this.#calls().onResponses(frame);
      return true;
    }
    const { fast } = this.settings.service;
    const isRequests = frame.type === FrameType.requests;
    const name = nameAt(this.#names, frame.name);
    const handler = isRequests ? name.method : name.topic;
    if (fast !== undefined && handler !== null) {
      this.#fast(fast).takeSeveral(frame, name, handler);
      return true;
    }
    if (!isRequests) return false;
    this.#madeFast?.flush();
    if (!this.#isOver()) this.#serving().onRequests(frame, name.text);
    return true;
  }

  onSink(streamId: number, landedBytes: number, crc32c: number): void {
    if (this.#isOver()) return;
    try {
      this.#streams().onSink(streamId, landedBytes, crc32c);
    } catch (error) {
      this.#end(toError(error));
    }
  }

  onDrain(): void {
    const waiters = this.#drainWaiters;
    this.#drainWaiters = null;
    for (const waiter of waiters ?? []) waiter.resolve();
  }

  onClose(error: Error | null): void {
    this.#flushFast();
    const ending = this.#ending();
    if (!this.#isOver()) {
      ending.reason = error ?? peerClosed(this.remoteAddress, 'no goodbye was said', null);
      this.#settle();
    }
    this.phase = 'closed';
    this.deadlines.clear(ending.alarm);
    ending.closed.resolve(ending.reason);
    try {
      this.settings.service.onClose?.(this, ending.reason);
    } catch (thrown) {
      this.noteHandlerFailure('onClose', thrown);
    }
    this.setting.onGone(this);
  }

  override onDone(): void {
    if (this.#isOver() || this.open) return;
    const { requestsInFlight, streamsOpen } = this.stats();
    // The goodbye would overtake them.
    if (requestsInFlight + streamsOpen + this.bulkMessages === 0) this.#end(null);
  }

  override onSilent(): void {
    // Without settings there is no heartbeat.
    const timeoutMs = this.settings.heartbeat?.timeoutMs;
    const tried = `nothing came within the ${timeoutMs} ms of the heartbeat`;
    this.destroy(peerClosed(this.remoteAddress, tried, null));
  }

  /** Whether `frame` was for a handler of the fast surface; if not, what came for one before it has been told. */
  #takeFast(frame: FrameView, service: FastService): boolean {
    if (isForNames(frame)) {
      const name = nameAt(this.#names, frame.name);
      const handler = frame.type === FrameType.request ? name.method : name.topic;
      if (handler !== null) {
        this.#fast(service).take(frame, name, handler);
        return true;
      }
    }
    this.#madeFast?.flush();
    // What a handler did may have ended all this.
    return this.#isOver();
  }

  #flushFast(): void {
    if (this.#isOver()) return;
    try {
      this.#madeFast?.flush();
    } catch (error) {
      this.#end(toError(error));
    }
  }

  #dispatch(frame: FrameView): void {
    if (frame.flags !== 0) throw protocolError(`a frame with flags ${frame.flags}`);
    switch (frame.type) {
      case FrameType.request:
        return this.#serving().onRequest(frame, nameAt(this.#names, frame.name).text);
      case FrameType.response:
        return this.#calls().onResponse(frame);
      case FrameType.error:
        return this.#calls().onError(frame);
      case FrameType.cancel:
        return this.#onCancel(frame);
      case FrameType.streamOpen:
        return this.#streams().onOpen(frame, nameAt(this.#names, frame.name).text);
      case FrameType.streamData:
        return this.#streams().onData(frame);
      case FrameType.streamEnd:
        return this.#streams().onEnd(frame);
      case FrameType.streamReset:
        return this.#streams().onReset(frame);
      case FrameType.credit:
        return this.#streams().onCredit(frame);
    }
    if (frame.streamId !== 0) {
      throw protocolError(`a frame of type ${frame.type} for stream ${frame.streamId}`);
    }
    switch (frame.type) {
      case FrameType.name:
        this.#names = introduce(this.#names, frame, this.settings.names);
        return;
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
        if (this.channel.path !== 'shm') throw protocolError('a switch without shared memory');
        this.framesReceived--;
        this.bytesReceived -= frameHeaderBytes;
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
    this.#serving().onCancel(frame);
  }

  #onMessage(frame: FrameView): void {
    const topic = nameAt(this.#names, frame.name).text;
    const { service } = this.settings;
    try {
      const result: unknown = service.onMessage?.(topic, keepPayload(frame), this);
      if (result instanceof Promise) {
        result.catch((error: unknown) => this.noteHandlerFailure('onMessage', error));
      }
    } catch (error) {
      this.noteHandlerFailure('onMessage', error);
    }
  }

  #onPing(frame: FrameView): void {
    const byteCount = frame.end - frame.start;
    if (byteCount > pingBytesMax) throw protocolError(`a ping of ${byteCount} bytes`);
    this.checkFlood();
    this.sendFrame(FrameType.pong, 0, 0, frame.argument, viewPayload(frame));
  }

  #onGoodbye(frame: FrameView): void {
    const error = frame.argument === 0 ? null : decodeError(frame.argument, viewPayload(frame));
    this.#end(error, true);
  }

  /** Says goodbye, with the number of `reason` unless the peer said its own first, and lets the channel run out. */
  #end(reason: Error | null, isAnswer = false): void {
    if (this.#isOver()) return;
    const ending = this.#ending();
    ending.reason = reason;
    this.phase = 'closing';
    if (reason === null || isAnswer) this.sendFrame(FrameType.goodbye, 0, 0, 0, noBytes);
    else this.sendFailure(FrameType.goodbye, 0, reason);
    this.#settle();
    this.channel.close();
    // A peer that neither reads nor ends must not keep the connection.
    const { alarm, graceMs } = ending;
    this.deadlines.clear(alarm);
    alarm.onDeadline = () => this.channel.destroy();
    this.deadlines.set(alarm, Math.max(lingerMs, graceMs));
  }

  /** Everything in flight ends, once. */
  #settle(): void {
    if (this.#isOver()) return;
    this.phase = 'over';
    this.#heartbeat?.stop();
    this.#madeFast?.stop();
    const cause = this.#ending().reason;
    this.#madeCalls?.failAll(cause);
    this.#madeServing?.abandonAll(cause);
    this.#madeStreams?.failAll(cause);
    const waiters = this.#drainWaiters;
    this.#drainWaiters = null;
    for (const waiter of waiters ?? []) {
      waiter.reject(peerClosed(this.remoteAddress, 'drained', cause));
    }
  }
}
