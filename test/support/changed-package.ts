import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeFolder } from './folders.js';

/** One replacement in one built file, which has `from` once. */
export interface Change {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const root = fileURLToPath(new URL('../../', import.meta.url));

/** A copy of the built package with a change in it, for processes of its own; gone when the file of tests is through. Path of its command line. */
export function changedPackage({ file, from, to }: Change): string {
  const folder = makeFolder();
  cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true });
  for (const name of ['build', 'node_modules', 'package.json']) {
    symlinkSync(join(root, name), join(folder, name));
  }
  const path = join(folder, 'dist', file);
  const pieces = readFileSync(path, 'utf8').split(from);
  if (pieces.length !== 2) {
    throw new Error(`dist/${file} has ${pieces.length - 1} places of: ${from}`);
  }
  writeFileSync(path, pieces.join(to));
  return join(folder, 'dist/cli/main.js');
}
