import { PaipaiError } from '../../base/errors.js';
import type { HandlerTable, ShardContext } from '../handlers.js';

/** What a function of a MapReduce learns beside its keys and values. */
export interface KeyContext {
  readonly dataId: string;
  readonly nodeId: string;
  /** What the caller passed as `args`; null when it passed nothing. */
  readonly args: unknown;
  /** Fires when the caller aborts or the deadline passes. A function that does not return soon after is ended. */
  readonly signal: AbortSignal;
}

/** What a map learns about the shard it is given. */
export interface MapContext extends ShardContext {
  /**
   * One value of one key; for as long as the map runs. The value is what msgpack carries, at most 16 MiB of it, and `undefined` becomes
   * null; it is kept as it is until it is encoded, so leave an object unchanged that you gave away.
   * @throws PaipaiError PAIPAI_ERR_HANDLER_RESULT for a key that is no text or has more than 64 KiB of UTF-8. It fails the call, caught or not.
   */
  readonly emit: (key: string, value: unknown) => void;
}

/** Reads one shard and emits; what it returns is nothing but awaited. The bytes are the store's, as those of a `ShardFunction`. */
export type MapFunction = (shard: Uint8Array, context: MapContext) => unknown;

/**
 * Makes one value of several of the same key, on their way to the reduce: never, once, or many times, also of its own results.
 * So it must be associative and commutative, and it answers at once, not with a promise.
 */
export type CombineFunction = (
  key: string,
  values: Iterable<unknown>,
  context: KeyContext,
) => unknown;

/**
 * Makes the result of a key from all of its values, which come in no particular order. They can be read once, and only until the function
 * returns (or its promise settles): there may be more of them than memory holds.
 */
export type ReduceFunction = (
  key: string,
  values: Iterable<unknown>,
  context: KeyContext,
) => unknown;

/**
 * The function that stands under a name. A module exports functions, and only the caller says which of them maps, combines or reduces; so
 * what kind of function it is shows when it is called.
 * @throws PaipaiError PAIPAI_ERR_HANDLER_UNKNOWN.
 */
export function functionOf<T extends MapFunction | CombineFunction | ReduceFunction>(
  handlers: HandlerTable,
  name: string,
): T {
  const handler = handlers.get(name);
  if (handler !== undefined) return handler.process as unknown as T; // See above.
  throw new PaipaiError('PAIPAI_ERR_HANDLER_UNKNOWN', `no handler '${name}' is registered`, {
    handler: name,
  });
}
