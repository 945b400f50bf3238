import fc from 'fast-check';
import { test } from 'vitest';
import { aborted, contexts } from './generated/abort-and-context.js';
import { connectArguments, listenArguments } from './generated/arguments.js';
import { backPressure, readByHand } from './generated/back-pressure.js';
import { beforeConnect } from './generated/before-connect.js';
import type { Generated } from './generated/calls.js';
import { anyCalls, halfOpen, legacy, overUnixSockets } from './generated/connected.js';
import { misbehavingLookup, severalAddresses } from './generated/lookup.js';
import { onread } from './generated/onread.js';
import { reset } from './generated/reset.js';
import { server } from './generated/server.js';
import { socketOptions } from './generated/socket-options.js';
import { timeOuts } from './generated/time-outs.js';
import { turns } from './generated/turns.js';
import { unixPaths } from './generated/unix.js';
import { runsTimes, seeded } from './runs.js';
import { expectNoDifference, tellsResets, whyResets } from './ways.js';

/**
 * Scripts that are made up, through `node:net` and through ours, both ways in: the same ones in each run, unless told otherwise.
 *
 *   PAIPAINET_COMPAT_RUNS=10       ten times as many of each kind
 *   PAIPAINET_COMPAT_SEED=fresh    new ones; a failure prints its seed
 *   PAIPAINET_COMPAT_SEED=1234     those of the run that printed this seed
 *   PAIPAINET_COMPAT_SELF=1       `node:net` against itself: what differs then was left to chance by the script
 */

// Each has inputs of its own, made for its own `play`.
// biome-ignore lint/suspicious/noExplicitAny: see above.
const kinds: Record<string, Generated<any>> = {
  connectArguments,
  listenArguments,
  misbehavingLookup,
  severalAddresses,
  beforeConnect,
  anyCalls,
  halfOpen,
  backPressure,
  readByHand,
  onread,
  timeOuts,
  socketOptions,
  reset,
  server,
  overUnixSockets,
  unixPaths,
  aborted,
  contexts,
  legacy,
  turns,
};

/** Those in which one side closes while bytes of the other are unread. */
const differentOverUring = ['turns'];

test.for(Object.entries(kinds))(
  '%s',
  { timeout: 120_000 * runsTimes },
  async ([name, { inputs, play, runCount }], { skip }) => {
    skip(tellsResets && differentOverUring.includes(name), whyResets);
    const property = fc.asyncProperty(inputs, (input) =>
      expectNoDifference((net, recorder) => play(net, recorder, input)),
    );
    await fc.assert(property, seeded(runCount));
  },
);
