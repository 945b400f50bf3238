/**
 * Frames of the message cases, little-endian:
 *   payload bytes u32, number u32; then the payload, whose bytes are a multiple of 4
 */
export const headerBytes = 8;
export const headerWords: number = headerBytes / 4;

/** What one read may bring, with room beside it for the frame that it continues. */
const areaBytes = 1024 * 1024;
/** All connections cut their frames here, one after the other: reads come one at a time. */
const areaWords: Int32Array = new Int32Array(areaBytes / 4);
const area: Buffer = Buffer.from(areaWords.buffer);

/** Takes the frame in `words` whose payload goes from `start` up to `end`; neither is valid after the call. */
export type OnFrame = (words: Int32Array, start: number, end: number, number: number) => void;

/**
 * What cuts the reads of one connection: it calls `onFrame` for each frame, and `onBatch` after all that came together.
 *
 * Each read is copied once, behind what was left over from the one before: so frames lie in one piece and on a word, and
 * each word of theirs is one load.
 */
export function frameCutter(
  frameBytesMax: number,
  onFrame: OnFrame,
  onBatch: () => void,
): (bytes: Uint8Array) => void {
  const rest = Buffer.allocUnsafeSlow(frameBytesMax);
  let restBytes = 0;
  return (bytes) => {
    if (restBytes > 0) rest.copy(area, 0, 0, restBytes);
    area.set(bytes, restBytes);
    const filled = restBytes + bytes.length;
    const wholeWords = filled >>> 2;
    let at = 0;
    while (at + headerWords <= wholeWords) {
      // Both lie inside: the loop says so.
      const payloadBytes = areaWords[at] as number;
      const number = areaWords[at + 1] as number;
      if (
        payloadBytes < 0 ||
        payloadBytes + headerBytes > frameBytesMax ||
        payloadBytes % 4 !== 0
      ) {
        throw new Error('not a frame');
      }
      const end = at + headerWords + (payloadBytes >>> 2);
      if (end > wholeWords) break;
      onFrame(areaWords, at + headerWords, end, number >>> 0);
      at = end;
    }
    restBytes = filled - at * 4;
    if (restBytes > 0) area.copy(rest, 0, at * 4, filled);
    onBatch();
  };
}
