/**
 * Which of the starter's own Node.js flags its child processes get. Those that say what to run or that claim a port or a file
 * (`--eval`, `--inspect`, `--cpu-prof`, `--test`) are not for them; those that say how modules load and what is allowed are.
 */
const flags: ReadonlySet<string> = new Set([
  '--no-addons',
  '--enable-source-maps',
  '--no-warnings',
  '--no-deprecation',
  '--permission',
  '--experimental-permission',
  '--preserve-symlinks',
  '--experimental-strip-types',
  '--no-experimental-strip-types',
]);

/** Flags with a value, behind `=` or as the next argument. */
const flagsWithValue: ReadonlySet<string> = new Set([
  '--import',
  '--require',
  '-r',
  '--loader',
  '--experimental-loader',
  '--conditions',
  '-C',
  '--max-old-space-size',
  '--max-semi-space-size',
  '--allow-fs-read',
  '--allow-fs-write',
]);

/** `--allow-child-process` and its like stand alone. */
function standsAlone(flag: string): boolean {
  return flags.has(flag) || (flag.startsWith('--allow-') && !flagsWithValue.has(flag));
}

export function childExecArguments(execArguments: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at < execArguments.length; at++) {
    const argument = execArguments[at] ?? '';
    const [flag = ''] = argument.split('=', 1);
    if (standsAlone(flag)) {
      kept.push(argument);
    } else if (flagsWithValue.has(flag)) {
      kept.push(argument);
      const value = execArguments[at + 1];
      if (argument === flag && value !== undefined) {
        kept.push(value);
        at++;
      }
    }
  }
  return kept;
}
