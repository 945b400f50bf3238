import type { IncomingMessage } from 'node:http';
import { PaipaiError, toError } from '../../base/errors.js';
import type { Change } from '../coordinator.js';
import type { ChangeSource } from '../stream-watch.js';
import { type Json, parseJson } from './etcd-http.js';
import { fromBase64, listOf, toInteger } from './etcd-keys.js';

/** A message of a watch, which etcd is asked to keep to about the size of a request. */
const lineBytesMax = 16 * 1024 * 1024;
const newline = 10;

/** Changes of one key as etcd streams them, a line of JSON for each few of them. Beyond one such line, nothing is read that nobody asks for. */
export class EtcdChanges implements ChangeSource {
  readonly #key: string;
  readonly #after: number;
  readonly #stop = new AbortController();
  readonly #over = new AbortController();
  readonly #lines: AsyncGenerator<string, void, void>;
  #events: readonly Json[] = [];

  /** @param open gives the stream, until the signal fires */
  constructor(key: string, after: number, open: (signal: AbortSignal) => Promise<IncomingMessage>) {
    this.#key = key;
    this.#after = after;
    const response = open(this.#stop.signal);
    this.#lines = linesOf(response);
    response.then(
      (stream) => stream.once('close', () => this.#end(new Error('the stream has ended'))),
      (thrown: unknown) => this.#end(toError(thrown)),
    );
  }

  get signal(): AbortSignal {
    return this.#over.signal;
  }

  async next(): Promise<Change> {
    for (;;) {
      const [event, ...rest] = this.#events;
      this.#events = rest;
      const change = event === undefined ? undefined : this.#changeOf(event);
      if (change !== undefined) return change;
      if (event === undefined) await this.#readLine();
    }
  }

  cancel(): void {
    this.#events = [];
    this.#stop.abort();
  }

  async #readLine(): Promise<void> {
    const { done, value } = await this.#lines.next();
    if (done === true) throw new Error('the stream has ended');
    const { result, error } = parseJson(value);
    if (typeof result !== 'object' || result === null) {
      throw new Error(`etcd has ended the watch: ${JSON.stringify(error)}`);
    }
    const { events, canceled, compact_revision: compacted, cancel_reason: reason } = result as Json;
    if (compacted !== undefined) throw this.#gone(toInteger(compacted));
    if (canceled === true) throw new Error(`etcd has ended the watch: ${String(reason)}`);
    this.#events = listOf(events);
  }

  #changeOf({ type, kv }: Json): Change | undefined {
    const { mod_revision: revision, value } = (kv ?? {}) as Json;
    const version = toInteger(revision);
    if (version <= this.#after) return undefined;
    const isDeletion = type === 'DELETE';
    return { key: this.#key, version, value: isDeletion ? undefined : fromBase64(value) };
  }

  #gone(compacted: number): PaipaiError {
    return new PaipaiError(
      'PAIPAI_ERR_HISTORY_GONE',
      `changes of key ${JSON.stringify(this.#key)} after version ${this.#after} are not all kept: etcd was compacted at ${compacted}`,
    );
  }

  #end(reason: Error): void {
    this.#over.abort(reason);
  }
}

async function* linesOf(response: Promise<IncomingMessage>): AsyncGenerator<string, void, void> {
  let rest = Buffer.alloc(0);
  for await (const chunk of (await response) as AsyncIterable<Buffer>) {
    rest = Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf(newline); end >= 0; end = rest.indexOf(newline)) {
      yield rest.subarray(0, end).toString();
      rest = rest.subarray(end + 1);
    }
    if (rest.byteLength > lineBytesMax) {
      const what = `etcd sends more than ${lineBytesMax} bytes in one line`;
      throw new PaipaiError('PAIPAI_ERR_PROTOCOL', what);
    }
  }
}
