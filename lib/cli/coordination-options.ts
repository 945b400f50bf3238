import type { NetOptions } from '../api/options.js';
import { usageError } from './command.js';

/** What the commands share that ask the coordinator of a net. */
export const coordinationOptions = { coordination: { type: 'string' } } as const;

export const coordinationHelp = `  --coordination WHAT  what the net agrees on by: etcd://HOST:PORT, or quorum:A,B,C; default: the
                       node that was started with --coordinator. It may also stand in the
                       variable PAIPAINET_COORDINATION, as passwords should`;

/** @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT. */
export function coordinationOf(
  command: string,
  value: string | undefined,
  variables: Readonly<Record<string, string | undefined>>,
): Pick<NetOptions, 'coordination'> {
  const text = value ?? variables['PAIPAINET_COORDINATION'] ?? 'local';
  if (text === 'local') return {};
  if (text.startsWith('quorum:')) {
    return { coordination: { quorum: text.slice('quorum:'.length).split(',') } };
  }
  // Which is checked where the net is made.
  if (/^etcds?:/.test(text)) return { coordination: text as `etcd://${string}` };
  throw usageError(command, '--coordination must be local, etcd://HOST:PORT or quorum:A,B,C');
}
