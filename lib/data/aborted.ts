import { PaipaiError } from '../base/errors.js';

export function abortedError(signal: AbortSignal): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_ABORTED', 'Reading the data was aborted.', {
    cause: signal.reason,
  });
}
