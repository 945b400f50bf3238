import type { QuorumMember } from '../coordination/coordinator.js';
import {
  clientCommand,
  clientHelp,
  clientOptions,
  netOptionsOf,
  takeArguments,
  withNet,
} from './client.js';
import { type Command, commonOptions, parseOptions, usageError } from './command.js';
import { coordinationHelp, coordinationOf, coordinationOptions } from './coordination-options.js';
import { left, printable } from './format.js';
import { toJson } from './json.js';
import { printTable } from './table.js';
import type { Terminal } from './terminal.js';

const help = `Usage: paipainet quorum [options]
       paipainet quorum replace OLD [NEW] [options]

The nodes that agree together on the table of a net: which of them votes, has lost its disk
(wiped), or does not answer (silent). "replace" has node NEW vote in the place of OLD; without NEW
it is OLD itself, with the disk that it has now. NEW runs with the same --quorum as the others.

${coordinationHelp}
${clientHelp}

Exit codes: 0 done; 1 it went wrong; 2 it was asked the wrong way; 130 Ctrl-C.`;

export const quorumCommand: Command = clientCommand({
  help,
  async run(args, context) {
    const { values, positionals } = parseOptions('quorum', {
      args: [...args],
      allowPositionals: true,
      options: { ...commonOptions, ...clientOptions, ...coordinationOptions },
    });
    const replacement = readReplacement(positionals);
    const { coordination } = coordinationOf('quorum', values.coordination, context.variables);
    if (typeof coordination !== 'object') {
      throw usageError('quorum', 'Say which quorum: --coordination quorum:A,B,C');
    }
    const options = { ...netOptionsOf('quorum', values, context), coordination };
    return withNet(options, context, async ({ coordinator }, limits) => {
      if (replacement !== undefined) {
        const { oldNodeId, newNodeId } = replacement;
        await coordinator.replaceMember(oldNodeId, newNodeId, limits);
      }
      const members = await coordinator.members(limits);
      if (values.json === true) context.terminal.print(toJson({ members }));
      else show(members, context.terminal);
      return 0;
    });
  },
});

interface Replacement {
  readonly oldNodeId: string;
  readonly newNodeId: string;
}

function readReplacement([task, ...rest]: readonly string[]): Replacement | undefined {
  if (task === undefined) return undefined;
  if (task !== 'replace') throw usageError('quorum', 'Give replace, or nothing');
  const [oldNodeId, newNodeId = oldNodeId] = takeArguments('quorum', rest, ['OLD'], 1);
  return { oldNodeId, newNodeId };
}

function show(members: readonly QuorumMember[], terminal: Terminal): void {
  const columns = [left('node'), left('state')];
  const rows = members.map(({ nodeId, state }) => [printable(nodeId), state]);
  printTable(terminal, columns, rows);
}
