/**
 * What the command says. Human text goes to standard output; with `--json` it goes to standard error, and standard
 * output holds the one JSON object and nothing else.
 *
 * @module
 */
import { Help } from 'commander';

import { escaped, inline } from '../support/errors.js';

/** Columns of help and paragraphs. */
export const WIDTH = 100;

/** How often a status is printed at most: rewritten in place on a terminal, and else, after a large or a small change. */
const SECONDS = { terminal: 0.05, large: 5, small: 30 };
/** Of a terminal that does not say, or says 0. */
const COLUMNS = 80;

export class Output {
  readonly #json: boolean;
  readonly #stream: NodeJS.WriteStream;
  #statusShown = false;
  #lastStatus = -Infinity;

  constructor(json: boolean) {
    this.#json = json;
    this.#stream = json ? process.stderr : process.stdout;
  }

  /** A line that stays. */
  line(text = ''): void {
    this.clearStatus();
    this.#stream.write(`${printable(text)}\n`);
    this.#lastStatus = now();
  }

  /**
   * The state of what is running: rewritten in place on a terminal, else a line every few seconds, and less often for a
   * small change that is rather worth seeing live.
   */
  status(text: string, change: 'large' | 'small' = 'large'): void {
    const terminal = this.#stream.isTTY;
    if (now() - this.#lastStatus < SECONDS[terminal ? 'terminal' : change]) return;
    this.#lastStatus = now();
    const shown = printable(text);
    this.#stream.write(terminal ? `\r\x1b[K${shown.slice(0, (this.#stream.columns || COLUMNS) - 1)}` : `${shown}\n`);
    this.#statusShown = terminal;
  }

  clearStatus(): void {
    if (this.#statusShown) this.#stream.write('\r\x1b[K');
    this.#statusShown = false;
  }

  /** The command's result, for programs. */
  result(value: object): void {
    this.clearStatus();
    if (this.#json) process.stdout.write(`${JSON.stringify(value)}\n`);
  }
}

/** Lines of at most `WIDTH` columns. */
export function wrap(text: string): string {
  return new Help().boxWrap(text, WIDTH);
}

/** Each line with its control characters escaped. */
function printable(text: string): string {
  return text.split('\n').map(escaped).join('\n');
}

function now(): number {
  return performance.now() / 1000;
}

/** 1,234,567 */
export function grouped(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** `1 step`, `1,234 steps` */
export function counted(count: number, what: string): string {
  return `${grouped(count)} ${what}${count === 1 ? '' : 's'}`;
}

/** 0.1234 → `12.3 %` */
export function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(1)} %`;
}

/** Columns aligned: the first `words` to the left, the others, which are numbers, to the right. */
export function table(rows: readonly (readonly string[])[], words = 1): string {
  const cells = rows.map((row) => row.map(inline));
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return cells
    .map((row) =>
      row.map((cell, i) => (i < words ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '),
    )
    .join('\n');
}
