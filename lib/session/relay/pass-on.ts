import type { PeerStream } from '../types.js';

/** Chunks of at most 128 KiB on their way out: one alone would leave the line idle between two turns of the loop. */
const writesMax = 4;

/**
 * Passes on what comes on either stream to the other, until both have ended in both directions. A chunk is read when those before it have
 * left but for a few, so at most the window of each stream is here, and these. Rejects with why one of them failed, and leaves the other to
 * the caller.
 */
export async function passOn(a: PeerStream, b: PeerStream): Promise<void> {
  const ways = [passOneWay(a, b), passOneWay(b, a)] as const;
  const over = new AbortController();
  try {
    await Promise.race([
      Promise.all(ways),
      lossOf(a, ways[0], over.signal),
      lossOf(b, ways[1], over.signal),
    ]);
  } finally {
    over.abort();
  }
}

/** Fails when `stream` has; one way that waits for the credit of the other stream would not notice. What came whole is passed on first. */
async function lossOf(
  { signal, ended }: PeerStream,
  passed: Promise<void>,
  over: AbortSignal,
): Promise<never> {
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true, signal: over });
    if (signal.aborted) resolve();
  });
  await ended;
  await passed;
  throw signal.reason;
}

async function passOneWay(from: PeerStream, to: PeerStream): Promise<void> {
  // Not `for await`: when `to` fails that would reset `from`, as if its reader had left.
  const chunks = from[Symbol.asyncIterator]();
  const writes: Promise<void>[] = [];
  for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
    const write = to.write(next.value);
    write.catch(() => {}); // It is awaited later.
    writes.push(write);
    if (writes.length === writesMax) await writes.shift();
  }
  await Promise.all(writes);
  to.end(await from.ended);
}
