import { countAndSum, type Groups, mergeGroups } from '../../support/table-job.js';

/** The handler of the case `process`. */
export const countAndSumRows = {
  process: (shard: Uint8Array, { shardIndex }: { readonly shardIndex: number }): Groups =>
    countAndSum(shard, shardIndex === 0),
  merge: (a: unknown, b: unknown): Groups => mergeGroups(a as Groups, b as Groups), // What `process` gave.
};
