import { PaipaiError } from '../base/errors.js';
import { codeOf, failuresIn } from './failure.js';

/** JSON may hold them as they are, but a terminal obeys the first ones, and some readers take the others for the end of the line. */
const unsafe = /[\u007f-\u009f\u2028\u2029]/g;

/**
 * One line of JSON. What JSON has no word for: a bigint is a number where that is exact, else its digits as text; bytes are
 * `{ "base64": "…" }`; a Map with text for keys is an object; a Date is text, as ISO 8601 has it; undefined is null.
 */
export function toJson(value: unknown): string {
  const json: string | undefined = JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part === 'bigint') {
      const number = Number(part);
      return Number.isSafeInteger(number) ? number : String(part);
    }
    if (part instanceof Uint8Array) return { base64: Buffer.from(part).toString('base64') };
    return part instanceof Map ? Object.fromEntries(part) : part;
  });
  // They can stand within strings alone.
  return (json ?? 'null').replace(unsafe, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** `{ error: { code, message, … } }`, and of several all of them in `errors`. */
export function errorJson(thrown: unknown): string {
  const all = failuresIn(thrown).map((error) => ({
    code: codeOf(error),
    message: error.message,
    // The own fields that help: nodeId, dataId, shardIndexes …
    ...(error instanceof PaipaiError ? error : {}),
  }));
  return toJson({ error: all[0], ...(all.length > 1 ? { errors: all } : {}) });
}
