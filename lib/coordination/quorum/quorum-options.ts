import { checkId, invalidArgument } from '../../base/check.js';
import { membersMax } from './members.js';

/** The nodes that coordinate a net together: 3, 5 or 7 different ones, by their ids. One that is even survives no more losses than one less. */
export interface QuorumOptions {
  readonly quorum: readonly (string | number)[];
}

/** Their ids, in the order in which they are asked. @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT. */
export function checkQuorum(nodeIds: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(nodeIds) ? nodeIds : [];
  if (list.length < 3 || list.length > membersMax || list.length % 2 === 0) {
    const given = Array.isArray(nodeIds) ? list.length : nodeIds;
    throw invalidArgument('quorum', `a list of 3, 5 or ${membersMax} nodes`, given);
  }
  const ids = list.map((id) => checkId('quorum', id));
  const twice = ids.find((id, at) => ids.indexOf(id) !== at);
  if (twice !== undefined) throw invalidArgument('quorum', 'of different nodes', `twice ${twice}`);
  return ids;
}
