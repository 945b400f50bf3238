import { type ParseArgsConfig, parseArgs } from 'node:util';
import { Refusal } from './refusal.js';
import type { Case, Setting, Settings, Sweep } from './types.js';

/** What the command line asks for. */
export type Wish = { readonly kind: 'list' } | { readonly kind: 'help' } | Plan | GrowthPlan;

interface Common {
  /** Peers by name; undefined: all that can run here. */
  readonly rivals: readonly string[] | undefined;
  readonly rounds: number;
  /** Whether the result is written to where results lie. */
  readonly isKept: boolean;
  /** Where it is written besides. */
  readonly file: string | undefined;
}

export interface Plan extends Common {
  readonly kind: 'case';
  readonly chosen: Case;
  readonly settings: Settings;
  /** Whether system calls and allocations are counted, in one more trial of each peer. */
  readonly counts: boolean;
}

export interface GrowthPlan extends Common {
  readonly kind: 'growth';
  readonly path: string;
  readonly sweeps: readonly Sweep[];
}

const commonOptions = {
  vs: { type: 'string' },
  rounds: { type: 'string', default: '3' },
  path: { type: 'string', default: 'tcp' },
  json: { type: 'boolean', default: false },
  out: { type: 'string' },
  counts: { type: 'boolean', default: false },
  of: { type: 'string' },
  list: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

type Values = Record<string, string | boolean | (string | boolean)[] | undefined>;

function commonOf(values: Values): Common & { readonly path: string } {
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Refusal('--rounds takes a whole number from 1');
  const { path, vs, out } = values;
  if (path !== 'tcp' && path !== 'unix' && path !== 'shm')
    throw new Refusal('--path takes tcp, unix or shm');
  return {
    rivals: typeof vs === 'string' ? vs.split(',').filter(Boolean) : undefined,
    rounds,
    isKept: values.json === true,
    file: typeof out === 'string' ? out : undefined,
    path,
  };
}

function sweepsOf(names: unknown, sweeps: readonly Sweep[]): readonly Sweep[] {
  if (typeof names !== 'string') return sweeps;
  return names.split(',').map((name) => {
    const sweep = sweeps.find((candidate) => candidate.name === name);
    if (sweep !== undefined) return sweep;
    throw new Refusal(`--of takes ${sweeps.map((each) => each.name).join(', ')}, not ${name}`);
  });
}

/** Strict `parseArgs`, whose refusal names the option. */
function parse(args: readonly string[], options: ParseArgsConfig['options']): Values {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true }).values;
  } catch (error) {
    throw new Refusal((error as Error).message);
  }
}

/** The first word that is neither an option nor the value of one that every case has; those of a case are known only by its name. */
function nameIn(args: readonly string[]): string | undefined {
  const takesValue = (arg: string | undefined): boolean =>
    Object.entries(commonOptions).some(
      ([name, { type }]) => type === 'string' && arg === `--${name}`,
    );
  return args.find((arg, i) => !arg.startsWith('--') && !takesValue(args[i - 1]));
}

/** All that the programs of a case are told. @throws Refusal for a value that a setting does not take. */
export function settingsOf(chosen: Case, path: string, values: Values): Settings {
  const settings: Record<string, string> = { path, ...chosen.constants };
  for (const [name, each] of Object.entries(chosen.settings)) {
    const value = String(values[name] ?? each.fallback);
    if (!takes(each, value)) throw new Refusal(`--${name} takes ${rangeOf(each)}, not ${value}`);
    settings[name] = value;
  }
  return settings;
}

function takes(
  { choices, step = 1, least = step, most = Infinity }: Setting,
  text: string,
): boolean {
  if (choices !== undefined) return choices.includes(text);
  const value = Number(text);
  if (step === 0) return value > 0 && Number.isFinite(value);
  return value >= least && value <= most && Number.isInteger(value / step);
}

/** In words. */
export function rangeOf({ choices, step = 1, least = step, most }: Setting): string {
  if (choices !== undefined) return choices.join(' or ');
  if (step === 0) return 'a number above 0';
  const to = most === undefined ? '' : ` to ${most}`;
  return `${step === 1 ? 'a whole number' : `a multiple of ${step}`} from ${least}${to}`;
}

/** @throws Refusal when `args` ask for something that there is not. */
export function readArguments(
  args: readonly string[],
  cases: readonly Case[],
  sweeps: readonly Sweep[],
): Wish {
  const name = nameIn(args);
  const chosen = cases.find((candidate) => candidate.name === name);
  const own = Object.keys(chosen?.settings ?? {}).map((setting) => [setting, { type: 'string' }]);
  const values = parse(args, {
    ...(Object.fromEntries(own) as ParseArgsConfig['options']),
    ...commonOptions,
  });
  if (values.list === true) return { kind: 'list' };
  if (values.help === true || args.length === 0) return { kind: 'help' };
  const { path, ...common } = commonOf(values);
  if (name === 'growth') {
    return { kind: 'growth', ...common, path, sweeps: sweepsOf(values.of, sweeps) };
  }
  if (name === undefined) throw new Refusal('the name of a case is missing; --list names them');
  if (chosen === undefined) throw new Refusal(`there is no case "${name}"; --list names them`);
  if (values.of !== undefined) throw new Refusal('--of goes with growth');
  const settings = settingsOf(chosen, path, values);
  return { kind: 'case', ...common, chosen, settings, counts: values.counts === true };
}
