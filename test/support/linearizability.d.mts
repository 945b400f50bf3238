export function isLinearizable<Call extends object, State>(
  calls: readonly (Call & { readonly startedAt: number; readonly endedAt: number })[],
  model: {
    readonly first: State;
    readonly step: (state: State, call: Call) => State | undefined;
  },
): boolean;
