import { checkOneOf } from '../base/check.js';
import type { IoDriver } from './binding.js';

export type IoChoice = 'auto' | IoDriver;
export const ioChoices: readonly IoChoice[] = ['auto', 'epoll', 'uring'];

/** What serves the sockets of a thread. */
export interface IoInUse {
  readonly driver: IoDriver;
  /** Why this one, for people. */
  readonly reason: string;
}

/** Who asks for a driver, and for which; undefined is any. */
export interface IoWish {
  readonly driver: IoDriver | undefined;
  readonly asker: string;
}

/**
 * What `choice` asks for, or with 'auto' PAIPAINET_IO.
 * @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT when the variable holds another word.
 */
export function ioWish(choice: IoChoice): IoWish {
  if (choice !== 'auto') return { driver: choice, asker: 'the option io' };
  const variable = process.env['PAIPAINET_IO'] ?? '';
  const wanted = variable === '' ? 'auto' : checkOneOf('PAIPAINET_IO', variable, ioChoices);
  return { driver: wanted === 'auto' ? undefined : wanted, asker: 'PAIPAINET_IO' };
}
