import { inspect } from 'node:util';
import type { PaipaiCode } from '../base/codes.js';
import { PaipaiError, toError } from '../base/errors.js';
import type { Terminal } from './terminal.js';

/** What was asked cannot be done as it was given. */
const usageCodes: ReadonlySet<PaipaiCode> = new Set<PaipaiCode>([
  'PAIPAI_ERR_INVALID_ARGUMENT',
  'PAIPAI_ERR_INVALID_ADDRESS',
  'PAIPAI_ERR_INSECURE_ADDRESS',
  'PAIPAI_ERR_SHARD_SIZE',
  'PAIPAI_ERR_DATA_EMPTY',
  'PAIPAI_ERR_SOURCE_FAILED',
  'PAIPAI_ERR_CSV_COLUMN',
  'PAIPAI_ERR_HANDLER_MODULE',
]);

/** 2 when the arguments, or the files they name, are at fault; else 1. */
export function exitCodeOf(error: unknown): 1 | 2 {
  return error instanceof PaipaiError && usageCodes.has(error.code) ? 2 : 1;
}

/** `error CODE: message` on standard error, then what helps to act on it; the stack only when asked. */
export function showFailure(thrown: unknown, terminal: Terminal, verbose: boolean): void {
  if (verbose) {
    terminal.note(inspect(thrown, { depth: 6 }));
    return;
  }
  for (const error of failuresIn(thrown)) showOne(error, terminal);
}

/** Many nodes, many causes: an AggregateError is shown as what it holds. */
function failuresIn(thrown: unknown): Error[] {
  if (thrown instanceof AggregateError && thrown.errors.length > 0) {
    return thrown.errors.flatMap(failuresIn);
  }
  return [toError(thrown)];
}

function showOne(error: Error, terminal: Terminal): void {
  const code = codeOf(error);
  terminal.note(`error ${code}: ${error.message}`);
  if (!(error instanceof PaipaiError)) {
    terminal.note('  Run it again with --verbose to see where.');
    return;
  }
  if (exitCodeOf(error) === 2) return;
  const cause = error.cause instanceof Error ? error.cause.message : undefined;
  if (cause !== undefined && !error.message.includes(cause)) terminal.note(`  because: ${cause}`);
  if (error.stderr !== undefined && !error.message.includes(error.stderr)) {
    for (const line of error.stderr.trimEnd().split('\n')) terminal.note(`  | ${line}`);
  }
  terminal.note(`  What to do: docs/ERRORS.md#${error.code.toLowerCase()}. The stack: --verbose.`);
}

function codeOf(error: Error): string {
  // System errors and Node's own carry `code` too; nothing in the type of Error says so.
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : error.name;
}
