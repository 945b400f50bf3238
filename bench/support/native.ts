import { spawnSync } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from './machine.js';

const sourceFolder: string = join(packageRoot, 'bench', 'native');
let chosenFolder: string | undefined;

/** Beside the sources; for as long as this process runs elsewhere, where an installed package may not be written to. */
function buildFolder(): string {
  chosenFolder ??= writableFolder(join(packageRoot, 'build-bench'));
  return chosenFolder;
}

function writableFolder(wanted: string): string {
  try {
    mkdirSync(wanted, { recursive: true });
    accessSync(wanted, constants.W_OK);
    return wanted;
  } catch {
    const folder = mkdtempSync(join(tmpdir(), 'paipainet-bench-native-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    return folder;
  }
}

/** Where `build` puts the program of `bench/native/NAME.c`. */
export function nativeProgram(name: string): string {
  return join(buildFolder(), name);
}

function isFresh(program: string): boolean {
  if (!existsSync(program)) return false;
  const builtMs = statSync(program).mtimeMs;
  const sources = readdirSync(sourceFolder).map((name) => join(sourceFolder, name));
  return sources.every((source) => statSync(source).mtimeMs < builtMs);
}

/** Compiles `bench/native/NAME.c` where a source is newer than its program; null, or why it cannot be had. */
export function buildNative(name: string): string | null {
  if (process.platform !== 'linux') return 'the C programs use epoll, which only Linux has';
  const program = nativeProgram(name);
  if (isFresh(program)) return null;
  const source = join(sourceFolder, `${name}.c`);
  const compiler = process.env.CC ?? 'cc';
  const flags = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Wno-unused-function'];
  const result = spawnSync(compiler, [...flags, '-o', program, source], { encoding: 'utf8' });
  if (result.error !== undefined) return `no C compiler: ${result.error.message}`;
  return result.status === 0 ? null : `${source} does not compile: ${result.stderr}`;
}
