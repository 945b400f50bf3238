import { Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest, Agent as TlsAgent } from 'node:https';
import { deferred } from '../../base/deferred.js';
import type { Env, Timer } from '../../base/env.js';
import { PaipaiError, toError } from '../../base/errors.js';
import { bounded, closedError } from '../call.js';
import type { CallSettings } from '../check.js';
import type { EtcdSettings } from './etcd-options.js';

/** What etcd answers, and what it is asked: JSON. */
export type Json = Readonly<Record<string, unknown>>;

export interface EtcdCall extends CallSettings {
  /** Opens the messages: "get of key 'a'". */
  readonly what: string;
  /** Whether doing it twice is as good as once: then another member is asked when one does not answer. */
  readonly isRepeatable: boolean;
}

/** How a question is asked of one member after the other. */
interface Attempts {
  /** By the clock. */
  readonly endMs: number;
  readonly isRepeatable: boolean;
  readonly signal: AbortSignal;
  readonly token: string | undefined;
}

/** The largest answer has 1,000 keys, or a value of 1 MiB; both in base 64. */
const answerBytesMax = 16 * 1024 * 1024;
/** Until a member that answers nothing is given up for another one. */
const connectMsMax = 2_000;
const answerMsMax = 5_000;

/** No member was reached: nothing was done. */
class NotSent extends Error {}

/** A member was reached, and gave no answer. */
class Broken extends Error {}

/** It has refused; `status` is that of gRPC. */
class Refused extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const invalidArgument = 3;
const deadlineExceeded = 4;
const notFound = 5;
const permissionDenied = 7;
const resourceExhausted = 8;
const unavailable = 14;
const unauthenticated = 16;

/**
 * The members of one etcd. Each call fails with PAIPAI_ERR_COORDINATOR_DOWN when nothing was done; with PAIPAI_ERR_PEER_CLOSED when that is not known; with
 * PAIPAI_ERR_DEADLINE, _ABORTED, _CLOSED; with what a member refuses it for: PAIPAI_ERR_LEASE_LOST, _STORE_FULL, _OVERLOADED, _ACCESS, _INVALID_ARGUMENT.
 */
export class EtcdHttp {
  readonly #env: Pick<Env, 'timers' | 'clock'>;
  readonly #settings: EtcdSettings;
  readonly #check: () => void;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #tlsAgent: TlsAgent;
  /** The member that answered last. */
  #preferred = 0;
  #token: string | undefined;
  #isClosed = false;
  readonly #calls = new Set<AbortController>();

  constructor(env: Pick<Env, 'timers' | 'clock'>, settings: EtcdSettings, check: () => void) {
    this.#env = env;
    this.#settings = settings;
    this.#check = check;
    // What Node.js takes as PEM is `Buffer`, which is a Uint8Array.
    this.#tlsAgent = new TlsAgent({ keepAlive: true, ...(settings.tls as object) });
  }

  /** One question, one answer. */
  async call(
    path: string,
    body: Json,
    { what, isRepeatable, ...settings }: EtcdCall,
  ): Promise<Json> {
    if (this.#isClosed) throw closedError();
    this.#check();
    const stop = new AbortController();
    this.#calls.add(stop);
    const endMs = this.#env.clock.nowMs() + settings.deadlineMs;
    try {
      return await bounded(this.#env.timers, what, settings, () =>
        this.#authorized(endMs, stop.signal, async (token) =>
          readJson(
            await this.#open(path, body, { endMs, isRepeatable, signal: stop.signal, token }),
          ),
        ),
      );
    } catch (thrown) {
      stop.abort();
      if (this.#isClosed) throw closedError();
      throw failureOf(what, thrown, isRepeatable);
    } finally {
      this.#calls.delete(stop);
    }
  }

  /** The answer as it comes, for as long as `signal` has not fired. */
  async open(
    path: string,
    body: Json,
    what: string,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    this.#check();
    try {
      const limits = { endMs: Infinity, isRepeatable: true, signal };
      return await this.#authorized(Infinity, signal, (token) =>
        this.#open(path, body, { ...limits, token }),
      );
    } catch (thrown) {
      throw failureOf(what, thrown, true);
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const call of this.#calls) call.abort();
    this.#agent.destroy();
    this.#tlsAgent.destroy();
  }

  /** `work` with a token, where one is asked for; with another one when that has become stale, with time or a restart of etcd. */
  async #authorized<T>(
    endMs: number,
    signal: AbortSignal,
    work: (token: string | undefined) => Promise<T>,
  ): Promise<T> {
    const token = await this.#login(endMs, signal);
    try {
      return await work(token);
    } catch (thrown) {
      const isStale = thrown instanceof Refused && thrown.status === unauthenticated;
      if (!isStale || token === undefined) throw thrown;
      if (this.#token === token) this.#token = undefined;
      return work(await this.#login(endMs, signal));
    }
  }

  async #login(endMs: number, signal: AbortSignal): Promise<string | undefined> {
    const { login } = this.#settings;
    if (login === undefined || this.#token !== undefined) return this.#token;
    const limits = { endMs, isRepeatable: true, signal, token: undefined };
    const response = await this.#open('/v3/auth/authenticate', { ...login }, limits);
    const { token } = await readJson(response);
    if (typeof token !== 'string') throw new Refused(unauthenticated, 'it gave no token');
    this.#token = token;
    return token;
  }

  /** The answer of the first member that gives one; a refusal is none where another member may be better off. */
  async #open(
    path: string,
    body: Json,
    { endMs, isRepeatable, signal, token }: Attempts,
  ): Promise<IncomingMessage> {
    const { endpoints } = this.#settings;
    const first = this.#preferred;
    let failure: unknown;
    for (let at = 0; at < endpoints.length; at++) {
      const index = (first + at) % endpoints.length;
      const othersLeft = endpoints.length - at - 1;
      const leftMs = endMs - this.#env.clock.nowMs();
      const connectMs = othersLeft > 0 ? Math.min(connectMsMax, leftMs / (othersLeft + 1)) : leftMs;
      const answerMs =
        othersLeft > 0 && isRepeatable ? Math.min(answerMsMax, leftMs / (othersLeft + 1)) : leftMs;
      try {
        const url = new URL(path, endpoints[index]);
        const response = await this.#post(url, body, token, { connectMs, answerMs, signal });
        this.#preferred = index;
        return response;
      } catch (thrown) {
        failure = thrown;
        if (signal.aborted || !mayAskAnother(thrown, isRepeatable)) break;
      }
    }
    throw failure;
  }

  async #post(
    url: URL,
    body: Json,
    token: string | undefined,
    limits: { connectMs: number; answerMs: number; signal: AbortSignal },
  ): Promise<IncomingMessage> {
    const bytes = Buffer.from(JSON.stringify(body));
    const isTls = url.protocol === 'https:';
    const request = (isTls ? httpsRequest : httpRequest)(url, {
      method: 'POST',
      agent: isTls ? this.#tlsAgent : this.#agent,
      signal: limits.signal,
      headers: {
        'content-type': 'application/json',
        'content-length': bytes.byteLength,
        // A member without a leader says so, rather than being silent for ever.
        'grpc-metadata-hasleader': 'true',
        ...(token === undefined ? {} : { authorization: token }),
      },
    });
    const response = await this.#exchange(request, bytes, limits);
    if (response.statusCode === 200) return response;
    throw await refusalOf(response);
  }

  #exchange(
    request: ClientRequest,
    bytes: Uint8Array,
    { connectMs, answerMs }: { connectMs: number; answerMs: number },
  ): Promise<IncomingMessage> {
    const answer = deferred<IncomingMessage>();
    let isSent = false;
    const failure = (cause: Error): Error =>
      isSent ? new Broken(cause.message, { cause }) : new NotSent(cause.message, { cause });
    const connecting = this.#after(connectMs, () => {
      if (!isSent) request.destroy(new Error('no connection in time'));
    });
    const answering = this.#after(answerMs, () => request.destroy(new Error('no answer in time')));
    request.once('socket', (socket) => {
      const onConnect = (): void => {
        isSent = true;
      };
      if (!socket.connecting) onConnect();
      else socket.once('encrypted' in socket ? 'secureConnect' : 'connect', onConnect);
    });
    request.once('response', answer.resolve);
    // Behind the answer it tells what the stream tells as well.
    request.on('error', (error) => answer.reject(failure(error)));
    request.end(bytes);
    return answer.promise.finally(() => {
      connecting?.cancel();
      answering?.cancel();
    });
  }

  #after(delayMs: number, callback: () => void): Timer | undefined {
    if (delayMs === Infinity) return undefined;
    return this.#env.timers.after(Math.max(1, delayMs), callback);
  }
}

function mayAskAnother(thrown: unknown, isRepeatable: boolean): boolean {
  if (thrown instanceof NotSent) return true;
  if (!isRepeatable) return false;
  return thrown instanceof Broken || (thrown instanceof Refused && isOfMember(thrown));
}

/** Whether it says how that member is, and nothing of what it was asked. */
function isOfMember({ status }: Refused): boolean {
  return status === unavailable || status === deadlineExceeded;
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  let byteCount = 0;
  try {
    for await (const chunk of response as AsyncIterable<Uint8Array>) {
      byteCount += chunk.byteLength;
      if (byteCount > answerBytesMax)
        throw new Error(`its answer is above ${answerBytesMax} bytes`);
      chunks.push(chunk);
    }
  } catch (thrown) {
    throw new Broken(toError(thrown).message, { cause: thrown });
  }
  return Buffer.concat(chunks).toString();
}

async function readJson(response: IncomingMessage): Promise<Json> {
  return parseJson(await readAll(response));
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function parseJson(text: string): Json {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Json;
  } catch {
    // Told below.
  }
  const start = JSON.stringify(text.slice(0, 60));
  throw new PaipaiError(
    'PAIPAI_ERR_PROTOCOL',
    `etcd answers with what is no JSON object: ${start}`,
  );
}

async function refusalOf(response: IncomingMessage): Promise<Error> {
  const text = await readAll(response);
  let answer: Json = {};
  try {
    answer = parseJson(text);
  } catch {
    // Something before etcd, or no etcd at all.
  }
  const { code, message, error } = answer;
  if (typeof code !== 'number') {
    const what = `it answers with ${response.statusCode}: is it an etcd of 3.4 or newer?`;
    return new Refused(unavailable, what);
  }
  return new Refused(code, String(message ?? error));
}

/** @param isRepeatable then nothing was done that matters */
function failureOf(what: string, thrown: unknown, isRepeatable: boolean): Error {
  const error = toError(thrown);
  if (error instanceof Refused) return refusal(what, error, isRepeatable);
  if (error instanceof NotSent || (error instanceof Broken && isRepeatable))
    return down(what, error);
  return error instanceof Broken ? cut(what, error) : error;
}

function down(what: string, cause: Error): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_COORDINATOR_DOWN',
    `${what}: no member of etcd can be asked: ${cause.message}`,
    { cause },
  );
}

function cut(what: string, cause: Error): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_PEER_CLOSED',
    `${what}: etcd was asked and has not answered: ${cause.message}`,
    { cause },
  );
}

function refusal(what: string, cause: Refused, isRepeatable: boolean): PaipaiError {
  const { status, message } = cause;
  const say = (code: PaipaiError['code']): PaipaiError =>
    new PaipaiError(code, `${what}: ${message}`, { cause });
  if (isOfMember(cause)) return isRepeatable ? down(what, cause) : cut(what, cause);
  if (status === notFound && message.includes('lease')) return say('PAIPAI_ERR_LEASE_LOST');
  if (status === resourceExhausted) {
    return say(message.includes('space') ? 'PAIPAI_ERR_STORE_FULL' : 'PAIPAI_ERR_OVERLOADED');
  }
  const isAccess =
    status === unauthenticated ||
    status === permissionDenied ||
    (status === invalidArgument && /auth|user|password/.test(message));
  if (isAccess) return say('PAIPAI_ERR_ACCESS');
  return say(status === invalidArgument ? 'PAIPAI_ERR_INVALID_ARGUMENT' : 'PAIPAI_ERR_REMOTE');
}
