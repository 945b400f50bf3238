import type { Timers } from '../base/env.js';
import { PaipaiError } from '../base/errors.js';
import type { CallSettings } from './check.js';

export function abortedError(what: string, signal: AbortSignal): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_ABORTED', `${what} was aborted`, { cause: signal.reason });
}

export function closedError(): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_CLOSED', 'the coordinator is closed');
}

/**
 * What `work` gives, unless its deadline passes or its caller aborts first. It goes on then unheard; it can ask `isGivenUp` before it
 * does what could still be left undone.
 * @param what opens the messages: "get of key 'a'"
 */
export function bounded<T>(
  timers: Timers,
  what: string,
  { deadlineMs, signal }: CallSettings,
  work: (isGivenUp: () => boolean) => Promise<T>,
): Promise<T> {
  if (signal?.aborted) return Promise.reject(abortedError(what, signal));
  return new Promise((resolve, reject) => {
    let isGivenUp = false;
    const giveUp = (error: PaipaiError): void => {
      isGivenUp = true;
      finish();
      reject(error);
    };
    const onAbort = (): void => giveUp(abortedError(what, signal as AbortSignal)); // It has fired.
    const timer =
      deadlineMs === Infinity
        ? undefined
        : timers.after(deadlineMs, () =>
            giveUp(
              new PaipaiError(
                'PAIPAI_ERR_DEADLINE',
                `${what} was not answered within ${deadlineMs} ms`,
              ),
            ),
          );
    const finish = (): void => {
      timer?.cancel();
      signal?.removeEventListener('abort', onAbort);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    const started = async (): Promise<T> => work(() => isGivenUp); // What it throws at once counts too.
    started().then(resolve, reject).finally(finish);
  });
}
