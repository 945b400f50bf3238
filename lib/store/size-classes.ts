/** The least that is cut from memory; slots of this size or more are a multiple of it. */
export const pageBytes = 4096;
const lineBytes = 64;
const stepsPerDoubling = 8;

/**
 * Sizes in which the store hands out room. Eight to a doubling, so that less than an eighth is lost to rounding, and one freed
 * slot serves whatever fits the class. From 4 KiB on they are whole pages, below it whole cache lines.
 */
export function slotBytesFor(bytes: number): number {
  const unit = bytes >= pageBytes ? pageBytes : lineBytes;
  const doubling = 2 ** Math.floor(Math.log2(bytes));
  const step = Math.max(unit, doubling / stepsPerDoubling);
  return Math.ceil(bytes / step) * step;
}
