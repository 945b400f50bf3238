import { PaipaiError, type PaipaiErrorDetails, toError } from '../base/errors.js';

/** Lines of a handler's stack that go into the message: enough to find the place, and no more of the other machine. */
const stackLinesMax = 4;

/**
 * The failure of a handler that threw.
 * @param place what it was at: "shard 7"
 */
export function handlerFailed(
  handler: string,
  thrown: unknown,
  place: string,
  details: PaipaiErrorDetails = {},
): PaipaiError {
  const error = toError(thrown);
  const stack = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  const where = stack
    .slice(0, stackLinesMax)
    .map((line) => `\n${line}`)
    .join('');
  return new PaipaiError(
    'PAIPAI_ERR_HANDLER_FAILED',
    `handler '${handler}' failed on ${place}: ${error.name}: ${error.message}${where}`,
    { ...details, handler },
  );
}

/** Awaits only what can be awaited: a turn of the microtask queue for each of many small shards adds up. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    'then' in value &&
    typeof value.then === 'function'
  );
}
