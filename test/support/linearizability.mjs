/**
 * Whether a history of calls can have been made one after the other (Wing and Gong, with the memory of Lowe): each call at one moment between its start
 * and its end. A call whose answer never came has no end, and may also never have been made.
 *
 * @template Call
 * @param {readonly ({ startedAt: number, endedAt: number } & Call)[]} calls with Infinity as the end of those without an answer
 * @param {{ first: unknown, step: (state: any, call: Call) => unknown }} model `step` gives the state behind the call, or undefined when the call cannot have been
 *     answered so. States are told apart by `JSON.stringify`.
 */
export function isLinearizable(calls, { first, step }) {
  const sorted = calls.toSorted((a, b) => a.startedAt - b.startedAt);
  const made = new Set();
  const seen = new Set();
  const answered = sorted.filter(({ endedAt }) => endedAt !== Infinity).length;
  // Of what to try next: the state, and from which call on to look.
  const stack = [];
  let state = first;
  let madeAnswered = 0;
  let at = 0;
  for (;;) {
    if (madeAnswered === answered) return true;
    const next = nextCall(sorted, made, at);
    if (next === undefined) {
      const back = stack.pop();
      if (back === undefined) return false;
      made.delete(back.at);
      if (sorted[back.at].endedAt !== Infinity) madeAnswered--;
      ({ state } = back);
      at = back.at + 1;
      continue;
    }
    at = next + 1;
    const after = step(state, sorted[next]);
    if (after === undefined) continue;
    made.add(next);
    const key = `${[...made].sort((a, b) => a - b).join()} ${JSON.stringify(after)}`;
    if (seen.has(key)) {
      made.delete(next);
      continue;
    }
    seen.add(key);
    stack.push({ state, at: next });
    if (sorted[next].endedAt !== Infinity) madeAnswered++;
    state = after;
    at = 0;
  }
}

/** The first call from `from` on that is not made and began before every other one of those had ended. */
function nextCall(sorted, made, from) {
  let earliestEnd = Infinity;
  for (const [at, { startedAt, endedAt }] of sorted.entries()) {
    if (startedAt > earliestEnd) return undefined;
    if (made.has(at)) continue;
    if (at >= from) return at;
    earliestEnd = Math.min(earliestEnd, endedAt);
  }
  return undefined;
}
