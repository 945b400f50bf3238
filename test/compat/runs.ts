/** How often what is made up is made up, and from which seed: from the environment, as `generated.test.ts` says. */

const { PAIPAINET_COMPAT_RUNS: times = '1', PAIPAINET_COMPAT_SEED: seed = '20261122' } =
  process.env;

export const runsTimes: number = Number(times);

export function seeded(runCount: number): { numRuns: number; seed?: number } {
  return {
    numRuns: runCount * runsTimes,
    ...(seed === 'fresh' ? {} : { seed: Number(seed) }),
  };
}
