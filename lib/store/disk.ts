import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

/** Writing that survives a loss of power: the content is synced before it gets its name, and the name before anybody is told. */

/** What is left of a write that did not come to its end bears this. */
export const temporaryEnding = '.tmp';

/** A name that no other writer in this folder has: there is one process, and it counts. */
let temporaryCount = 0;

/** The path of a new file with all of `parts`, on disk but still without its name. */
export async function writeTemporary(
  folder: string,
  parts: readonly Uint8Array[],
): Promise<string> {
  const path = join(folder, `${process.pid}-${++temporaryCount}${temporaryEnding}`);
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      for (const part of parts) await file.writeFile(part);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (thrown) {
    await rm(path, { force: true });
    throw thrown;
  }
  return path;
}

/** Writes the file whole, in the place of one of that name. */
export async function replaceFile(folder: string, name: string, content: string): Promise<void> {
  const path = await writeTemporary(folder, [Buffer.from(content)]);
  await rename(path, join(folder, name));
  await syncFolder(folder);
}

/** Makes the names in a folder as safe as the files. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Makes the folder and those above it, for this user only. */
export async function makeFolder(path: string): Promise<void> {
  const firstMade = await mkdir(path, { recursive: true, mode: 0o700 });
  if (firstMade === undefined) return;
  const top = dirname(resolve(firstMade));
  for (let folder = resolve(path); folder !== top; ) {
    folder = dirname(folder);
    await syncFolder(folder);
  }
}

/** Removes what writes that did not come to their end have left. */
export async function removeTemporaries(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.endsWith(temporaryEnding)) await rm(join(folder, name), { force: true });
  }
}
