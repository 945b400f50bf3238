import { countAndSum } from '../../support/table-job.js';

interface Task {
  readonly bytes: Uint8Array;
  readonly hasHeader: boolean;
}

process.on('message', ({ bytes, hasHeader }: Task) => {
  process.send?.(countAndSum(bytes, hasHeader));
});
