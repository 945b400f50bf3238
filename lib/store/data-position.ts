/** One version of data. They are sorted by id, as `<` has it, then by version. */
export interface DataPosition {
  readonly dataId: string;
  readonly version: bigint;
}

export function comparePositions(a: DataPosition, b: DataPosition): number {
  if (a.dataId !== b.dataId) return a.dataId < b.dataId ? -1 : 1;
  return a.version === b.version ? 0 : a.version < b.version ? -1 : 1;
}
