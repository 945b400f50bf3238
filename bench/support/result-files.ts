import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { packageRoot } from './machine.js';

/** What is written of one result, in files of one name with endings of their own. */
export interface ResultTexts {
  readonly result: object;
  /** The page, which shows the file of this name as its chart. */
  markdown(chart: string): string;
  readonly chart: string;
}

/** In a clone beside the results that are kept there; from an installed package in the folder that the bench was started in. */
function resultFolder(): string {
  const isInstalled = packageRoot.split(/[\\/]/).includes('node_modules');
  return isInstalled ? join(process.cwd(), 'bench-results') : join(packageRoot, 'bench', 'results');
}

/** A name without ending; two invocations on one day do not overwrite each other. */
export function resultStem(name: string): string {
  const stem = join(resultFolder(), `${new Date().toISOString().slice(0, 10)}-${name}`);
  if (!existsSync(`${stem}.json`)) return stem;
  let n = 2;
  while (existsSync(`${stem}-${n}.json`)) n++;
  return `${stem}-${n}`;
}

/** Writes `stem` with `.json`, `.md` and `.svg`; their names. */
export function writeResult(stem: string, { result, markdown, chart }: ResultTexts): string[] {
  mkdirSync(dirname(stem), { recursive: true });
  const texts: [string, string][] = [
    [`${stem}.json`, `${JSON.stringify(result, null, 2)}\n`],
    [`${stem}.md`, markdown(`${basename(stem)}.svg`)],
    [`${stem}.svg`, chart],
  ];
  for (const [file, content] of texts) writeFileSync(file, content);
  return texts.map(([file]) => file);
}
