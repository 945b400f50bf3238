import { type Group, groupOf, type Member } from './members.js';

/** What a node says of its disk. */
export interface Described extends Member {
  /** As it was when it voted last; undefined before it has ever voted. */
  readonly group: Group | undefined;
}

export interface GroupView {
  readonly group: Group;
  /** By node, of those who answer. */
  readonly described: ReadonlyMap<string, Described>;
}

/** Too few answer: nothing was done. */
export class NoMajority extends Error {}

/**
 * The group that disks belong to, with the latest members that one of them knows; where none belongs to any, the one that they make.
 * @param nodeIds all who begin together
 * @param others who may know more
 * @param describe undefined when there is no answer; it never rejects
 * Fails: NoMajority.
 */
export async function findGroup(
  nodeIds: readonly string[],
  others: readonly string[],
  describe: (nodeId: string) => Promise<Described | undefined>,
): Promise<GroupView> {
  const described = new Map<string, Described>();
  const asked = new Set<string>();
  const ask = async (nodeId: string): Promise<void> => {
    if (asked.has(nodeId)) return;
    asked.add(nodeId);
    const answer = await describe(nodeId);
    if (answer === undefined) return;
    described.set(nodeId, answer);
    // Who has taken the place of another is not in everybody's list.
    await Promise.all((answer.group?.members.list ?? []).map((one) => ask(one.nodeId)));
  };
  await Promise.all([...nodeIds, ...others].map(ask));
  const group = latestGroup([...described.values()]);
  if (group !== undefined) return { group, described };
  const beginning = nodeIds.flatMap((nodeId) => described.get(nodeId) ?? []);
  if (beginning.length < nodeIds.length) {
    throw new NoMajority(
      `the quorum begins when all of its ${nodeIds.length} nodes answer, and ${beginning.length} do`,
    );
  }
  return { group: groupOf(beginning), described };
}

/** A group of which no majority is left answers nobody, and then there may be one that has taken its place; so the one that most are of. */
function latestGroup(described: readonly Described[]): Group | undefined {
  const byId = new Map<number, Group>();
  for (const { group } of described) {
    if (group === undefined) continue;
    const known = byId.get(group.groupId);
    if (known === undefined || known.members.epoch < group.members.epoch) {
      byId.set(group.groupId, group);
    }
  }
  const counted = Array.from(byId.values(), (group) => ({
    group,
    count: described.filter((one) => votesIn(group, one)).length,
  }));
  const [best] = counted.sort((one, other) => other.count - one.count);
  return best?.group;
}

/** Whether that disk is one of them. */
export function votesIn(
  { groupId, members }: Group,
  { nodeId, acceptorId, group: own }: Described,
): boolean {
  if (own !== undefined && own.groupId !== groupId) return false;
  return members.list.some((one) => one.nodeId === nodeId && one.acceptorId === acceptorId);
}
