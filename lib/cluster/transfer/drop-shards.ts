import { dropMethod, encodeDropRequest } from './messages.js';
import type { NodeLink } from './node-link.js';

/** A node that does not answer cannot be tidied up; this is how long it is waited for. */
const dropMsMax = 1_000;

export interface Drop {
  readonly link: NodeLink;
  /** Of all shards of the version when undefined. */
  readonly shards?: readonly number[] | undefined;
}

/**
 * Asks nodes to drop shards. One that is gone, or does not answer in time, has nothing that could be waited for, and one that has heard of
 * a newer shard map than `mapVersion` keeps what it has. Never fails.
 */
export async function dropShards(
  { id: dataId, version }: { readonly id: string; readonly version: bigint },
  drops: readonly Drop[],
  mapVersion = 0,
): Promise<void> {
  await Promise.allSettled(
    drops.map(({ link, shards }) => {
      const named = shards === undefined ? {} : { shards };
      const request = encodeDropRequest({ dataId, version, mapVersion, ...named });
      return link.peer.request(dropMethod, request, { deadlineMs: dropMsMax });
    }),
  );
}
