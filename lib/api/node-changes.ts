import { checkOptions, invalidArgument } from '../base/check.js';
import { Node } from './node.js';

/** Nodes to come or to go, for `net.plan`. */
export interface NodeChanges {
  /** Not in the net; they need not run. */
  add?: Node | readonly Node[];
  /** In the net. */
  remove?: Node | readonly Node[];
}

const changeNames: ReadonlySet<string> = new Set<keyof NodeChanges>(['add', 'remove']);

export function checkNodeChanges(changes: NodeChanges): {
  readonly add: readonly Node[];
  readonly remove: readonly Node[];
} {
  checkOptions('change', changes, changeNames);
  return { add: checkNodes('add', changes.add), remove: checkNodes('remove', changes.remove) };
}

function checkNodes(name: string, nodes: unknown): readonly Node[] {
  if (nodes === undefined) return [];
  const list: readonly unknown[] = Array.isArray(nodes) ? nodes : [nodes];
  const ids = new Set<string>();
  return list.map((node) => {
    if (!(node instanceof Node)) throw invalidArgument(name, 'a Node, or a list of them', node);
    if (ids.has(node.id)) throw invalidArgument(name, 'nodes of different ids', node.id);
    ids.add(node.id);
    return node;
  });
}
