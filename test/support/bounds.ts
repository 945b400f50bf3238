/**
 * A bound in time as a test may ask for it, in milliseconds: what is promised where an acceptance runs the test on a quiet machine
 * (`PAIPAINET_QUIET=yes`). Elsewhere the processors are shared with other tests, a sanitizer or a host's other guests, and a test
 * tells apart what comes from what never does: twenty times as much, or what leaves the runner's own time-out to speak first.
 */
export function bound(promisedMs: number): number {
  const isQuiet = process.env['PAIPAINET_QUIET'] === 'yes';
  return isQuiet ? promisedMs : Math.max(promisedMs, Math.min(20 * promisedMs, 60_000));
}
