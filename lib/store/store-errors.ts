import { PaipaiError, toError } from '../base/errors.js';

/** How the failures of a disk reach those who use a store. */

const fullCodes: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** @param tried opens the message: "open the store in …" */
export function storeFailed(tried: string, thrown: unknown): PaipaiError {
  if (thrown instanceof PaipaiError) return thrown;
  const { message } = toError(thrown);
  const { code, errno, syscall } = thrown as NodeJS.ErrnoException;
  const code_ = fullCodes.has(code) ? 'PAIPAI_ERR_STORE_FULL' : 'PAIPAI_ERR_STORE_FAILED';
  return new PaipaiError(code_, `${tried}: ${message}`, {
    cause: thrown,
    ...(typeof errno === 'number' ? { errno } : {}),
    ...(typeof syscall === 'string' ? { syscall } : {}),
  });
}

/** Whether the system said that there is no such file. */
export function isMissing(thrown: unknown): boolean {
  return (thrown as NodeJS.ErrnoException).code === 'ENOENT';
}
