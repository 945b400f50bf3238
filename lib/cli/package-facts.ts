import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The folder of the package: two above `dist/cli/`. */
export const packageRoot: string = fileURLToPath(new URL('../..', import.meta.url));

export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  // Our own manifest; `npm` refuses to publish one without a version.
  return (JSON.parse(text) as { version: string }).version;
}
