import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageVersion } from './package-facts.js';

/** Where node-gyp leaves the addon. */
export function addonPath(root: string): string {
  return join(root, 'build', 'Release', 'paipainet.node');
}

function stampPath(root: string): string {
  return join(root, 'build', 'paipainet-stamp.json');
}

/** Hex of everything the addon is made of: the native sources and their list, `binding.gyp`, our version, the platform, Node's major version. */
export function addonFingerprint(root: string): string {
  const hash = createHash('sha256');
  const major = process.versions.node.split('.')[0];
  hash.update(`${packageVersion()} ${process.platform} ${process.arch} ${major}\0`);
  for (const path of sourcePaths(root)) {
    const bytes = readFileSync(join(root, path));
    // The length keeps two neighbours from trading bytes unseen.
    hash.update(`${path}\0${bytes.byteLength}\0`).update(bytes);
  }
  return hash.digest('hex');
}

function sourcePaths(root: string): string[] {
  const paths = existsSync(join(root, 'binding.gyp')) ? ['binding.gyp'] : [];
  const folders = existsSync(join(root, 'native')) ? ['native'] : [];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) folders.push(path);
      else if (entry.isFile()) paths.push(path);
    }
  }
  return paths.sort();
}

/** Whether the addon is there and was built from what `fingerprint` says. A stamp that cannot be read is no stamp. */
export function addonIsCurrent(root: string, fingerprint: string): boolean {
  if (!existsSync(addonPath(root))) return false;
  try {
    const stamp: unknown = JSON.parse(readFileSync(stampPath(root), 'utf8'));
    return (
      typeof stamp === 'object' &&
      stamp !== null &&
      'fingerprint' in stamp &&
      stamp.fingerprint === fingerprint
    );
  } catch {
    return false;
  }
}

export function writeAddonStamp(root: string, fingerprint: string): void {
  const path = stampPath(root);
  // Renamed into place: a reader sees the old stamp or the new one, never half of it.
  writeFileSync(`${path}.new`, `${JSON.stringify({ fingerprint, node: process.version })}\n`);
  renameSync(`${path}.new`, path);
}
