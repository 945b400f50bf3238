import { countAndSum, type Groups } from '../../support/table-job.js';

export interface Task {
  /** Whole rows, in shared memory. */
  readonly bytes: Uint8Array;
  readonly hasHeader: boolean;
}

/** What a thread of the pool does. */
export default ({ bytes, hasHeader }: Task): Groups => countAndSum(bytes, hasHeader);
