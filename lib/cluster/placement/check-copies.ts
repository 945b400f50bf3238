import { checkInteger } from '../../base/check.js';

/** Copies of one shard lie on distinct nodes, so there are at most as many as nodes. */
export function checkCopies(count: number, nodeCount: number): void {
  checkInteger('count of copies', count, 1, nodeCount);
}
