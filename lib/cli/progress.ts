import { formatBytes } from './format.js';
import { gauge, type Terminal } from './terminal.js';

const gaugeWidth = 30;
/** A screen is redrawn at most so often; a file or pipe gets a line per quarter. */
const redrawEveryMs = 50;

export interface Progress {
  update(bytes: number, totalBytes: number): void;
  done(summary: string): void;
}

/** Shows how far one step has come, until `done`. */
export function makeProgress(label: string, terminal: Terminal): Progress {
  const { paint, glyphs, live } = terminal;
  const title = paint.bold(label.padEnd(8));
  let drawnMs = Number.NEGATIVE_INFINITY;
  let quarter = 0;
  return {
    update(bytes, totalBytes) {
      const share = totalBytes > 0 ? bytes / totalBytes : 0;
      const percent = `${Math.floor(share * 100)} %`.padStart(5);
      const amount = `${formatBytes(bytes)} of ${formatBytes(totalBytes)}`;
      if (live) {
        const nowMs = performance.now();
        if (nowMs - drawnMs < redrawEveryMs) return;
        drawnMs = nowMs;
        const line = `${title}  ${paint.cyan(gauge(share, gaugeWidth, glyphs))} ${percent}  ${amount}`;
        terminal.redraw(line);
      } else if (Math.floor(share * 4) > quarter) {
        quarter = Math.floor(share * 4);
        if (quarter < 4) terminal.print(`${title}  ${percent}  ${amount}`);
      }
    },
    done(summary) {
      const full = `${title}  ${paint.cyan(gauge(1, gaugeWidth, glyphs))} 100 %  ${summary}`;
      if (!live) {
        terminal.print(full);
        return;
      }
      terminal.redraw(full);
      terminal.print();
    },
  };
}
