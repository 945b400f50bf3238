/** Charts as SVG, readable on a light page and on a dark one. */
import type { Spread } from './summary.js';

export interface BarChart {
  readonly title: string;
  readonly digits: number;
  readonly bars: readonly { readonly label: string; readonly spread: Spread }[];
}

export interface LineChart {
  readonly title: string;
  readonly xLabel: string;
  readonly lines: readonly {
    readonly label: string;
    readonly points: readonly { readonly x: number; readonly spread: Spread }[];
  }[];
}

/** Above it, bars of the smaller ones would hardly be seen. */
const linearRatioMax = 20;

const style = `
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 15px }
.quiet { fill: #59636e; font-size: 11px }
.grid { stroke: #d1d9e0 }
.whisker { stroke: #1f2328; stroke-width: 1.5 }
.c0 { fill: #0969da; stroke: #0969da } .c1 { fill: #bc4c00; stroke: #bc4c00 } .c2 { fill: #1a7f37; stroke: #1a7f37 }
.c3 { fill: #8250df; stroke: #8250df } .c4 { fill: #bf3989; stroke: #bf3989 } .c5 { fill: #9a6700; stroke: #9a6700 }
text[class] { stroke: none }
polyline[class] { fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .quiet { fill: #9198a1 } .grid { stroke: #3d444d } .whisker { stroke: #f0f6fc }
.c0 { fill: #4493f8; stroke: #4493f8 } .c1 { fill: #f0883e; stroke: #f0883e } .c2 { fill: #3fb950; stroke: #3fb950 }
.c3 { fill: #ab7df8; stroke: #ab7df8 } .c4 { fill: #db61a2; stroke: #db61a2 } .c5 { fill: #d29922; stroke: #d29922 }
}`;
const colourCount = 6;

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function text(x: number, y: number, content: string, attributes = ''): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${escaped(content)}</text>`;
}

function line(x1: number, y1: number, x2: number, y2: number, name: string): string {
  const [a, b, c, d] = [x1, y1, x2, y2].map((value) => value.toFixed(1));
  return `<line x1="${a}" y1="${b}" x2="${c}" y2="${d}" class="${name}"/>`;
}

function svg(width: number, height: number, title: string, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${escaped(title)}</title><style>${style}</style>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

/** Where values lie between `from` and `to`, and the values that deserve a line. */
interface Scale {
  readonly isLog: boolean;
  readonly ticks: readonly number[];
  at(value: number): number;
}

/** Whole decades around values above 0. */
function logScale(values: readonly number[], from: number, to: number): Scale {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))));
  return {
    isLog: true,
    ticks: Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i)),
    at: (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from),
  };
}

/** From 0 to a round number above all values. */
function linearScale(values: readonly number[], from: number, to: number): Scale {
  const most = Math.max(0, ...values) || 1;
  const step = niceStep(most / 4);
  const count = Math.ceil(most / step);
  return {
    isLog: false,
    ticks: Array.from({ length: count + 1 }, (_, i) => i * step),
    at: (value) => from + (Math.max(0, value) / (count * step)) * (to - from),
  };
}

/** The next of 1, 2 and 5 with zeros behind. */
function niceStep(atLeast: number): number {
  const decade = 10 ** Math.floor(Math.log10(atLeast));
  return decade * ([1, 2, 5].find((factor) => factor * decade >= atLeast) ?? 10);
}

function scaleFor(values: readonly number[], from: number, to: number): Scale {
  const least = Math.min(...values);
  const isLog = least > 0 && Math.max(...values) / least > linearRatioMax;
  return (isLog ? logScale : linearScale)(values, from, to);
}

function short(value: number): string {
  const units: [number, string][] = [
    [1e9, ' G'],
    [1e6, ' M'],
    [1e3, ' k'],
  ];
  const [size, name] = units.find(([least]) => value >= least) ?? [1, ''];
  return `${Number((value / size).toPrecision(4))}${name}`;
}

/** A bar from left to right for each, with a whisker from the lowest to the highest value. On a log scale where they differ much. */
export function barChart({ title, digits, bars }: BarChart): string {
  const [width, left, top, rowHeight] = [720, 110, 60, 34];
  const bottom = top + bars.length * rowHeight;
  const values = bars.flatMap(({ spread }) => [spread.min, spread.median, spread.max]);
  const scale = scaleFor(values, left, width - 120);
  const parts = [
    text(16, 26, title, 'class="title"'),
    text(
      16,
      44,
      scale.isLog ? 'logarithmic scale; lines: lowest to highest' : 'lines: lowest to highest',
      'class="quiet"',
    ),
    ...scale.ticks.flatMap((tick) => [
      line(scale.at(tick), top, scale.at(tick), bottom, 'grid'),
      text(scale.at(tick), bottom + 16, short(tick), 'class="quiet" text-anchor="middle"'),
    ]),
    ...bars.flatMap(({ label, spread }, i) => {
      const middle = top + (i + 0.5) * rowHeight;
      const end = scale.at(spread.median);
      return [
        text(left - 10, middle + 4, label, 'text-anchor="end"'),
        `<rect x="${left}" y="${middle - 10}" width="${Math.max(0, end - left).toFixed(1)}" height="20" class="c${i % colourCount}" fill-opacity="0.75"/>`,
        line(scale.at(spread.min), middle, scale.at(spread.max), middle, 'whisker'),
        line(scale.at(spread.min), middle - 5, scale.at(spread.min), middle + 5, 'whisker'),
        line(scale.at(spread.max), middle - 5, scale.at(spread.max), middle + 5, 'whisker'),
        text(scale.at(spread.max) + 8, middle + 4, spread.median.toFixed(digits)),
      ];
    }),
  ];
  return svg(width, bottom + 28, title, parts);
}

/** A line for each series over a logarithmic x, with a whisker at each point. */
export function lineChart({ title, xLabel, lines }: LineChart): string {
  const [width, height, left, top] = [720, 400, 70, 60];
  const [right, bottom] = [width - 120, height - 50];
  const points = lines.flatMap((each) => each.points);
  const xs = [...new Set(points.map(({ x }) => x))].sort((a, b) => a - b);
  const [first = 1, last = 10] = [xs[0], xs.at(-1)];
  const span = Math.log(last / first) || 1;
  const atX = (x: number): number => left + (Math.log(x / first) / span) * (right - left);
  const values = points.flatMap(({ spread }) => [spread.min, spread.median, spread.max]);
  const scale = scaleFor(values, bottom, top);
  const parts = [
    text(16, 26, title, 'class="title"'),
    text(16, 44, scale.isLog ? 'both axes logarithmic' : 'x logarithmic', 'class="quiet"'),
    ...scale.ticks.flatMap((tick) => [
      line(left, scale.at(tick), right, scale.at(tick), 'grid'),
      text(left - 8, scale.at(tick) + 4, short(tick), 'class="quiet" text-anchor="end"'),
    ]),
    ...xs.map((x) => text(atX(x), bottom + 18, short(x), 'class="quiet" text-anchor="middle"')),
    text((left + right) / 2, height - 12, xLabel, 'text-anchor="middle"'),
    ...lines.flatMap(({ label, points: own }, i) => {
      const colour = `c${i % colourCount}`;
      const places = own.map(({ x, spread }) => [atX(x), scale.at(spread.median)] as const);
      const path = places.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(' ');
      const [endX = right, endY = top] = places.at(-1) ?? [];
      return [
        `<polyline points="${path}" class="${colour}"/>`,
        ...own.map(({ x, spread }) =>
          line(atX(x), scale.at(spread.min), atX(x), scale.at(spread.max), 'whisker'),
        ),
        text(endX + 10, endY + 4, label, `class="${colour}"`),
      ];
    }),
  ];
  return svg(width, height, title, parts);
}
