import { defineConfig } from 'vitest/config';

// The tests import what `npm run build` wrote to dist/, and `npm test` builds first. Forks, never threads: an addon that crashes in a thread
// would take the run with it.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // Building, packing and starting processes happen in tests; a machine under sanitizers is slower still.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    execArgv: ['--expose-gc'],
  },
});
