import { accessSync, constants, existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

type Variables = Readonly<Record<string, string | undefined>>;

/** What a build of the addon needs; each is a path, or undefined when it was not found. */
export interface Toolchain {
  readonly python3: string | undefined;
  readonly make: string | undefined;
  readonly compiler: string | undefined;
  /** The folder that holds `include/node`, beside Node itself. */
  readonly headers: string | undefined;
}

export function findToolchain(variables: Variables): Toolchain {
  const python = variables['npm_config_python'] ?? variables['PYTHON'];
  return {
    python3: findProgram([python, 'python3', 'python'], variables),
    make: findProgram([variables['MAKE'], 'make'], variables),
    // What gyp's makefiles call: $CXX, else g++ on Linux and c++ on macOS.
    compiler: findProgram([variables['CXX'], 'g++', 'c++'], variables),
    headers: variables['npm_config_nodedir'] ?? findHeaders(),
  };
}

/** The names for people of what is not there; without headers of its own node-gyp downloads them. */
export function missingTools(toolchain: Toolchain): string[] {
  const missing: string[] = [];
  if (toolchain.python3 === undefined) missing.push('python3');
  if (toolchain.make === undefined) missing.push('make');
  if (toolchain.compiler === undefined) missing.push('a C++ compiler (g++ or clang++)');
  return missing;
}

function findProgram(
  names: readonly (string | undefined)[],
  variables: Variables,
): string | undefined {
  const folders = (variables['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  for (const name of names) {
    // $CXX may carry flags or a wrapper: "ccache g++". The first word is the program.
    const program = name?.trim().split(/\s+/)[0];
    if (program === undefined || program === '') continue;
    const paths = program.includes('/')
      ? [program]
      : folders.map((folder) => join(folder, program));
    const found = paths.find(isExecutable);
    if (found !== undefined) return found;
  }
  return undefined;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Headers installed with Node stand beside its `bin`; those of another major version would build an addon that does not load. */
function findHeaders(): string | undefined {
  const folder = dirname(dirname(realpathSync(process.execPath)));
  const include = join(folder, 'include', 'node');
  if (!existsSync(join(include, 'node_api.h'))) return undefined;
  try {
    const version = readFileSync(join(include, 'node_version.h'), 'utf8');
    const major = /^#define NODE_MAJOR_VERSION (\d+)/m.exec(version)?.[1];
    return major === process.versions.node.split('.')[0] ? folder : undefined;
  } catch {
    return undefined;
  }
}
