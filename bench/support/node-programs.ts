import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './addresses.js';
import { startServer } from './programs.js';

const main = fileURLToPath(new URL('../../cli/main.js', import.meta.url));

/** A node that `paipainet node` runs, with its shards in files below `folder`. It goes with this process. */
export async function startNodeProgram(
  folder: string,
  id: string,
  options: readonly string[] = [],
): Promise<{ readonly address: string; readonly child: ChildProcess }> {
  const address = `tcp://127.0.0.1:${await freePort()}`;
  const own = ['--id', id, '--listen', address, '--store', `files:${join(folder, id)}`];
  const command = [process.execPath, main, 'node', ...own, ...options] as const;
  return { address, child: await startServer(command, folder, /listens on/) };
}
