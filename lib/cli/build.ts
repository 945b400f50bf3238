import { PaipaiError } from '../base/errors.js';
import { buildAddon } from './addon-build.js';
import { withBuildLock } from './addon-lock.js';
import { addonFingerprint, addonIsCurrent, writeAddonStamp } from './addon-stamp.js';
import { type Command, commonOptions, parseOptions } from './command.js';
import { formatTime } from './format.js';
import { packageRoot } from './package-facts.js';

const help = `Usage: paipainet build [--if-needed] [--verbose]

Builds the native addon from the sources in this package, with node-gyp. It needs python3, make and
a C++20 compiler; the headers of Node are taken from beside Node itself, else downloaded.

  --if-needed   do nothing when the addon is there and its sources are as they were
  --verbose     show what node-gyp and the compiler say

The native engine is for Linux. Elsewhere, and with PAIPAINET_ENGINE=js, --if-needed builds nothing:
the portable engine needs no addon.`;

export const buildCommand: Command = {
  help,
  async run(args, { terminal, variables, signal }) {
    const { values } = parseOptions('build', {
      args: [...args],
      options: { ...commonOptions, 'if-needed': { type: 'boolean' } },
    });
    const ifNeeded = values['if-needed'] === true;
    const isPossible = process.platform === 'linux';
    if (ifNeeded && (!isPossible || variables['PAIPAINET_ENGINE'] === 'js')) return 0;
    if (!isPossible) {
      throw new PaipaiError(
        'PAIPAI_ERR_BUILD_FAILED',
        `the native engine is for Linux, not for ${process.platform}; the portable engine runs here without a build`,
      );
    }
    if (ifNeeded && addonIsCurrent(packageRoot, addonFingerprint(packageRoot))) return 0;

    await withBuildLock(packageRoot, { signal, note: terminal.note }, async () => {
      // Another build may have ended while we waited, and the sources may have changed.
      const fingerprint = addonFingerprint(packageRoot);
      if (ifNeeded && addonIsCurrent(packageRoot, fingerprint)) return;
      terminal.note('paipainet: building the native addon (this takes a while the first time)');
      const startMs = performance.now();
      const outcome = await buildAddon(packageRoot, {
        signal,
        variables,
        verbose: values.verbose === true,
      });
      if (!outcome.ok) {
        if (outcome.output !== '') terminal.note(outcome.output.trimEnd());
        throw new PaipaiError('PAIPAI_ERR_BUILD_FAILED', outcome.reason);
      }
      writeAddonStamp(packageRoot, fingerprint);
      terminal.note(`paipainet: built in ${formatTime(performance.now() - startMs)}`);
    });
    return 0;
  },
};
