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
import { printable } from './format.js';
import { runWhileHeld, splitProgram } from './hold.js';
import { toJson } from './json.js';
import { readable } from './kv.js';

const help = `Usage: paipainet elect NAME [options]
       paipainet elect NAME [options] -- PROGRAM [ARGUMENT…]

Without a program it says who leads. With one it stands for election, waits until it leads, and
runs the program for as long as it does. The program finds its term in PAIPAINET_TERM: higher than
that of every leader before. When it leads no longer, the program gets SIGTERM, and SIGKILL 5 s later.

  --value TEXT         what others see of the leader; default: nothing
  --ttl SECONDS        how long others wait when nothing is heard of the leader, 1 to 3600; default: 10
${coordinationHelp}
${clientHelp}

Exit codes: that of the program; 0 somebody leads; 1 nobody does, the term has ended, or it went
wrong; 2 it was asked the wrong way.`;

export const electCommand: Command = clientCommand({
  help,
  outlivesOutput: true,
  async run(args, context) {
    const { own, program } = splitProgram(args);
    const { values, positionals } = parseOptions('elect', {
      args: own,
      allowPositionals: true,
      options: {
        ...commonOptions,
        ...clientOptions,
        ...coordinationOptions,
        ttl: { type: 'string' },
        value: { type: 'string' },
      },
    });
    const [name] = takeArguments('elect', positionals, ['NAME']);
    if (program === undefined && (values.ttl ?? values.value) !== undefined) {
      throw usageError('elect', '--ttl and --value go with a program behind --');
    }
    const ttlMs = 1_000 * integerOption('elect', 'ttl', values.ttl ?? '10', 1, 3_600);
    const isJson = values.json === true;
    const { terminal } = context;
    const options = {
      ...netOptionsOf('elect', values, context),
      ...coordinationOf('elect', values.coordination, context.variables),
    };
    return withNet(options, context, async ({ coordinator }, { signal }) => {
      if (program === undefined) {
        const leader = await coordinator.leader(name, { signal });
        const value = readable(leader?.value);
        if (isJson) terminal.print(toJson({ name, term: leader?.term ?? null, value }));
        else if (leader === undefined) terminal.note(printable(`nobody leads ${name}`));
        else terminal.print(printable(`${leader.term}  ${Buffer.from(leader.value).toString()}`));
        return leader === undefined ? 1 : 0;
      }
      const value = Buffer.from(values.value ?? '');
      const leadership = await coordinator.elect(name, { ttlMs, value, signal });
      if (isJson) terminal.note(toJson({ name, term: leadership.term }));
      const variables = { PAIPAINET_TERM: String(leadership.term) };
      const code = await runWhileHeld('elect', program, variables, [leadership.signal, signal]);
      if (leadership.signal.aborted) throw leadership.signal.reason;
      await leadership.resign();
      return code;
    });
  },
});
