import { readFileSync, statSync } from 'node:fs';

let known: string | null = null;

/**
 * The same in two processes that can share memory over an abstract Unix socket: the boot of the machine, the network namespace
 * and the user. Null where the system does not say; asked until it does, for it may only be out of descriptors.
 */
export function hostIdOf(): string | null {
  known ??= readHostId();
  return known;
}

function readHostId(): string | null {
  if (process.platform !== 'linux' || process.geteuid === undefined) return null;
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    const { dev, ino } = statSync('/proc/self/ns/net', { bigint: true });
    return `${boot} ${dev} ${ino} ${process.geteuid()}`;
  } catch {
    // No /proc, as in some sandboxes: the socket does as well.
    return null;
  }
}
