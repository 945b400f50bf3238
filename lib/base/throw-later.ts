/** Throws what somebody's callback has thrown where it harms nobody else: it surfaces as an uncaught exception. */
export function throwLater(thrown: unknown): void {
  process.nextTick(rethrow, thrown);
}

function rethrow(thrown: unknown): never {
  throw thrown;
}
