import { debuglog } from 'node:util';
import { type Deferred, deferred } from '../../base/deferred.js';
import { isPaipaiError, type PaipaiError, toError } from '../../base/errors.js';
import type { Peer, SessionOptions } from '../../session/types.js';
import type { NetworkEnv } from '../../transport/frame-channel.js';
import { isRefusal, seedFailure } from '../membership/join-rounds.js';
import { dialHub } from './dial-hub.js';
import { type AttachedNode, encodeRelayAttach, relayAttachMethod } from './messages.js';

const answerMsMax = 5_000;
const waitMsFirst = 100;
const waitMsMost = 5_000;

const log = debuglog('paipainet');

/** A node that stays connected to a hub, through which others reach it; when the connection ends it makes the next. */
export class Attachment {
  readonly #env: NetworkEnv;
  readonly #address: string;
  readonly #options: SessionOptions;
  readonly #node: AttachedNode;
  readonly #first = deferred<void>();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #waiting: Deferred<void> | undefined;
  #peer: Peer | undefined;
  #problem: PaipaiError | null = null;

  /**
   * @param options of the session, with what the node serves
   */
  constructor(env: NetworkEnv, address: string, options: SessionOptions, node: AttachedNode) {
    this.#env = env;
    this.#address = address;
    this.#options = { ...options, signal: this.#stop.signal };
    this.#node = node;
  }

  /** Why it is not attached, though it goes on trying; null when it is. */
  get problem(): PaipaiError | null {
    return this.#problem;
  }

  /**
   * Settles when the node is attached, or the hub cannot be reached, and then it goes on trying.
   * Fails with what the hub refuses it with: PAIPAI_ERR_DUPLICATE_ID, _NET_NAME, _SECRET, _VERSION_MISMATCH, _FRAME_MAGIC, _METHOD_UNKNOWN,
   * _INVALID_STATE (a node that is no member of a net), _OVERLOADED.
   */
  async start(): Promise<void> {
    this.#running = this.#run();
    await this.#first.promise;
  }

  /** Never fails; idempotent. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#waiting?.resolve();
    await this.#peer?.close(0);
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let failures = 0; !this.#stop.signal.aborted; ) {
      try {
        await this.#attach();
        failures = 0;
      } catch (thrown) {
        failures++;
        const isFirst = this.#problem === null && this.#peer === undefined;
        this.#problem = isPaipaiError(thrown) ? thrown : seedFailure(this.#address, thrown);
        log('%s', this.#problem.message);
        if (isFirst && isRefusal(this.#problem)) return this.#first.reject(this.#problem);
        this.#first.resolve();
      }
      await this.#wait(Math.min(waitMsMost, waitMsFirst * 2 ** failures));
    }
    this.#first.resolve();
  }

  /** Settles when the node was attached, and is not any more. */
  async #attach(): Promise<void> {
    const { peer } = await dialHub(this.#env, [this.#address], this.#options);
    try {
      const request = encodeRelayAttach(this.#node);
      await peer.request(relayAttachMethod, request, {
        deadlineMs: answerMsMax,
        signal: this.#stop.signal,
      });
      // `close` may have come between the answer and here.
      this.#stop.signal.throwIfAborted();
      this.#peer = peer;
      this.#problem = null;
      this.#first.resolve();
    } catch (thrown) {
      peer.destroy();
      throw seedFailure(this.#address, thrown);
    }
    const reason = await peer.closed;
    if (reason !== null) log('the hub is gone: %s', toError(reason).message);
  }

  async #wait(wholeMs: number): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#waiting = deferred();
    const waitMs = wholeMs * (0.5 + 0.5 * this.#env.random.next());
    const timer = this.#env.timers.after(waitMs, () => this.#waiting?.resolve(), {
      keepAlive: true,
    });
    await this.#waiting.promise;
    timer.cancel();
  }
}
