import type { Command } from '../../../dist/cli/command.js';
import { makeGlyphs, makePaint } from '../../../dist/cli/terminal.js';

export interface CommandResult {
  end: number;
  out: string;
  err: string;
}

/** Runs a command in this process, where what it says can be had without a start of Node. What it throws is thrown. */
export async function runCommand(
  command: Command,
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<CommandResult> {
  const out: string[] = [];
  const err: string[] = [];
  const terminal = {
    print: (line = '') => void out.push(`${line}\n`),
    note: (line: string) => void err.push(`${line}\n`),
    redraw: () => {},
    live: false,
    columns: 80,
    paint: makePaint({ isTTY: false }, {}),
    glyphs: makeGlyphs({}),
  };
  const { signal } = new AbortController();
  const end = await command.run(args, { terminal, variables, signal });
  return { end, out: out.join(''), err: err.join('') };
}
