import { once } from 'node:events';
import { expect, test } from 'vitest';
import { withLimits } from '../../../dist/cli/client.js';
import { makeGlyphs, makePaint } from '../../../dist/cli/terminal.js';
import { codeOf } from '../../support/session-pair.js';

const terminal = {
  print() {},
  note() {},
  redraw() {},
  live: false,
  columns: 80,
  paint: makePaint({ isTTY: false }, {}),
  glyphs: makeGlyphs({}),
};

function contextWith(signal: AbortSignal): Parameters<typeof withLimits>[1] {
  return { terminal, variables: {}, signal };
}

/** Does one thing after the other, each of them quickly. */
async function manySteps({ signal }: { readonly signal: AbortSignal }): Promise<never> {
  for (;;) {
    await new Promise((resolve) => setImmediate(resolve));
    if (signal.aborted) throw new Error('a step was aborted');
  }
}

test('a deadline is for all that a command does, however short each step is', async () => {
  const { signal } = new AbortController();
  const work = withLimits({ deadlineMs: 20 }, contextWith(signal), manySteps);
  expect(await codeOf(work)).toBe('PAIPAI_ERR_DEADLINE');
});

test('Ctrl-C ends it too, also before it has begun', async () => {
  const controller = new AbortController();
  const limits = { deadlineMs: Infinity };
  const work = withLimits(limits, contextWith(controller.signal), async ({ signal }) => {
    await once(signal, 'abort');
    return 'the end of a step that was done by then';
  });
  controller.abort();
  expect(await work).toBe('the end of a step that was done by then');
  let hasBegun = false;
  const late = withLimits(limits, contextWith(controller.signal), async () => {
    hasBegun = true;
  });
  expect(await codeOf(late)).toBe('PAIPAI_ERR_ABORTED');
  expect(hasBegun).toBe(false);
});

test('what fails by itself is what it fails with', async () => {
  const { signal } = new AbortController();
  const work = withLimits({ deadlineMs: 10_000 }, contextWith(signal), async () => {
    throw new RangeError('its own');
  });
  await expect(work).rejects.toThrow('its own');
});
