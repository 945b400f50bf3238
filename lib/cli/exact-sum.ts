/**
 * The exact sum of doubles, as an expansion: parts that do not overlap, the smallest first, whose true sum is the sum of all
 * values added (Shewchuk, "Adaptive Precision Floating-Point Arithmetic", 1997). It does not depend on the order of adding,
 * so nodes may add and merge in any order and still agree to the last bit. It is a plain array because it travels.
 * Values are finite and so small that no partial sum overflows.
 */
export type ExactSum = number[];

export function addExactly(sum: ExactSum, value: number): void {
  let carried = value;
  let kept = 0;
  for (const part of sum) {
    const larger = Math.abs(carried) < Math.abs(part) ? part : carried;
    const smaller = larger === part ? carried : part;
    const high = larger + smaller;
    // Exact, because |larger| >= |smaller|: what the rounding of `high` lost.
    const low = smaller - (high - larger);
    if (low !== 0) {
      sum[kept] = low; // Behind the part being read: `kept` never passes it.
      kept += 1;
    }
    carried = high;
  }
  sum[kept] = carried;
  if (sum.length > kept + 1) sum.length = kept + 1;
}

/** The double nearest to the exact sum, ties to even; 0 for an empty sum. */
export function roundExactly(sum: ExactSum): number {
  let index = sum.length - 1;
  let high = sum[index] ?? 0;
  let low = 0;
  while (index > 0 && low === 0) {
    index -= 1;
    const part = sum[index] ?? 0;
    const rounded = high + part;
    low = part - (rounded - high);
    high = rounded;
  }
  // `low` may be exactly half a unit of `high`, rounded to even; a part below of the same sign makes it more than half.
  const below = sum[index - 1] ?? 0;
  if ((low < 0 && below < 0) || (low > 0 && below > 0)) {
    const doubled = low * 2;
    const next = high + doubled;
    if (next - high === doubled) return next;
  }
  return high;
}
