import { type Column, tableLines } from './format.js';
import type { Terminal } from './terminal.js';

/** A table, two blanks from the margin. Cells are shown as they are: what comes from outside goes through `printable` first. */
export function printTable(
  { print, paint }: Terminal,
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): void {
  tableLines(columns, rows).forEach((line, index) => {
    print(`  ${index === 0 ? paint.dim(line) : line}`);
  });
}
