import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { codeNumbers, codeOfNumber } from '../../dist/base/codes.js';

const root = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');

/** `PAIPAI_ERROR(1, INVALID_ARGUMENT, "…")`, one per line. */
function codesOfTable(): [string, number][] {
  const entries = read('native/base/error_codes.def').matchAll(
    /^PAIPAI_ERROR\((\d+), ([A-Z_]+), "([^"]+)"\)$/gm,
  );
  return [...entries].map(([, number, name]) => [`PAIPAI_ERR_${name}`, Number(number)]);
}

/** `### CODE`, then `Number n. …`, then `**What to do:** …`, up to the next heading. */
function codesOfCatalogue(): [string, number][] {
  const sections = read('docs/ERRORS.md').split(/^#{2,3} /m);
  return sections
    .filter((section) => section.startsWith('PAIPAI_ERR_'))
    .map((section) => {
      const [, code = '', number, advice] =
        /^(\w+)\n+Number (\d+)\. .+?\n\*\*What to do:\*\* (.+)/s.exec(section) ?? [];
      expect(advice, `${section.split('\n')[0]} says what happened and what to do`).toBeTruthy();
      return [code, Number(number)];
    });
}

describe('the table of error codes', () => {
  const table = codesOfTable();

  test('is read whole', () => {
    const lines = read('native/base/error_codes.def').match(/^PAIPAI_ERROR/gm) ?? [];
    expect(table.length).toBe(lines.length);
    expect(table).toContainEqual(['PAIPAI_ERR_INVALID_ARGUMENT', 1]);
  });

  test('has every name and every number once', () => {
    expect(new Set(table.map(([code]) => code)).size).toBe(table.length);
    expect(new Set(table.map(([, number]) => number)).size).toBe(table.length);
  });

  test('has numbers that fit the wire and stay clear of 0, which is success', () => {
    for (const [code, number] of table) {
      expect(number, code).toBeGreaterThan(0);
      expect(number, code).toBeLessThan(10_000);
    }
  });

  test('is the one of lib/base/codes.ts', () => {
    expect(Object.entries(codeNumbers)).toEqual(table);
    for (const [code, number] of table) expect(codeOfNumber(number)).toBe(code);
    expect(codeOfNumber(0)).toBeUndefined();
  });

  test('is the one of docs/ERRORS.md', () => {
    expect(codesOfCatalogue()).toEqual(table);
  });
});
