import { PaipaiError } from '../../base/errors.js';
import { handlerFailed, isThenable } from '../handler-failures.js';
import type { HandlerTable } from '../handlers.js';
import { shown } from './entry-writer.js';
import { type CombineFunction, functionOf, type KeyContext } from './functions.js';
import type { Fold } from './group-table.js';

/**
 * The fold of a table, by the combine of this name; undefined when there is none.
 * @throws PaipaiError PAIPAI_ERR_HANDLER_UNKNOWN. The fold fails with PAIPAI_ERR_HANDLER_FAILED, and PAIPAI_ERR_HANDLER_RESULT for a promise.
 */
export function foldWith(
  handlers: HandlerTable,
  name: string | undefined,
  context: KeyContext,
): Fold | undefined {
  if (name === undefined) return undefined;
  const combine = functionOf<CombineFunction>(handlers, name);
  return (key, values) => {
    let result: unknown;
    try {
      result = combine(key, values, context);
    } catch (thrown) {
      throw handlerFailed(name, thrown, `the key ${shown(key)}`);
    }
    if (!isThenable(result)) return result;
    throw new PaipaiError(
      'PAIPAI_ERR_HANDLER_RESULT',
      `handler '${name}' returned a promise, and a combine must answer at once`,
      { handler: name },
    );
  };
}
