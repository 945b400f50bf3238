import { describe, expect, test } from 'vitest';
import {
  PartBudget,
  type PartLimits,
  readParts,
  writePart,
} from '../../../dist/processing/part-stream.js';
import type { PeerStream } from '../../../dist/session/types.js';
import { sessionPair } from '../../support/session-pair.js';

/** What the far side reads of what `send` writes; it answers with the count of the parts. */
async function received(
  send: (stream: PeerStream) => Promise<void>,
  limits: PartLimits = {},
): Promise<Uint8Array[]> {
  let parts: Uint8Array[] = [];
  const { near } = await sessionPair({
    service: {
      async onStream(stream: PeerStream): Promise<void> {
        parts = await readParts(stream, limits);
        stream.end();
      },
    },
  });
  const stream = near.openStream('parts', new Uint8Array(0));
  const ended = stream.ended;
  ended.catch(() => {});
  await send(stream).catch(() => {}); // Why it failed is what `ended` says.
  stream.end();
  for await (const _ of stream);
  await ended;
  return parts;
}

const sending =
  (...parts: readonly Uint8Array[]) =>
  async (stream: PeerStream): Promise<void> => {
    for (const part of parts) await writePart(stream, part);
  };

const part = (bytes: number): Uint8Array => new Uint8Array(bytes).fill(bytes);

describe('parts on a stream', () => {
  test('come as they went, none of them too', async () => {
    expect((await received(sending())).length).toBe(0);
    const parts = await received(sending(part(1), part(2), part(70_000)));
    expect(parts.map((bytes) => bytes.byteLength)).toEqual([1, 2, 70_000]);
  });

  test('as many as may come, and one more', async () => {
    const parts = Array.from({ length: 5 }, () => part(1));
    expect(await received(sending(...parts), { countMax: 5 })).toHaveLength(5);
    await expect(received(sending(...parts), { countMax: 4 })).rejects.toMatchObject({
      code: 'PAIPAI_ERR_PROTOCOL',
    });
  });

  test('an empty one is refused, so zeros are not millions of parts', async () => {
    const zeros = (stream: PeerStream): Promise<void> => stream.write(new Uint8Array(1024 * 1024));
    await expect(received(zeros)).rejects.toMatchObject({ code: 'PAIPAI_ERR_PROTOCOL' });
    await expect(received(sending(part(0)))).rejects.toMatchObject({ code: 'PAIPAI_ERR_PROTOCOL' });
  });

  test('one that is cut short is refused', async () => {
    const short = (stream: PeerStream): Promise<void> => stream.write(Uint8Array.of(2, 0, 0, 0, 1));
    await expect(received(short)).rejects.toMatchObject({ code: 'PAIPAI_ERR_PROTOCOL' });
  });

  test('longer than an answer may be, they are refused', async () => {
    expect(await received(sending(part(6)), { bytesMax: 10 })).toHaveLength(1);
    await expect(received(sending(part(7)), { bytesMax: 10 })).rejects.toMatchObject({
      code: 'PAIPAI_ERR_HANDLER_RESULT',
    });
  });

  test('several readers share one budget until they release it', async () => {
    const budget = new PartBudget(100_000);
    const [first, second] = [budget.hold(), budget.hold()];
    expect(await received(sending(part(60_000)), { hold: first })).toHaveLength(1);
    const tooMuch = received(sending(part(60_000)), { hold: second });
    await expect(tooMuch).rejects.toMatchObject({ code: 'PAIPAI_ERR_OVERLOADED' });
    second.release();
    first.release();
    first.release();
    expect(await received(sending(part(60_000)), { hold: second })).toHaveLength(1);
    expect(budget.hold().take(40_000)).toBe(false);
  });

  test('very many short chunks cost more than their bytes', async () => {
    const dribble = async (stream: PeerStream): Promise<void> => {
      for (const byte of [3, 0, 0, 0, 1, 2, 3]) await stream.write(Uint8Array.of(byte));
    };
    const hold = new PartBudget(1_000).hold();
    await expect(received(dribble, { hold })).rejects.toMatchObject({
      code: 'PAIPAI_ERR_OVERLOADED',
    });
  });
});
