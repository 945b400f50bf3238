/** A run of consecutive items, `[start, end)`. */
export interface Batch {
  readonly start: number;
  readonly end: number;
}

/** Beyond these a larger batch saves nothing that could be measured, and a smaller one spreads and reports better. */
const batchBytesMax = 8 * 1024 * 1024;
const batchItemsMax = 256;
/** Batches for each of several workers, so that the last ones even out unequal shards. */
const batchesPerWorker = 4;

/**
 * Groups items of these sizes, in order, into batches that go to a worker with one message: large enough that small shards do
 * not pay for a message each, small enough that every one of `workers` gets several. A single worker gets as much as it may at once: what it merges
 * by itself need not be encoded. Each item is in exactly one batch.
 */
export function planBatches(sizes: readonly number[], workers: number): Batch[] {
  const totalBytes = sizes.reduce((sum, bytes) => sum + bytes, 0);
  const bytesAim =
    workers === 1 ? Infinity : Math.min(batchBytesMax, totalBytes / (workers * batchesPerWorker));
  const batches: Batch[] = [];
  let start = 0;
  let bytes = 0;
  for (let index = 0; index < sizes.length; index++) {
    bytes += sizes[index] ?? 0;
    if (bytes >= bytesAim || index - start + 1 === batchItemsMax || index === sizes.length - 1) {
      batches.push({ start, end: index + 1 });
      start = index + 1;
      bytes = 0;
    }
  }
  return batches;
}
