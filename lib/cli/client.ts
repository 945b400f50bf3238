import { Net } from '../api/net.js';
import type { NetOptions, OperationOptions } from '../api/options.js';
import { Operation } from '../cluster/transfer/operation.js';
import { createRealEnv } from '../node/real-env.js';
import { type Command, type CommandContext, integerOption, usageError } from './command.js';
import { exitCodeOf, showFailure } from './failure.js';
import { errorJson } from './json.js';
import { readSecret } from './node-options.js';

/** What the commands share that work as a client of a net of running nodes. */

export const addressDefault = 'tcp://127.0.0.1:7100';

/** Besides `commonOptions`. */
export const clientOptions = {
  join: { type: 'string', multiple: true },
  name: { type: 'string' },
  'secret-file': { type: 'string' },
  deadline: { type: 'string' },
  json: { type: 'boolean' },
} as const;

export const clientHelp: string = `  --join ADDRESS       a node of the net, as tcp://HOST:PORT; more than once: whichever answers.
                       Default: those that PAIPAINET_JOIN lists, else ${addressDefault}
  --name NAME          name of the net
  --secret-file FILE   the secret of the net; it may also stand in the variable PAIPAINET_SECRET
  --deadline SECONDS   give up when it has taken so long altogether; default: never
  --json               one JSON document on standard output; also of an error, as
                       { "error": { "code": …, "message": … } }
  --verbose            show the stack of an error`;

/** What `parseOptions` makes of `clientOptions`. */
export interface ClientValues {
  readonly join?: string[] | undefined;
  readonly name?: string | undefined;
  readonly 'secret-file'?: string | undefined;
  readonly deadline?: string | undefined;
}

/** How a net is joined, and how long all may take. */
export interface ClientOptions extends NetOptions {
  readonly join: readonly string[];
  /** Milliseconds; Infinity: for ever. */
  readonly deadlineMs: number;
}

/** A command that, with `--json`, says as JSON too why it failed. */
export function clientCommand({ run, ...command }: Command): Command {
  return {
    ...command,
    async run(args, context) {
      try {
        return await run(args, context);
      } catch (thrown) {
        if (!args.includes('--json') || context.signal.aborted) throw thrown;
        context.terminal.print(errorJson(thrown));
        if (args.includes('--verbose')) showFailure(thrown, context.terminal, true);
        return exitCodeOf(thrown);
      }
    },
  };
}

/** How the net is joined that the options name; `deadlineMs` is for the whole command. @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT, PAIPAI_ERR_SOURCE_FAILED. */
export function netOptionsOf(
  command: string,
  values: ClientValues,
  { variables }: CommandContext,
): ClientOptions {
  const secret = readSecret(command, values['secret-file'], variables);
  const listed = (variables['PAIPAINET_JOIN'] ?? '').split(/[\s,]+/).filter((one) => one !== '');
  const seconds =
    values.deadline === undefined
      ? undefined
      : integerOption(command, 'deadline', values.deadline, 1, 1_000_000);
  return {
    join: values.join ?? (listed.length > 0 ? listed : [addressDefault]),
    deadlineMs: seconds === undefined ? Number.POSITIVE_INFINITY : seconds * 1000,
    ...(values.name === undefined ? {} : { name: values.name }),
    ...(secret === undefined ? {} : { secret }),
  };
}

/** What goes with each call of the net: its signal fires with Ctrl-C and at the deadline of the command. */
export interface Limits extends Pick<OperationOptions, 'signal'> {
  readonly signal: AbortSignal;
}

/** Joins, works, and closes; all of it as `withLimits`. */
export function withNet<T>(
  options: ClientOptions,
  context: CommandContext,
  work: (net: Net, limits: Limits) => Promise<T>,
): Promise<T> {
  return withLimits(options, context, async (limits, operation) => {
    const net = new Net({ ...options, deadlineMs: Number.POSITIVE_INFINITY });
    try {
      await operation.race(net.start());
      return await work(net, limits);
    } finally {
      await net.close();
    }
  });
}

/** Runs `work` as one, which ends with Ctrl-C, and with PAIPAI_ERR_DEADLINE when it has taken `deadlineMs`. */
export async function withLimits<T>(
  { deadlineMs }: Pick<ClientOptions, 'deadlineMs'>,
  { signal }: CommandContext,
  work: (limits: Limits, operation: Operation) => Promise<T>,
): Promise<T> {
  const operation = new Operation(createRealEnv(), 'the command', { deadlineMs, signal });
  try {
    operation.throwIfFailed();
    return await work({ signal: operation.signal }, operation);
  } catch (thrown) {
    // What was under way says that it was aborted; this says why.
    operation.throwIfFailed();
    throw thrown;
  } finally {
    operation.close();
  }
}

/**
 * What stands beside the options: one for each of `names`, and at most `optionalCount` more.
 * @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT.
 */
export function takeArguments<const Names extends readonly string[]>(
  command: string,
  positionals: readonly string[],
  names: Names,
  optionalCount = 0,
): [...{ -readonly [At in keyof Names]: string }, ...string[]] {
  const missing = names[positionals.length];
  if (missing !== undefined) throw usageError(command, `Give ${missing}`);
  const unexpected = positionals[names.length + optionalCount];
  if (unexpected !== undefined) throw usageError(command, `Unexpected argument '${unexpected}'`);
  // There is one for each name, as was just seen.
  return [...positionals] as [...{ -readonly [At in keyof Names]: string }, ...string[]];
}
