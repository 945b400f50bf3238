import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WaitingChunks } from '../../../dist/session/waiting-chunks.js';
import { pattern } from '../../support/session-pair.js';

const kibi = 1024;

function allOf(waiting: WaitingChunks): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let chunk = waiting.shift(); chunk !== undefined; chunk = waiting.shift()) {
    chunks.push(chunk);
  }
  return chunks;
}

describe('chunks that wait', () => {
  test('are taken in order, and large ones as they came', () => {
    const waiting = new WaitingChunks();
    const chunks = [pattern(128 * kibi), pattern(64 * kibi, 2)];
    for (const chunk of chunks) waiting.push(chunk);
    const taken = allOf(waiting);
    expect(taken.length).toBe(2);
    for (const [at, chunk] of chunks.entries()) expect(taken[at]).toBe(chunk);
    expect(waiting.shift()).toBeUndefined();
  });

  test('are few, however small they came', () => {
    const waiting = new WaitingChunks();
    const content = pattern(1024 * kibi);
    for (const byte of content) waiting.push(Uint8Array.of(byte));
    const chunks = allOf(waiting);
    expect(chunks.length).toBe(16);
    expect(Buffer.compare(Buffer.concat(chunks), content)).toBe(0);
  });

  test('leave one alone that was taken', () => {
    const waiting = new WaitingChunks();
    waiting.push(Uint8Array.of(1));
    waiting.push(Uint8Array.of(2));
    const taken = waiting.shift();
    waiting.push(Uint8Array.of(3));
    waiting.push(Uint8Array.of(4));
    expect([taken, waiting.shift()]).toEqual([Uint8Array.of(1, 2), Uint8Array.of(3, 4)]);
  });

  test('are the same bytes, whatever their sizes, and whenever some are taken', () => {
    const bytes = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 70 * kibi }));
    fc.assert(
      fc.property(fc.array(fc.tuple(bytes, fc.nat(3))), (steps) => {
        const waiting = new WaitingChunks();
        const content = pattern(steps.reduce((sum, [count]) => sum + count, 0));
        const taken: Uint8Array[] = [];
        let at = 0;
        for (const [count, takes] of steps) {
          waiting.push(content.slice(at, at + count));
          at += count;
          for (let i = 0; i < takes - 1; i++) {
            const chunk = waiting.shift();
            if (chunk !== undefined) taken.push(chunk);
          }
        }
        taken.push(...allOf(waiting));
        expect(Buffer.compare(Buffer.concat(taken), content)).toBe(0);
      }),
      { numRuns: 100 },
    );
  });
});
