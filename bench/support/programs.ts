import { type ChildProcess, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

/** Programs that are no part of this package: where they lie, and how they run beside a trial. */

/** Where Debian keeps those of PostgreSQL. */
const postgresVersions = '/usr/lib/postgresql';

/** The path of an installed program; undefined when it is not installed. */
function pathOf(name: string): string | undefined {
  const versions = existsSync(postgresVersions) ? readdirSync(postgresVersions) : [];
  const folders = [
    ...(process.env.PATH ?? '').split(delimiter),
    ...versions.map((version) => join(postgresVersions, version, 'bin')),
  ];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** Null, or that a program is not installed and what brings it on Debian. */
export function programObstacle(name: string, debianPackage: string): string | null {
  if (pathOf(name) !== undefined) return null;
  return `${name} is not installed; apt-get install ${debianPackage}`;
}

/** @throws when it is not installed. */
export function programPath(name: string): string {
  const path = pathOf(name);
  if (path === undefined) throw new Error(`${name} is not installed`);
  return path;
}

/** The user and group `nobody` of Linux. */
const ordinaryId = 65534;

/** A command as an ordinary user, where root would run it. */
export function asOrdinaryUser(file: string, args: readonly string[]): [string, ...string[]] {
  if (process.getuid?.() !== 0) return [file, ...args];
  const identity = [`--reuid=${ordinaryId}`, `--regid=${ordinaryId}`, '--clear-groups'];
  return ['setpriv', ...identity, file, ...args];
}

/** A folder that goes with this process, and belongs to whom `asOrdinaryUser` means. */
export function serverFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'paipainet-bench-'));
  if (process.getuid?.() === 0) chownSync(folder, ordinaryId, ordinaryId);
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts a server that goes with this process; resolves once it says `ready`. */
export function startServer(
  [file, ...args]: readonly [string, ...string[]],
  folder: string,
  ready: RegExp,
): Promise<ChildProcess> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    // Nothing of it is to be kept.
    process.on('exit', () => child.kill('SIGKILL'));
    let said = '';
    for (const output of [child.stdout, child.stderr]) {
      output.setEncoding('utf8').on('data', (text: string) => {
        said = (said + text).slice(-8192);
        if (ready.test(said)) resolve(child);
      });
    }
    child.on('error', reject);
    child.on('exit', () => reject(new Error(`${file} ended: ${said}`)));
  });
}
