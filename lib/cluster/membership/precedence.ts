import type { Claim, MemberRecord, MemberState } from './types.js';

const ranks: { readonly [state in MemberState]: number } = {
  alive: 0,
  suspect: 1,
  dead: 2,
  left: 3,
};

/**
 * Above 0 when `a` holds the id rather than `b`: by incarnation, then by instance, which only decides between two nodes that
 * claim one id. All nodes compare alike, so they agree on the winner without a word.
 */
export function compareClaims(a: Claim, b: Claim): number {
  return a.incarnation - b.incarnation || a.instanceId - b.instanceId;
}

/**
 * Above 0 when `a` is news to who knows `b`, 0 when both say the same. In one incarnation the worse state is the news (SWIM,
 * section 4.2), because only the member itself can raise the incarnation, and does so to deny. It is a total order: rumours may come in any
 * order, more than once and late, and all who have heard the same ones believe the same.
 */
export function compareRecords(a: RecordRank, b: RecordRank): number {
  return compareClaims(a, b) || ranks[a.state] - ranks[b.state];
}

type RecordRank = Claim & Pick<MemberRecord, 'state'>;

export function isLiving(state: MemberState): boolean {
  return state === 'alive' || state === 'suspect';
}
