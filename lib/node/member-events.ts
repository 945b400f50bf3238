import { isLivingMember, type NetMember } from '../cluster/membership/member-list.js';
import type { RunningNode } from './runtime.js';

/** What a node hears of another member of its net: it is there, does not answer, answers again, is dead, has left. */
export type MemberEvent = 'join' | 'suspect' | 'alive' | 'fail' | 'leave';
const memberEvents: readonly MemberEvent[] = ['join', 'suspect', 'alive', 'fail', 'leave'];

/** Calls back for each member that is there already (as `join`), and for whatever happens from then on. */
export function onMemberEvents(
  node: RunningNode,
  tell: (event: MemberEvent, member: NetMember) => void,
): void {
  for (const member of node.members().slice(1)) if (isLivingMember(member)) tell('join', member);
  for (const event of memberEvents) node.events.on(event, (member) => tell(event, member));
}
