/**
 * Ids of requests and streams: odd from 1 by the side that connected, even from 2 by the side that listened, increasing.
 * A busy connection uses up 2^31 of them within an hour, so "increasing" is meant modulo 2^32: a step forward is one of less than half the circle.
 *
 * A session knows the last id of each side, as an int32, which V8 holds without allocating; its lowest bit says whose it is.
 */
const halfCircle = 0x8000_0000;

export type Role = 'connect' | 'listen';

/** Before the first id of `role`: the one that the first follows. */
export function idBeforeFirst(role: Role): number {
  return role === 'connect' ? -1 : 0;
}

/** The id that comes next. */
export function idAfter(last: number): number {
  const id = (last + 2) >>> 0;
  return id === 0 ? 2 : id;
}

/** Whether the side whose last id is `last` may use `id` now. */
export function mayFollow(last: number, id: number): boolean {
  const step = (id - last) >>> 0;
  return id !== 0 && isOfOneSide(last, id) && step !== 0 && step < halfCircle;
}

/** Whether `id` belongs to the side whose last id is `last`, and has been in use. */
export function hasUsed(last: number, id: number): boolean {
  return id !== 0 && isOfOneSide(last, id) && (last - id) >>> 0 < halfCircle;
}

function isOfOneSide(last: number, id: number): boolean {
  return ((last ^ id) & 1) === 0;
}
