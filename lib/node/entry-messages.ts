import type { PaipaiCode } from '../base/codes.js';
import { PaipaiError, toError } from '../base/errors.js';
import type { NetMember } from '../cluster/membership/member-list.js';
import type { MemberEvent } from './member-events.js';

/** What an embedded node says once, when it is ready or cannot be; a process as a line of JSON, a thread as a message. */
export type StartReport =
  | { readonly kind: 'ready'; readonly address: string }
  | { readonly kind: 'failed'; readonly code: PaipaiCode; readonly message: string };

export function failedStart(thrown: unknown): StartReport {
  const code = thrown instanceof PaipaiError ? thrown.code : 'PAIPAI_ERR_NODE_START';
  return { kind: 'failed', code, message: toError(thrown).message };
}

/** What a process tells of its net afterwards, one line each, when it is a member of one. */
export interface EventReport {
  readonly kind: 'event';
  readonly event: MemberEvent;
  readonly member: NetMember;
}

/** What the starter of a process writes on its standard input, after the line with the config. */
export const closeLine = 'close';
