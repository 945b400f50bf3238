import { inspect } from 'node:util';
import type { PaipaiCode } from '../base/codes.js';
import { PaipaiError, toError } from '../base/errors.js';
import { printable } from './format.js';
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
    noteLines(inspect(thrown, { depth: 6 }), terminal);
    return;
  }
  for (const error of failuresIn(thrown)) showOne(error, terminal);
}

/** Many nodes, many causes: an AggregateError is shown as what it holds. */
export function failuresIn(thrown: unknown): Error[] {
  if (thrown instanceof AggregateError && thrown.errors.length > 0) {
    return thrown.errors.flatMap(failuresIn);
  }
  return [toError(thrown)];
}

function showOne(error: Error, terminal: Terminal): void {
  const code = codeOf(error);
  noteLines(`error ${code}: ${error.message}`, terminal);
  if (!(error instanceof PaipaiError)) {
    terminal.note('  Run it again with --verbose to see where.');
    return;
  }
  if (exitCodeOf(error) === 2) return;
  const cause = error.cause instanceof Error ? error.cause.message : undefined;
  if (cause !== undefined && !error.message.includes(cause))
    noteLines(`  because: ${cause}`, terminal);
  if (error.stderr !== undefined && !error.message.includes(error.stderr)) {
    noteLines(error.stderr.trimEnd(), terminal, '  | ');
  }
  terminal.note(`  What to do: docs/ERRORS.md#${error.code.toLowerCase()}. The stack: --verbose.`);
}

/** Messages hold what nodes, their handlers and files say: line by line, and nothing in them steers the terminal. */
function noteLines(text: string, terminal: Terminal, before = ''): void {
  for (const line of text.split(/\r?\n/)) {
    terminal.note(before + printable(line.replaceAll('\t', '  ')));
  }
}

/** Ours, or the system's; the name of the class where there is none. */
export function codeOf(error: Error): string {
  // System errors and Node's own carry `code` too; nothing in the type of Error says so.
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : error.name;
}
