import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// The tests import what `npm run build` wrote to dist/, and `npm test` builds first. Forks, never threads: an addon that crashes in a thread
// would take the run with it.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // Many wait for processes that they have started: one file at a time would leave half of two CPUs idle.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // Building, packing and starting processes happen in tests; a machine under sanitizers, or whose host gives it little, is slower still.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    execArgv: ['--expose-gc'],
  },
});
