import { type ParseArgsConfig, parseArgs } from 'node:util';
import { PaipaiError, toError } from '../base/errors.js';
import type { Terminal } from './terminal.js';

/** What a command is given besides its arguments. */
export interface CommandContext {
  readonly terminal: Terminal;
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** Fires on Ctrl-C and on SIGTERM: give up, close what is open, settle. */
  readonly signal: AbortSignal;
}

export interface Command {
  /** What `--help` prints. */
  readonly help: string;
  /** It goes on when its output can be written no more, or fails by itself; otherwise it ends with 0 when nobody reads it any more. */
  readonly outlivesOutput?: boolean;
  /** Settles with the exit code; what it rejects with is shown by `failure.ts`. */
  run(args: readonly string[], context: CommandContext): Promise<number>;
}

/**
 * `util.parseArgs`, strict.
 * @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT with one line that names the culprit.
 */
export function parseOptions<T extends ParseArgsConfig>(
  command: string,
  config: T,
): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (thrown) {
    const error = toError(thrown);
    // Node adds advice about `--` behind the first sentence.
    const sentence = (error.message.split(/\. |\n/)[0] ?? '').replace(/\.$/, '');
    throw usageError(command, sentence);
  }
}

export function usageError(command: string, what: string): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_INVALID_ARGUMENT',
    `${what}; "paipainet ${command} --help" shows what there is`.replace('  ', ' '),
  );
}

/** A whole number in decimal, with `min` and `max` included. */
export function integerOption(
  command: string,
  name: string,
  text: string,
  min: number,
  max: number,
): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw usageError(
      command,
      `--${name} must be a whole number from ${min} to ${max}, but is '${text}'`,
    );
  }
  return value;
}

/** @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT. */
export function oneOfOption<T extends string>(
  command: string,
  name: string,
  text: string,
  choices: readonly T[],
): T {
  const choice = choices.find((one) => one === text);
  if (choice !== undefined) return choice;
  throw usageError(command, `--${name} must be one of ${choices.join(', ')}, but is '${text}'`);
}

/** What every command takes; `main.ts` itself acts on it. */
export const commonOptions = {
  verbose: { type: 'boolean' },
} as const;
