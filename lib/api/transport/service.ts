import { PaipaiError } from '../../base/errors.js';
import type {
  FastService,
  IncomingRequest,
  PeerService,
  Peer as SessionPeer,
  PeerStream as SessionStream,
} from '../../session/types.js';
import { type Codec, encodeAnswer } from './codec.js';
import type { TransportPeer } from './peer.js';
import type { FastHandlers, Handlers, Peer, RequestContext } from './types.js';

export type ServiceHandlers = Handlers<unknown> & { fast?: FastHandlers };

/** What a request comes with; its `signal` is made when it is asked for. */
class ServedContext implements RequestContext<unknown> {
  readonly peer: Peer<unknown>;
  readonly #request: IncomingRequest;

  constructor(peer: Peer<unknown>, request: IncomingRequest) {
    this.peer = peer;
    this.#request = request;
  }

  get method(): string {
    return this.#request.method;
  }

  get signal(): AbortSignal {
    return this.#request.signal;
  }

  get deadlineMs(): number {
    return this.#request.deadlineMs;
  }
}

/**
 * What a side offers over its sessions: the handlers behind the codec, and events where there is no handler. `methods` and `topics`
 * are read once, here. The end of a session is the caller's.
 * @param peerOf the peer that people know, by its session
 */
export function serviceOf(
  handlers: ServiceHandlers,
  codec: Codec,
  peerOf: (session: SessionPeer) => TransportPeer,
): Omit<PeerService, 'onClose'> {
  const { methods = {}, onRequest, topics = {}, onMessage, onStream, fast } = handlers;
  const ownMethods = new Map(Object.entries(methods));
  const ownTopics = new Map(Object.entries(topics));

  const answer = (request: IncomingRequest): unknown => {
    const { method, payload } = request;
    const handler = ownMethods.get(method);
    if (handler === undefined && onRequest === undefined) {
      throw new PaipaiError('PAIPAI_ERR_METHOD_UNKNOWN', `no method '${method}' is served`, {
        method,
      });
    }
    const context = new ServedContext(peerOf(request.peer), request);
    const value = codec.decode(payload);
    return handler === undefined
      ? onRequest?.(method, value, context)
      : handler.call(methods, value, context);
  };

  return {
    ...(fast !== undefined && { fast: fastServiceOf(fast, peerOf) }),

    onRequest(request: IncomingRequest): Uint8Array | Promise<Uint8Array> {
      const result = answer(request);
      // Bytes, the most frequent answer, need no search of their prototypes for `then`.
      return !(result instanceof Uint8Array) && isPromise(result)
        ? result.then((value) => encodeAnswer(codec, value))
        : encodeAnswer(codec, result);
    },

    // What a handler returns is handed on: the session counts a promise that rejects.
    onMessage(topic: string, payload: Uint8Array, session: SessionPeer): void {
      const peer = peerOf(session);
      const value = codec.decode(payload);
      const handler = ownTopics.get(topic);
      if (handler !== undefined) return handler.call(topics, value, { peer });
      if (onMessage !== undefined) return onMessage(topic, value, { peer });
      peer.takeMessage(topic, value);
    },

    onStream(stream: SessionStream): void | Promise<void> {
      const peer = peerOf(stream.peer);
      if (onStream !== undefined) return onStream(stream, { peer });
      peer.takeStream(stream);
    },
  };
}

function fastServiceOf(
  { methods = {}, topics = {} }: FastHandlers,
  peerOf: (session: SessionPeer) => TransportPeer,
): FastService {
  // The peers of `batch` are ours, which `peerOf` gives the session.
  return {
    methods: new Map(Object.entries(methods)) as FastService['methods'],
    topics: new Map(Object.entries(topics)) as FastService['topics'],
    peerOf,
  };
}

function isPromise(value: unknown): value is Promise<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    'then' in value &&
    typeof value.then === 'function'
  );
}
