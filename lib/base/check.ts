import { PaipaiError } from './errors.js';

/** Argument checks for the public edge. Each throws PAIPAI_ERR_INVALID_ARGUMENT and names the argument. */

/** Any value for a message; never throws, whatever its own `toString` is. */
export function describe(value: unknown): string {
  if (typeof value === 'string')
    return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (value === null || typeof value !== 'object') return String(value);
  return Object.prototype.toString.call(value).slice(8, -1);
}

export function invalidArgument(name: string, expected: string, value: unknown): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_INVALID_ARGUMENT',
    `${name} must be ${expected}, but is ${describe(value)}`,
  );
}

export function checkObject(
  name: string,
  value: unknown,
  expected = 'an object',
): asserts value is object {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isObject) throw invalidArgument(name, expected, value);
}

/** An object with no names but these: a misspelt option would otherwise be one that was never given. */
export function checkOptions(
  what: string,
  options: unknown,
  names: ReadonlySet<string>,
  expected?: string,
): asserts options is object {
  checkObject(what, options, expected);
  for (const name of Object.keys(options)) {
    if (names.has(name)) continue;
    throw new PaipaiError(
      'PAIPAI_ERR_INVALID_ARGUMENT',
      `${what} has no option '${name}'; there are ${[...names].sort().join(', ')}`,
    );
  }
}

export function checkFunction(name: string, value: unknown): void {
  if (value === undefined || typeof value === 'function') return;
  throw invalidArgument(name, 'a function', value);
}

export function checkInteger(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
    throw invalidArgument(name, `an integer from ${min} to ${max}`, value);
  }
  return value;
}

export function checkBoolean(name: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw invalidArgument(name, 'true or false', value);
}

/** A duration in milliseconds, above 0; `Infinity` where `allowInfinity` says so. */
export function checkDuration(name: string, value: unknown, allowInfinity = false): number {
  if (allowInfinity && value === Infinity) return Infinity;
  if (typeof value !== 'number' || !(value > 0) || value > 0x7fff_ffff) {
    const expected = `a duration in milliseconds above 0 and at most 2147483647${allowInfinity ? ', or Infinity' : ''}`;
    throw invalidArgument(name, expected, value);
  }
  return value;
}

export function checkString(name: string, value: unknown, bytesMax: number): string {
  if (typeof value !== 'string' || value.length === 0 || Buffer.byteLength(value) > bytesMax) {
    throw invalidArgument(name, `a string of 1 to ${bytesMax} bytes`, value);
  }
  return value;
}

const idBytesMax = 255;

/** Ids of nodes and data are text of 1 to 255 bytes; an integer from 0 stands for its decimal digits. */
export function checkId(name: string, id: unknown): string {
  if (typeof id === 'number') return String(checkInteger(name, id, 0, Number.MAX_SAFE_INTEGER));
  const text = checkString(name, id, idBytesMax);
  // Half a surrogate pair has no UTF-8: different ids would travel as the same.
  if (/\p{Surrogate}/u.test(text)) throw invalidArgument(name, 'well-formed text', text);
  return text;
}

export function checkBytes(name: string, value: unknown): Uint8Array {
  if (value instanceof Uint8Array && value.length > 0) return value;
  try {
    if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer)
      return new Uint8Array(value);
    if (ArrayBuffer.isView(value))
      return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  } catch {
    // Memory that was transferred to somebody else looks like no bytes, and throws when it is touched.
    throw invalidArgument(name, 'bytes that are still here', value);
  }
  throw invalidArgument(name, 'bytes (a Uint8Array, an ArrayBuffer or a view)', value);
}

export function checkSignal(name: string, value: unknown): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value;
  throw invalidArgument(name, 'an AbortSignal', value);
}

export function checkOneOf<T extends string>(
  name: string,
  value: unknown,
  choices: readonly T[],
): T {
  // `includes` on a narrower array refuses a plain string; the check itself is what narrows it.
  if (typeof value === 'string' && (choices as readonly string[]).includes(value))
    return value as T;
  throw invalidArgument(name, `one of ${choices.map((c) => `'${c}'`).join(', ')}`, value);
}
