import { describe, test } from 'vitest';
import { scenes as abortAndContext } from './scenes/abort-and-context.js';
import { scenes as arguments_ } from './scenes/arguments.js';
import { scenes as backPressure } from './scenes/back-pressure.js';
import { scenes as badDays } from './scenes/bad-days.js';
import { scenes as beforeConnect } from './scenes/before-connect.js';
import { scenes as halfOpen } from './scenes/half-open.js';
import { scenes as happyEyeballs } from './scenes/happy-eyeballs.js';
import { scenes as legacy } from './scenes/legacy.js';
import { scenes as lookup } from './scenes/lookup.js';
import { scenes as onread } from './scenes/onread.js';
import { scenes as reset } from './scenes/reset.js';
import { scenes as server } from './scenes/server.js';
import { scenes as socketOptions } from './scenes/socket-options.js';
import { scenes as timeOuts } from './scenes/time-outs.js';
import { scenes as unix } from './scenes/unix.js';
import { expectNoDifference, tellsResets, whyResets } from './ways.js';

/**
 * The same scenes through `node:net` and through ours, both ways in: what sockets and servers say must be the same.
 * `PAIPAINET_COMPAT_SELF=1` compares `node:net` with itself, which shows scenes that leave something to chance.
 * What needs a process of its own, clusters for example, is in `programs.test.ts`.
 */

const groups = {
  arguments: arguments_,
  lookup,
  'happy eyeballs': happyEyeballs,
  'before connect': beforeConnect,
  'half-open': halfOpen,
  'back pressure': backPressure,
  onread,
  'time-outs': timeOuts,
  'socket options': socketOptions,
  reset,
  server,
  'Unix sockets': unix,
  'abort and context': abortAndContext,
  legacy,
  'bad days': badDays,
};

/** Those that meet what is different over io_uring, by group and name. */
const differentOverUring = ['reset: with bytes of its own that wait'];

describe.each(Object.entries(groups))('%s', (group, scenes) => {
  test.for(Object.entries(scenes))('%s', async ([name, scene], { skip }) => {
    const isLeftOut = tellsResets && differentOverUring.includes(`${group}: ${name}`);
    skip(isLeftOut, whyResets);
    await expectNoDifference(scene);
  });
});
