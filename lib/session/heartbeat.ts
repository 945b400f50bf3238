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
 * Watches one connection for silence: pings when nothing has come for `intervalMs`, and calls `onSilent` before nothing
 * has come for longer than `timeoutMs`, at most a tenth of it earlier. Time in which this side stood still is left out:
 * what the peer sent meanwhile may lie unread.
 *
 *     last frame           ping                ping               onSilent
 *     |<----- intervalMs ---->|<- intervalMs ---->|                   |
 *     |<------------------------- timeoutMs --------------------------->|
 */
export class Heartbeat extends Expiring {
  readonly #link: Link;
  readonly #settings: HeartbeatSettings;
  readonly #onSilent: () => void;
  readonly #stepMs: number;
  #dueMs = 0;
  #bytesReceived = 0;
  #heardMs: number;
  #pingedMs: number;

  constructor(link: Link, settings: HeartbeatSettings, onSilent: () => void) {
    super();
    this.#link = link;
    this.#settings = settings;
    this.#onSilent = onSilent;
    this.#stepMs = Math.min(settings.intervalMs, settings.timeoutMs / stepsPerTimeout);
    this.#heardMs = link.deadlines.nowMs;
    this.#pingedMs = this.#heardMs;
    this.#wait(this.#heardMs);
  }

  stop(): void {
    this.#link.deadlines.clear(this);
  }

  override onDeadline(): void {
    const nowMs = this.#link.deadlines.nowMs;
    const lateMs = nowMs - this.#dueMs;
    const { bytesReceived } = this.#link;
    if (bytesReceived !== this.#bytesReceived) {
      this.#bytesReceived = bytesReceived;
      this.#heardMs = nowMs;
    } else if (lateMs > this.#stepMs) {
      this.#heardMs += lateMs;
    }
    const silentMs = nowMs - this.#heardMs;
    if (silentMs >= this.#settings.timeoutMs - this.#stepMs) return this.#onSilent();
    const { intervalMs } = this.#settings;
    if (silentMs >= intervalMs && nowMs - this.#pingedMs >= intervalMs) {
      this.#pingedMs = nowMs;
      this.#link.send(FrameType.ping, 0, 0, 0, noBytes);
    }
    this.#wait(nowMs);
  }

  #wait(nowMs: number): void {
    this.#dueMs = nowMs + this.#stepMs;
    this.#link.deadlines.set(this, this.#stepMs);
  }
}
