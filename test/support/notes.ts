import { readFileSync } from 'node:fs';

/** What handlers wrote into a file, in order of the text. */
export function linesOf(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n').filter(Boolean).sort();
  } catch {
    return []; // None has written yet.
  }
}
