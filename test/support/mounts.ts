import { spawnSync } from 'node:child_process';

/** Why there can be no file system of one's own here, for which it takes root and a mount namespace; undefined where there can. */
export function whyNoMount(): string | undefined {
  const { status, stderr, error } = spawnSync('unshare', ['-m', 'true'], { encoding: 'utf8' });
  if (status === 0) return undefined;
  return `no file system of one's own: ${(error?.message ?? stderr).trim()}`;
}
