/**
 * What is wrong with what transactions have done, or undefined: each is done whole, once, or not at all, and there is an order of all that are, which
 * fits what each has read, and in which none stands before one that had ended when it began.
 *
 * @param {readonly { tag: string, startedAt: number, endedAt: number, outcome: 'committed' | 'aborted' | 'unknown',
 *   reads: readonly { key: string, tag: string | null }[], writes: readonly string[], deletes?: boolean }[]} tried
 *   what a client has tried: which transaction had written what it read, null for nothing
 * @param {ReadonlyMap<string, readonly { tag: string, isThere: boolean }[]>} histories by key: which transactions have written it, one after the
 *   other, and whether it was there behind each
 */
export function flawOfTransactions(tried, histories) {
  const writtenBy = new Map();
  for (const [key, history] of histories) {
    for (const [at, { tag }] of history.entries()) {
      const places = writtenBy.get(tag) ?? new Map();
      writtenBy.set(tag, places);
      if (places.has(key)) return `${tag} has changed ${key} twice`;
      places.set(key, at);
    }
  }
  const done = [];
  for (const one of tried) {
    const places = writtenBy.get(one.tag);
    // What was not there is deleted without a trace.
    const expected = one.deletes ? [] : one.writes;
    const isDone = places !== undefined || (one.writes.length === 0 && one.outcome === 'committed');
    if (isDone && one.outcome === 'aborted') return `${one.tag} is done, and was said not to be`;
    if (!isDone && one.outcome === 'committed') return `${one.tag} is said to be done, and is not`;
    const missing = isDone ? expected.find((key) => !places?.has(key)) : undefined;
    if (missing !== undefined) return `${one.tag} is done, but for ${missing}`;
    if (isDone) done.push(one);
  }
  return flawOfOrder(done, histories, writtenBy);
}

function flawOfOrder(done, histories, writtenBy) {
  const behind = new Map(done.map(({ tag }) => [tag, new Set()]));
  const isBefore = (one, other) => {
    if (one !== other) behind.get(one)?.add(other);
  };
  for (const history of histories.values()) {
    for (const [at, { tag }] of history.entries()) {
      if (at > 0) isBefore(history[at - 1].tag, tag);
    }
  }
  for (const { tag, reads } of done) {
    for (const read of reads) {
      const history = histories.get(read.key) ?? [];
      const own = writtenBy.get(tag)?.get(read.key);
      if (own !== undefined) {
        const before = own === 0 || !history[own - 1].isThere ? null : history[own - 1].tag;
        if (before !== read.tag) {
          return `${tag} has read ${read.key} of ${read.tag}, and replaced that of ${before}`;
        }
      } else if (read.tag !== null) {
        const at = writtenBy.get(read.tag)?.get(read.key);
        if (at === undefined) return `${tag} has read ${read.key} of ${read.tag}, which never was`;
        isBefore(read.tag, tag);
        if (at + 1 < history.length) isBefore(tag, history[at + 1].tag);
      } else if (history.every(({ isThere }) => isThere) && history.length > 0) {
        // Of several times when it was not there it is not known which one was seen.
        isBefore(tag, history[0].tag);
      }
    }
  }
  for (const earlier of done) {
    for (const later of done)
      if (earlier.endedAt < later.startedAt) isBefore(earlier.tag, later.tag);
  }
  return hasOrder(behind) ? undefined : 'what was done has no order';
}

function hasOrder(behind) {
  const left = new Map(Array.from(behind, ([tag]) => [tag, 0]));
  for (const others of behind.values()) {
    for (const other of others) left.set(other, (left.get(other) ?? 0) + 1);
  }
  const free = [...left].filter(([, count]) => count === 0).map(([tag]) => tag);
  let count = 0;
  for (let tag = free.pop(); tag !== undefined; tag = free.pop()) {
    count++;
    for (const other of behind.get(tag) ?? []) {
      left.set(other, left.get(other) - 1);
      if (left.get(other) === 0) free.push(other);
    }
  }
  return count === left.size;
}
