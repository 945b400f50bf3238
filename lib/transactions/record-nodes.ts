import { PaipaiError } from '../base/errors.js';
import { RendezvousPlacement } from '../cluster/placement/rendezvous.js';
import type { CallOptions, Coordinator } from '../coordination/coordinator.js';
import { decodeValue, encodeValue } from '../wire/values.js';

/** The nodes of a net, by the names that all of its clients know them by. */
export interface RecordNodes {
  /** Where records may lie of a net that has none yet, 1 or more. Fails: PAIPAI_ERR_NODE_LOST. */
  found(): readonly string[];
  /** Fails: PAIPAI_ERR_NODE_LOST, and what the node fails with. */
  ask(
    name: string,
    method: string,
    payload: Uint8Array,
    options: { readonly deadlineMs: number; readonly signal?: AbortSignal },
  ): Promise<Uint8Array>;
}

const key = 'paipainet/records';
const nodesMax = 1_024;

/** Which node keeps which record: all clients agree on that, whichever nodes come and go. */
export class RecordLayout {
  readonly names: readonly string[];
  readonly #placement: RendezvousPlacement;

  constructor(names: readonly string[]) {
    this.names = names;
    this.#placement = new RendezvousPlacement(names.map((id) => ({ id, weight: 1 })));
  }

  nodeOf(recordKey: string): string {
    return this.#placement.place(recordKey);
  }
}

/**
 * The layout of the net. The first one who asks for it fixes it: the nodes that are there then. Fails as `Coordinator.get` and `compareAndSet`;
 * PAIPAI_ERR_PROTOCOL when somebody else has written its key.
 */
export async function layoutOf(
  coordinator: Coordinator,
  nodes: RecordNodes,
  options: CallOptions,
): Promise<RecordLayout> {
  let { value } = await coordinator.get(key, options);
  if (value === undefined) {
    const names = [...nodes.found()].sort();
    ({ value } = await coordinator.compareAndSet(key, 0, encodeValue(names), options));
  }
  const names = value === undefined ? undefined : decodeValue(value, nodesMax + 1);
  const isLayout =
    Array.isArray(names) && names.length > 0 && names.every((name) => typeof name === 'string');
  if (isLayout) return new RecordLayout(names);
  throw new PaipaiError('PAIPAI_ERR_PROTOCOL', `the key ${key} does not say where records lie`);
}
