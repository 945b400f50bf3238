import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { toError } from '../base/errors.js';
import { loadNative } from '../native/load.js';
import { selectEngine } from '../node/select-network.js';
import { addonFingerprint, addonIsCurrent, addonPath } from './addon-stamp.js';
import { type Command, commonOptions, parseOptions } from './command.js';
import { packageRoot, packageVersion } from './package-facts.js';
import type { Terminal } from './terminal.js';
import { findToolchain, missingTools, type Toolchain } from './toolchain.js';

const help = `Usage: paipainet doctor [--json]

Says which engine is in use and why, what serves its sockets, what was tried to load the native one, and what is missing.

  --json      one JSON object on one line
  --verbose   show the stack of an error

Exit codes: 0 when the native engine works, 1 when it does not.`;

interface Diagnosis {
  readonly version: string;
  /** What a net on this machine would use; undefined when PAIPAINET_ENGINE asks for what is not there. */
  readonly engine: 'native' | 'js' | undefined;
  readonly reason: string;
  readonly native: {
    readonly works: boolean;
    /** Why it does not load. */
    readonly reason: string | undefined;
    readonly tried: readonly string[];
    /** Its sources are those it was built from; undefined where there are none to compare. */
    readonly current: boolean | undefined;
  };
  /** What serves the sockets of the native engine; undefined without it, or when PAIPAINET_IO asks for what is not there. */
  readonly io: 'epoll' | 'uring' | undefined;
  readonly ioReason: string;
  /** Whether io_uring could; undefined without the addon. */
  readonly uring: { readonly works: boolean; readonly reason: string } | undefined;
  /** How CRC32C is computed: 'sse4.2', 'arm', 'table', or 'js' without the addon. */
  readonly crc32c: string;
  readonly node: string;
  readonly napi: string;
  readonly platform: string;
  readonly kernel: string;
  readonly toolchain: Toolchain;
  /** What to do, one sentence each; empty when nothing is missing. */
  readonly advice: readonly string[];
}

export const doctorCommand: Command = {
  help,
  async run(args, { terminal, variables }) {
    const { values } = parseOptions('doctor', {
      args: [...args],
      options: { ...commonOptions, json: { type: 'boolean' } },
    });
    const diagnosis = diagnose(variables);
    if (values.json === true) terminal.print(JSON.stringify(diagnosis));
    else show(diagnosis, terminal);
    return diagnosis.native.works ? 0 : 1;
  },
};

function diagnose(variables: Readonly<Record<string, string | undefined>>): Diagnosis {
  const native = loadNative();
  const toolchain = findToolchain(variables);
  const hasAddon = existsSync(addonPath(packageRoot));
  const current = hasAddon ? addonIsCurrent(packageRoot, addonFingerprint(packageRoot)) : undefined;
  return {
    version: packageVersion(),
    ...engineInUse(),
    native: {
      works: native.ok,
      reason: native.ok ? undefined : native.reason,
      tried: native.ok ? [native.path] : native.tried,
      current,
    },
    ...ioInUse(),
    uring: native.ok ? native.binding.probeUring() : undefined,
    crc32c: native.ok ? native.binding.crc32cImplementation() : 'js',
    node: process.version,
    napi: process.versions['napi'] ?? 'none',
    platform: `${process.platform} ${process.arch}`,
    kernel: release(),
    toolchain,
    advice: advise({ works: native.ok, hasAddon, current, toolchain, variables }),
  };
}

function engineInUse(): Pick<Diagnosis, 'engine' | 'reason'> {
  try {
    const { name, reason } = selectEngine('auto');
    return { engine: name, reason };
  } catch (thrown) {
    return { engine: undefined, reason: toError(thrown).message };
  }
}

function ioInUse(): Pick<Diagnosis, 'io' | 'ioReason'> {
  try {
    const { io } = selectEngine('auto');
    return { io: io?.driver, ioReason: io?.reason ?? "Node's own sockets are used" };
  } catch (thrown) {
    return { io: undefined, ioReason: toError(thrown).message };
  }
}

interface Findings {
  readonly works: boolean;
  readonly hasAddon: boolean;
  readonly current: boolean | undefined;
  readonly toolchain: Toolchain;
  readonly variables: Readonly<Record<string, string | undefined>>;
}

function advise({ works, hasAddon, current, toolchain, variables }: Findings): string[] {
  const advice: string[] = [];
  const missing = missingTools(toolchain);
  const forbidden =
    process.execArgv.includes('--no-addons') ||
    /--no-addons\b/.test(variables['NODE_OPTIONS'] ?? '');
  if (!works && forbidden)
    advice.push('Node runs with --no-addons: leave it out to use the native engine.');
  // Not in the types of Node 20: undefined without the permission model.
  if (!works && (process as { permission?: unknown }).permission !== undefined) {
    advice.push('Node runs under the permission model: --allow-addons lets it load the addon.');
  }
  if (!works && !hasAddon) {
    if (missing.length > 0) advice.push(`To build the addon, install ${missing.join(', ')}.`);
    advice.push('Run "npx paipainet build" to build the addon.');
  }
  if (current === false) {
    advice.push('The addon may be older than its sources: run "npx paipainet build".');
  }
  return advice;
}

function show(diagnosis: Diagnosis, { print, paint, glyphs }: Terminal): void {
  const { native, toolchain } = diagnosis;
  const row = (title: string, text: string): void =>
    print(`  ${paint.dim(title.padEnd(10))}${text}`);
  print(paint.bold(`PaiPaiNet ${diagnosis.version}`));
  row('engine', `${paint.bold(diagnosis.engine ?? 'none')}: ${diagnosis.reason}`);
  const verdict = native.works ? paint.green('works') : paint.red('does not work');
  row('native', native.works ? verdict : `${verdict}: ${native.reason}`);
  for (const path of native.tried) row('', `${native.works ? 'loaded' : 'tried'} ${path}`);
  row(
    'io',
    diagnosis.io === undefined ? diagnosis.ioReason : `${diagnosis.io}: ${diagnosis.ioReason}`,
  );
  if (diagnosis.uring !== undefined && diagnosis.io === 'epoll') row('', diagnosis.uring.reason);
  row('crc32c', diagnosis.crc32c);
  row(
    'node',
    [diagnosis.node, `Node-API ${diagnosis.napi}`, diagnosis.platform].join(` ${glyphs.dot} `),
  );
  row('kernel', diagnosis.kernel);
  row('to build', '');
  const tools: readonly (readonly [string, string | undefined])[] = [
    ['python3', toolchain.python3],
    ['make', toolchain.make],
    ['compiler', toolchain.compiler],
    ['headers', toolchain.headers ?? 'not beside Node; node-gyp downloads them'],
  ];
  for (const [name, path] of tools) print(`    ${name.padEnd(10)}${path ?? paint.red('missing')}`);
  print();
  if (diagnosis.advice.length === 0) print(paint.green('Nothing is missing.'));
  for (const sentence of diagnosis.advice) print(sentence);
}
