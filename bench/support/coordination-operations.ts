/** What the case `coordination` measures, in that order. */
export const operationNames = ['compareAndSet', 'put', 'lock', 'election'] as const;

export type OperationName = (typeof operationNames)[number];
