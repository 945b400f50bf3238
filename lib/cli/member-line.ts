import type { MemberEvent } from '../node/member-events.js';
import { printable } from './format.js';

const tellings: Readonly<Record<MemberEvent, string>> = {
  join: 'has joined',
  suspect: 'does not answer',
  alive: 'answers again',
  fail: 'is dead',
  leave: 'has left',
};

/** What happened to a node of the net, for people. */
export function memberLine(event: MemberEvent, nodeId: string, address: string): string {
  return printable(`node ${nodeId} (${address}) ${tellings[event]}`);
}
