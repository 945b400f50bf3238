import fc from 'fast-check';

/** What workers of a cluster may be told, as `apps/cluster.mjs` takes it. */
export interface ClusterScript {
  readonly policy: 'rr' | 'none';
  readonly steps: readonly { readonly do: string; readonly worker: number; readonly how: string }[];
}

/** In a short run: each starts nine processes. */
export const runCount = 2;

export const clusterScripts: fc.Arbitrary<ClusterScript> = fc.record({
  policy: fc.constantFrom('rr' as const, 'none' as const),
  steps: fc.array(
    fc.record({
      do: fc.constantFrom(
        ...['listen', 'listen', 'listen', 'connect', 'connect', 'connect', 'close', 'closeAtOnce'],
        ...['key', 'unreferenced', 'count', 'disconnect', 'kill'],
      ),
      worker: fc.nat(1),
      how: fc.constantFrom('shared', 'shared', 'exclusive', 'nowhere', 'any'),
    }),
    { minLength: 3, maxLength: 12 },
  ),
});
