import { PaipaiError } from '../base/errors.js';
import { shardBytesMax } from '../wire/shard-header.js';
import type { ShardKey } from './store.js';

/** What every store refuses in the same words. */

/** @throws PaipaiError PAIPAI_ERR_SHARD_SIZE. */
export function checkShardBytes({ dataId, index: shardIndex }: ShardKey, bytes: number): void {
  if (Number.isSafeInteger(bytes) && bytes >= 1 && bytes <= shardBytesMax) return;
  throw new PaipaiError('PAIPAI_ERR_SHARD_SIZE', `A shard cannot have ${bytes} bytes.`, {
    dataId,
    shardIndex,
  });
}

export function storeClosed(key?: ShardKey): PaipaiError {
  const details = key === undefined ? {} : { dataId: key.dataId, shardIndex: key.index };
  return new PaipaiError('PAIPAI_ERR_CLOSED', 'The store is closed.', details);
}

export function reservationOver({ dataId, index: shardIndex }: ShardKey): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_INVALID_STATE', 'The reservation is over.', {
    dataId,
    shardIndex,
  });
}
