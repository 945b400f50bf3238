import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the repository. */
export const root = fileURLToPath(new URL('../../', import.meta.url));

/** Ends the program with a message that says what to do. */
export function fail(message) {
  console.error(message);
  process.exit(1);
}

function isInstalled(command) {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined;
}

/** Clang 19, or another that is installed, as `{ cc, cxx }`. */
export function findClang() {
  for (const suffix of ['-19', '-20', '-18', '']) {
    if (isInstalled(`clang++${suffix}`)) return { cc: `clang${suffix}`, cxx: `clang++${suffix}` };
  }
  return fail('clang++ is missing: on Debian, apt-get install clang-19 libclang-rt-19-dev');
}

/**
 * Configures and builds CMakeLists.txt in `folder` below the root and returns its path. `compiler` is
 * that of the system unless given; `settings` are CMake's own, by name. One folder keeps its settings.
 */
export function buildCore({ folder, compiler, settings }) {
  if (!isInstalled('cmake')) fail('cmake is missing: on Debian, apt-get install cmake');
  const out = join(root, folder);
  const cmakeJs = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js');
  const parallel = String(availableParallelism());
  const options = [
    '--directory',
    root,
    '--out',
    out,
    '--parallel',
    parallel,
    '--log-level',
    'error',
  ];
  if (compiler) options.push('--cc', compiler.cc, '--cxx', compiler.cxx);
  for (const [name, value] of Object.entries(settings)) options.push(`--CD${name}=${value}`);
  // cmake-js wants Node's headers, although the core includes none. Where they lie beside Node itself
  // they need no download.
  const nodeFolder = dirname(dirname(process.execPath));
  const hasHeaders = existsSync(join(nodeFolder, 'include/node/node.h'));
  const env = { ...(hasHeaders && { npm_config_nodedir: nodeFolder }), ...process.env };
  for (const command of ['configure', 'build']) {
    const run = spawnSync(process.execPath, [cmakeJs, command, ...options], {
      stdio: 'inherit',
      env,
    });
    if (run.status !== 0) fail(`cmake-js ${command} failed in ${folder}`);
  }
  return out;
}
