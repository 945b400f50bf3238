/** Where a command writes, and what may be written there. */
export interface Terminal {
  /** One line of results on standard output. */
  print(line?: string): void;
  /** One line about the work itself on standard error. */
  note(line: string): void;
  /** One line on standard output that replaces the one before; only where `live`. */
  redraw(line: string): void;
  /** Whether standard output is a screen, so that lines can be redrawn. */
  readonly live: boolean;
  readonly columns: number;
  readonly paint: Paint;
  readonly glyphs: Glyphs;
}

type Colour = (text: string) => string;

export interface Paint {
  readonly bold: Colour;
  readonly dim: Colour;
  readonly red: Colour;
  readonly green: Colour;
  readonly cyan: Colour;
}

/** Characters beyond ASCII, with plain ones where the locale has no UTF-8. */
export interface Glyphs {
  /** Parts of one cell, from an eighth to the whole; a single entry means whole cells only. */
  readonly cells: readonly string[];
  readonly rest: string;
  readonly dot: string;
  readonly sum: string;
  readonly ellipsis: string;
}

const unicode: Glyphs = {
  cells: ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'],
  rest: '░',
  dot: '·',
  sum: 'Σ ',
  ellipsis: '…',
};
const ascii: Glyphs = { cells: ['#'], rest: '.', dot: '-', sum: 'sum of ', ellipsis: '...' };

type Variables = Readonly<Record<string, string | undefined>>;

/** Colours only on a screen, and never where NO_COLOR is set (no-color.org). */
export function makePaint(stream: { isTTY?: boolean }, variables: Variables): Paint {
  const enabled =
    stream.isTTY === true && (variables['NO_COLOR'] ?? '') === '' && variables['TERM'] !== 'dumb';
  const colour = (open: number, close: number): Colour =>
    enabled ? (text) => `\x1b[${open}m${text}\x1b[${close}m` : (text) => text;
  return {
    bold: colour(1, 22),
    dim: colour(2, 22),
    red: colour(31, 39),
    green: colour(32, 39),
    cyan: colour(36, 39),
  };
}

/** The first of these variables that is set names the locale, as setlocale(3) has it. */
export function makeGlyphs(variables: Variables): Glyphs {
  const locale = variables['LC_ALL'] || variables['LC_CTYPE'] || variables['LANG'] || '';
  return /utf-?8/i.test(locale) ? unicode : ascii;
}

export function processTerminal(): Terminal {
  const { stdout, stderr, env } = process;
  return {
    print: (line = '') => void stdout.write(`${line}\n`),
    note: (line) => void stderr.write(`${line}\n`),
    redraw: (line) => void stdout.write(`\r${line}\x1b[K`),
    live: stdout.isTTY === true && env['TERM'] !== 'dumb',
    columns: stdout.isTTY === true ? Math.max(40, stdout.columns ?? 80) : 80,
    paint: makePaint(stdout, env),
    glyphs: makeGlyphs(env),
  };
}

/** A bar of `width` cells, filled for `share` (0 to 1) of them; anything above 0 shows. */
export function bar(share: number, width: number, glyphs: Glyphs): string {
  const { cells } = glyphs;
  const steps = width * cells.length;
  const clamped = Math.min(1, Math.max(0, Number.isFinite(share) ? share : 0));
  const filled = clamped === 0 ? 0 : Math.max(1, Math.round(clamped * steps));
  const whole = Math.floor(filled / cells.length);
  const part = filled % cells.length;
  const full = cells.at(-1) ?? '';
  return (full.repeat(whole) + (part === 0 ? '' : (cells[part - 1] ?? ''))).padEnd(width);
}

/** A bar whose empty cells show, for progress. */
export function gauge(share: number, width: number, glyphs: Glyphs): string {
  return bar(share, width, glyphs).trimEnd().padEnd(width, glyphs.rest);
}
