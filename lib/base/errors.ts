import { getSystemErrorName } from 'node:util';
import { codeNumbers, codeOfNumber, type PaipaiCode } from './codes.js';

/** What helps to act on a failure; every field is optional. */
export interface PaipaiErrorDetails {
  cause?: unknown;
  nodeId?: string;
  dataId?: string;
  shardIndex?: number;
  /** Indexes of several shards, at most the first 1,000. */
  shardIndexes?: readonly number[];
  /** Of the shard map that a node has seen. */
  mapVersion?: number;
  /** Of a transaction whose outcome may be asked for. */
  transactionId?: string;
  address?: string;
  method?: string;
  handler?: string;
  /** System call and error number, when the system said no. */
  syscall?: string;
  errno?: number;
  /** Standard error of a node that did not start, at most its last 8 KiB. */
  stderr?: string;
}

/** Every failure of this package. Decide by `code`; nobody parses messages. */
export class PaipaiError extends Error {
  readonly code: PaipaiCode;
  declare readonly nodeId?: string;
  declare readonly dataId?: string;
  declare readonly shardIndex?: number;
  declare readonly shardIndexes?: readonly number[];
  declare readonly mapVersion?: number;
  declare readonly transactionId?: string;
  declare readonly address?: string;
  declare readonly method?: string;
  declare readonly handler?: string;
  declare readonly syscall?: string;
  declare readonly errno?: number;
  declare readonly stderr?: string;

  constructor(code: PaipaiCode, message: string, details: PaipaiErrorDetails = {}) {
    const { cause, ...rest } = details;
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    for (const [key, value] of Object.entries(rest)) {
      if (value !== undefined) Object.defineProperty(this, key, { value, enumerable: true });
    }
  }

  get number(): number {
    return codeNumbers[this.code];
  }
}
Object.defineProperty(PaipaiError.prototype, 'name', { value: 'PaipaiError', configurable: true });

export function isPaipaiError(error: unknown, code?: PaipaiCode): error is PaipaiError {
  return error instanceof PaipaiError && (code === undefined || error.code === code);
}

/** Across the native boundary: `>= 0` success, `-errno` for the system, `-(10000 + n)` for ours. */
const oursBase = 10_000;

/** The result of a native call that failed with `code`. */
export function resultOfCode(code: PaipaiCode): number {
  return -(oursBase + codeNumbers[code]);
}

/** The error for a negative result of a native call; `tried` opens the message ("connect to tcp://…"). */
export function errorOfResult(
  result: number,
  tried: string,
  details: PaipaiErrorDetails = {},
): Error {
  if (result <= -oursBase) {
    const code = codeOfNumber(-result - oursBase);
    if (code !== undefined) {
      return new PaipaiError(code, `${tried}: ${phraseOf(code)}`, details);
    }
  }
  return systemError(result, tried, details);
}

/** A failure of the operating system, with Node's own fields: `code` (ECONNREFUSED …), `errno`, `syscall`, `address`. */
export interface SystemError extends Error {
  code: string;
  errno: number;
  syscall?: string;
  address?: string;
}

export function systemError(
  errno: number,
  tried: string,
  details: PaipaiErrorDetails = {},
): SystemError {
  const name = getSystemErrorName(errno);
  const error = new Error(`${tried}: ${name}`) as SystemError; // The fields follow at once.
  error.code = name;
  error.errno = errno;
  if (details.syscall !== undefined) error.syscall = details.syscall;
  if (details.address !== undefined) error.address = details.address;
  return error;
}

/** `PAIPAI_ERR_FRAME_TOO_LARGE` → `frame too large`. */
export function phraseOf(code: PaipaiCode): string {
  return code.slice('PAIPAI_ERR_'.length).toLowerCase().replaceAll('_', ' ');
}

/** Whatever was thrown, as an Error. */
export function toError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  const message = thrown === undefined ? 'failed without an error' : String(thrown);
  return new Error(message, { cause: thrown });
}
