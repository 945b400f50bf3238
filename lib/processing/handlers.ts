import { invalidArgument } from '../base/check.js';
import { PaipaiError, toError } from '../base/errors.js';
import { type TopicTable, topicsExport, topicsOf } from './messaging/topics.js';

/** What a handler learns about the shard it is given. */
export interface ShardContext {
  readonly dataId: string;
  readonly shardIndex: number;
  readonly nodeId: string;
  /** What the caller passed as `args`; null when it passed nothing. */
  readonly args: unknown;
  /** Fires when the caller aborts or the deadline passes. A handler that does not return soon after is ended. */
  readonly signal: AbortSignal;
}

/**
 * Works on one shard. The bytes are shared with the store of the node: read them, leave them unchanged, and keep nothing that
 * views them beyond the call. The value is what msgpack carries; `undefined` becomes null.
 */
export type ShardFunction = (shard: Uint8Array, context: ShardContext) => unknown;

/**
 * Makes one value of two. It must be associative and commutative: which shards lie together is up to the placement, and which
 * are done first up to chance.
 */
export type MergeFunction = (a: unknown, b: unknown) => unknown;

export interface Handler {
  readonly process: ShardFunction;
  readonly merge?: MergeFunction;
}

export type HandlerTable = ReadonlyMap<string, Handler>;

/** What a node runs by name: handlers of shards, and of messages. */
export interface HandlerModule {
  readonly handlers: HandlerTable;
  readonly topics: TopicTable;
}

/** Longest name of a handler, in bytes of UTF-8. */
export const handlerNameBytesMax = 255;

function moduleError(moduleUrl: string, why: string, cause?: unknown): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_HANDLER_MODULE', `handlers from ${moduleUrl}: ${why}`, {
    cause,
  });
}

/** The handler that `exported` describes, or undefined when it is no handler at all (a constant, say). */
function handlerOf(name: string, exported: unknown): Handler | undefined {
  const isFunction = typeof exported === 'function';
  if (!isFunction && (typeof exported !== 'object' || exported === null)) return undefined;
  // An export can be anything; both shapes are checked below before a property is used.
  const parts = exported as { process?: unknown; merge?: unknown };
  const process = isFunction ? exported : parts.process;
  if (process === undefined) return undefined;
  if (typeof process !== 'function') {
    throw invalidArgument(`process of the handler '${name}'`, 'a function', process);
  }
  if (parts.merge !== undefined && typeof parts.merge !== 'function') {
    throw invalidArgument(`merge of the handler '${name}'`, 'a function', parts.merge);
  }
  return {
    process: process as ShardFunction, // A function; what it returns is checked when it is encoded.
    ...(parts.merge === undefined ? {} : { merge: parts.merge as MergeFunction }),
  };
}

/**
 * The handlers of a module beside the built-in ones. A handler is a named export: a function, with an optional `merge` as its
 * property, or an object `{ process, merge }`; `onMessage` is an object with a function for each topic; other exports are left alone.
 * @throws PaipaiError PAIPAI_ERR_HANDLER_MODULE when the module cannot be loaded, exports no handler, or one under a built-in name.
 */
export async function loadHandlers(
  moduleUrl: string | undefined,
  builtIn: HandlerTable,
): Promise<HandlerModule> {
  const handlers = new Map(builtIn);
  if (moduleUrl === undefined) return { handlers, topics: new Map() };
  let exports: Record<string, unknown>;
  try {
    exports = await import(moduleUrl);
  } catch (thrown) {
    throw moduleError(moduleUrl, toError(thrown).message, thrown);
  }
  const checked = <T>(check: () => T): T => {
    try {
      return check();
    } catch (thrown) {
      throw moduleError(moduleUrl, toError(thrown).message, thrown);
    }
  };
  const topics = checked(() => topicsOf(exports[topicsExport]));
  for (const [name, exported] of Object.entries(exports)) {
    if (name === topicsExport) continue;
    const handler = checked(() => handlerOf(name, exported));
    if (handler === undefined) continue;
    if (builtIn.has(name))
      throw moduleError(moduleUrl, `'${name}' is the name of a built-in handler`);
    if (Buffer.byteLength(name) > handlerNameBytesMax) {
      throw moduleError(moduleUrl, `a handler's name is longer than ${handlerNameBytesMax} bytes`);
    }
    handlers.set(name, handler);
  }
  if (handlers.size === builtIn.size && topics.size === 0) {
    throw moduleError(
      moduleUrl,
      `no export is a function or an object with a process function, and none is ${topicsExport}`,
    );
  }
  return { handlers, topics };
}
