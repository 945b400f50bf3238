import { FrameType } from '../wire/frame.js';
import { Expiring } from './deadlines.js';
import type { Link } from './link.js';
import { noBytes } from './payload.js';

export interface HeartbeatSettings {
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

/** A timeout is watched in this many steps: how much earlier than asked the silence of a peer may be called one. */
const stepsPerTimeout = 10;

/**
 * Watches one connection for silence: pings when nothing has come for `intervalMs`, and calls `onSilent` of the link before
 * nothing has come for longer than `timeoutMs`, at most a tenth of it earlier. Time in which this side stood still is left out:
 * what the peer sent meanwhile may lie unread. It pings as well when nothing was sent for `intervalMs`: a side that only receives is
 * heard so by a peer whose own pings lie behind all that is still to be read.
 *
 *     last frame           ping                ping               onSilent
 *     |<----- intervalMs ---->|<- intervalMs ---->|                   |
 *     |<------------------------- timeoutMs --------------------------->|
 */
export class Heartbeat extends Expiring {
  readonly #link: Link;
  // Moments are whole milliseconds, which V8 holds without allocating.
  #lookedMs: number;
  #bytesReceived = 0;
  #bytesSent = 0;
  #heardMs: number;
  #saidMs: number;
  #pingedMs: number;

  constructor(link: Link, settings: HeartbeatSettings) {
    super();
    this.#link = link;
    this.#lookedMs = Math.floor(link.deadlines.nowMs);
    this.#heardMs = this.#lookedMs;
    this.#saidMs = this.#lookedMs;
    this.#pingedMs = this.#lookedMs;
    link.deadlines.set(this, stepMsOf(settings));
  }

  stop(): void {
    this.#link.deadlines.clear(this);
  }

  override onDeadline(): void {
    const link = this.#link;
    // Without settings there is no heartbeat.
    const settings = link.settings.heartbeat as HeartbeatSettings;
    const stepMs = stepMsOf(settings);
    const nowMs = Math.floor(link.deadlines.nowMs);
    const lateMs = nowMs - this.#lookedMs - stepMs;
    this.#lookedMs = nowMs;
    const { bytesReceived, bytesSent } = link;
    if (bytesReceived !== this.#bytesReceived) {
      this.#bytesReceived = bytesReceived;
      this.#heardMs = nowMs;
    } else if (lateMs > stepMs) {
      this.#heardMs = Math.floor(this.#heardMs + lateMs);
    }
    if (bytesSent !== this.#bytesSent) {
      this.#bytesSent = bytesSent;
      this.#saidMs = nowMs;
    }
    const silentMs = nowMs - this.#heardMs;
    if (silentMs >= settings.timeoutMs - stepMs) return link.onSilent();
    const { intervalMs } = settings;
    const isQuiet = silentMs >= intervalMs || nowMs - this.#saidMs >= intervalMs;
    if (isQuiet && nowMs - this.#pingedMs >= intervalMs) {
      this.#pingedMs = nowMs;
      this.#saidMs = nowMs;
      link.sendFrame(FrameType.ping, 0, 0, 0, noBytes);
      this.#bytesSent = link.bytesSent;
    }
    link.deadlines.set(this, stepMs);
  }
}

function stepMsOf({ intervalMs, timeoutMs }: HeartbeatSettings): number {
  return Math.min(intervalMs, timeoutMs / stepsPerTimeout);
}
