import { describe, expect, test } from 'vitest';
import { introduce, NameBook, nameAt, noNames } from '../../../dist/session/names.js';
import type { FrameView } from '../../../dist/transport/frame-channel.js';
import { FrameType } from '../../../dist/wire/frame.js';
import { codeThrown } from '../../support/session-pair.js';

function frameOf(index: number, text: string): FrameView {
  const bytes = Buffer.from(text);
  return {
    type: FrameType.name,
    flags: 0,
    name: index,
    streamId: 0,
    argument: 0,
    bytes,
    start: 0,
    end: bytes.length,
    owned: false,
  };
}

describe('names that the peer introduces', () => {
  test('in any order, few or many', () => {
    const book = new NameBook(undefined);
    let names = noNames;
    const indices = [1, 2, 3, 7, 5, ...Array.from({ length: 40 }, (_, i) => 10 + i)];
    for (const index of indices) names = introduce(names, frameOf(index, `name ${index}`), book);
    for (const index of indices) expect(nameAt(names, index).text).toBe(`name ${index}`);
    for (const index of [0, 4, 6, 8, 50, 0xffff]) {
      expect(codeThrown(() => nameAt(names, index))).toBe('PAIPAI_ERR_PROTOCOL');
    }
    expect(codeThrown(() => introduce(names, frameOf(3, 'again'), book))).toBe(
      'PAIPAI_ERR_PROTOCOL',
    );
    expect(noNames).toEqual([undefined]);
  });

  test('those of several connections are the same, with their handlers', () => {
    const echo = (): void => {};
    const book = new NameBook({
      methods: new Map([['echo', echo]]),
      topics: new Map(),
      peerOf: () => null,
    });
    const introduceBoth = () =>
      introduce(introduce(noNames, frameOf(1, 'echo'), book), frameOf(2, 'b'), book);
    const names = introduceBoth();
    expect(introduceBoth()).toBe(names);
    expect(nameAt(names, 1)).toEqual({ text: 'echo', method: echo, topic: null });
    const more = introduce(names, frameOf(9, 'gap'), book);
    introduce(more, frameOf(10, 'own'), book);
    expect(names).toHaveLength(3);
    expect(introduceBoth()).toBe(names);
    const last = 2_000;
    for (let i = 0; i < last; i++) introduce(noNames, frameOf(1, `${i}`), book);
    // Beyond a bound each connection has its own.
    const lists = [1, 2].map(() => introduce(noNames, frameOf(1, `${last}`), book));
    expect(lists[0]).not.toBe(lists[1]);
    expect(book.nameOf(`${last - 1}`)).not.toBe(book.nameOf(`${last - 1}`));
    expect(book.nameOf('0')).toBe(book.nameOf('0'));
  });
});
