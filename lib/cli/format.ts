import { stripVTControlCharacters } from 'node:util';

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** `1.9 MiB`: three figures at most, whole bytes below 1 KiB. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // 1,023.5 and above would round to 1,024 of the unit below.
  while (value >= 1023.5 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `0.42 ms`, `38.1 ms`, `2.31 s`, `4 min 05 s`. */
export function formatTime(ms: number): string {
  if (!Number.isFinite(ms)) return '-';
  if (ms < 9.995) return `${ms.toFixed(2)} ms`;
  if (ms < 999.5) return `${ms.toFixed(1)} ms`;
  if (ms < 59_995) return `${(ms / 1000).toFixed(2)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}

/** `2,018,388`. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/**
 * A column of numbers with their points one below the other: as many places behind it as the longest needs, six at most. What is
 * too small or too large for that is written with an exponent.
 */
export function formatNumbers(values: readonly number[]): string[] {
  const isPlain = (value: number): boolean =>
    value === 0 || (Math.abs(value) >= 1e-4 && Math.abs(value) < 1e12);
  const places = values.filter(isPlain).reduce((most, value) => {
    const [, decimals = ''] = String(Number(value.toFixed(6))).split('.');
    return Math.max(most, decimals.length);
  }, 0);
  return values.map((value) => (isPlain(value) ? value.toFixed(places) : value.toExponential(5)));
}

/** A text from outside as one line, without what would steer the terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?');
}

/** What a table shows of a text from outside: one line without control characters, `width` characters at most. */
export function clip(text: string, width: number, ellipsis: string): string {
  const plain = printable(text);
  return plain.length <= width ? plain : plain.slice(0, width - ellipsis.length) + ellipsis;
}

export interface Column {
  readonly title: string;
  readonly align: 'left' | 'right';
}

export function left(title: string): Column {
  return { title, align: 'left' };
}

export function right(title: string): Column {
  return { title, align: 'right' };
}

/** Lines of a table, the title first; columns as wide as their longest cell, two spaces between. Cells may be coloured. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): string[] {
  const widths = columns.map((column, index) =>
    rows.reduce((width, row) => Math.max(width, widthOf(row[index] ?? '')), column.title.length),
  );
  const line = (cells: readonly string[]): string =>
    columns
      .map(({ align }, index) => {
        const cell = cells[index] ?? '';
        const blanks = ' '.repeat((widths[index] ?? 0) - widthOf(cell));
        return align === 'left' ? cell + blanks : blanks + cell;
      })
      .join('  ')
      .trimEnd();
  return [line(columns.map(({ title }) => title)), ...rows.map(line)];
}

/** Characters that a screen shows; one column each. */
function widthOf(cell: string): number {
  return stripVTControlCharacters(cell).length;
}
