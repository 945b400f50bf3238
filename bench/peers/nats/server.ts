import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Subscribers that fall behind are told so by the bench's own pace, never by being cut off. */
const settings = 'listen: "127.0.0.1:-1"\nmax_payload: 8MB\nmax_pending: 1GB\n';
const program = 'nats-server';

/** Null, or why the broker cannot be started here. */
export function serverObstacle(): string | null {
  const { error } = spawnSync(program, ['--version']);
  return error === undefined ? null : `${program} is not installed; apt-get install ${program}`;
}

/** A broker of this process's own, on its CPUs and gone with it. */
export async function startServer(): Promise<{ readonly address: string; close(): void }> {
  const folder = mkdtempSync(join(tmpdir(), 'paipainet-nats-'));
  const file = join(folder, 'nats.conf');
  writeFileSync(file, settings);
  const child = spawn(program, ['-c', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  const close = (): void => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  };
  process.on('exit', close);
  for await (const line of createInterface({ input: child.stderr })) {
    const address = /client connections on (\S+)/.exec(line)?.[1];
    if (address === undefined) continue;
    // What else it says must not fill the pipe.
    child.stderr.resume();
    return { address, close };
  }
  throw new Error(`${program} ended before it listened`);
}
