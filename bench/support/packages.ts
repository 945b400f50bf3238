import { createRequire } from 'node:module';
import { join } from 'node:path';

/** From where packages are looked for: the folder that the bench was started in, then this package. */
export const origins: readonly string[] = [join(process.cwd(), 'bench'), import.meta.url];

function isMissing(error: unknown, name: string): boolean {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === 'MODULE_NOT_FOUND' && String(message).includes(`'${name}'`);
}

/**
 * The module of an installed package, as `require` gives it. Its types are the caller's word: rivals are not dependencies, so a compiler
 * may not find theirs.
 * @throws what loading it throws; MODULE_NOT_FOUND when no origin has it.
 */
export function loadPackage<T>(name: string): T {
  for (const [i, origin] of origins.entries()) {
    try {
      return createRequire(origin)(name) as T;
    } catch (error) {
      if (i === origins.length - 1 || !isMissing(error, name)) throw error;
    }
  }
  throw new Error('there are origins');
}

/** Null when the package can be loaded, else what keeps it from that and what to do. */
export function packageObstacle(name: string, major: number): string | null {
  const install = `npm install --no-save ${name}@${major}`;
  try {
    loadPackage(name);
    return null;
  } catch (error) {
    if (isMissing(error, name)) return `it is not installed; ${install}`;
    return `${name} does not load (${(error as Error).message.split('\n')[0]}); ${install}`;
  }
}
