import { decodeValue } from '../wire/values.js';
import type { Crew } from './crew.js';
import { digestName, summarizeDigest } from './digest.js';
import type { NodeProcessing } from './node-processing.js';
import { sortedEntries } from './value-parts.js';

export interface Gathered {
  readonly value: unknown;
  readonly perNode: readonly { readonly nodeId: string; readonly value: unknown }[];
}

/**
 * Puts together what the nodes made of their shards. Of a handler that merges, the nodes' values are merged on one of the
 * nodes, since handlers run nowhere else; of another one the value is the list of the shards' values in the order of the shards.
 * @param choose gives the node that merges
 */
export async function gather(
  nodes: readonly NodeProcessing[],
  handler: string,
  crew: Crew,
  choose: () => NodeProcessing,
): Promise<Gathered> {
  if (nodes.some(({ merges }) => merges)) {
    for (const node of nodes) crew.start(() => node.fold());
    await crew.idle();
    const parts = nodes.flatMap((node) => node.parts);
    const whole = parts.length === 1 ? parts : [await choose().mergeParts(parts)];
    return {
      value: onlyValue(whole),
      perNode: nodes.map((node) => ({ nodeId: node.link.nodeId, value: onlyValue(node.parts) })),
    };
  }
  const summarize =
    handler === digestName ? summarizeDigest : (values: unknown[]): unknown => values;
  const perNode = nodes.map((node) => {
    const entries = sortedEntries(node.parts).map(({ index, bytes }) => ({
      index,
      value: decodeValue(bytes),
    }));
    return { nodeId: node.link.nodeId, entries };
  });
  const all = perNode.flatMap(({ entries }) => entries).sort((a, b) => a.index - b.index);
  return {
    value: summarize(all.map(({ value }) => value)),
    perNode: perNode.map(({ nodeId, entries }) => ({
      nodeId,
      value: summarize(entries.map(({ value }) => value)),
    })),
  };
}

function onlyValue(parts: readonly Uint8Array[]): unknown {
  const [entry] = sortedEntries(parts);
  return entry === undefined ? null : decodeValue(entry.bytes);
}
