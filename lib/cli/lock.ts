import {
  clientCommand,
  clientHelp,
  clientOptions,
  netOptionsOf,
  takeArguments,
  withNet,
} from './client.js';
import { type Command, commonOptions, integerOption, parseOptions, usageError } from './command.js';
import { coordinationHelp, coordinationOf, coordinationOptions } from './coordination-options.js';
import { runWhileHeld, splitProgram } from './hold.js';
import { toJson } from './json.js';

const help = `Usage: paipainet lock NAME [options] -- PROGRAM [ARGUMENT…]

Runs a program while it holds a lock of the net: one at a time over all machines, in the order in
which they came. The program finds the fencing token in PAIPAINET_TOKEN: higher than that of all who
held the lock before, so that whoever takes its writes can refuse a lower one. When the lock is lost, the
program gets SIGTERM, and SIGKILL 5 s later.

  --ttl SECONDS        how long others wait when nothing is heard of the holder, 1 to 3600; default: 10
  --wait SECONDS       give up when the lock is another's for so long; default: never
${coordinationHelp}
${clientHelp}

Exit codes: that of the program; 1 the lock was lost, or it went wrong; 2 it was asked the wrong way.`;

export const lockCommand: Command = clientCommand({
  help,
  outlivesOutput: true,
  async run(args, context) {
    const { own, program } = splitProgram(args);
    const { values, positionals } = parseOptions('lock', {
      args: own,
      allowPositionals: true,
      options: {
        ...commonOptions,
        ...clientOptions,
        ...coordinationOptions,
        ttl: { type: 'string' },
        wait: { type: 'string' },
      },
    });
    const [name] = takeArguments('lock', positionals, ['NAME']);
    if (program === undefined) throw usageError('lock', 'Give a program behind --');
    const ttlMs = 1_000 * integerOption('lock', 'ttl', values.ttl ?? '10', 1, 3_600);
    const waitMs =
      values.wait === undefined
        ? Infinity
        : 1_000 * integerOption('lock', 'wait', values.wait, 1, 1_000_000);
    const options = {
      ...netOptionsOf('lock', values, context),
      ...coordinationOf('lock', values.coordination, context.variables),
    };
    return withNet(options, context, async (net, { signal }) => {
      const lock = await net.coordinator.lock(name, { ttlMs, deadlineMs: waitMs, signal });
      if (values.json === true) context.terminal.note(toJson({ name, token: lock.token }));
      const variables = { PAIPAINET_TOKEN: String(lock.token) };
      const code = await runWhileHeld('lock', program, variables, [lock.signal, signal]);
      if (lock.signal.aborted) throw lock.signal.reason;
      await lock.release();
      return code;
    });
  },
});
