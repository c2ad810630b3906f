/**
 * What the programs print. Text goes to standard output; with `--json` it goes to standard error, and standard output holds
 * one JSON object and nothing else.
 *
 * @module
 */

/** The shortest time between two lines of status: rewritten in place on a terminal, else a line each. */
const SECONDS = { terminal: 0.05, file: 30 };
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
    this.#stream.write(`${text}\n`);
    this.#lastStatus = performance.now() / 1000;
  }

  /** The state of the computation in progress. */
  status(text: string): void {
    const terminal = this.#stream.isTTY;
    const now = performance.now() / 1000;
    if (now - this.#lastStatus < SECONDS[terminal ? 'terminal' : 'file']) return;
    this.#lastStatus = now;
    this.#stream.write(terminal ? `\r\x1b[K${text.slice(0, (this.#stream.columns || COLUMNS) - 1)}` : `${text}\n`);
    this.#statusShown = terminal;
  }

  clearStatus(): void {
    if (this.#statusShown) this.#stream.write('\r\x1b[K');
    this.#statusShown = false;
  }

  /** The result, for programs. */
  result(value: object): void {
    this.clearStatus();
    if (this.#json) process.stdout.write(`${JSON.stringify(value)}\n`);
  }
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

/** Seconds in the largest unit that leaves a whole number: `3 h`, `20 min`, `5 s`. */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 90 * 60 ? `${Math.round(seconds / 60)} min` : `${grouped(seconds / 3600)} h`;
}

/** Columns aligned: the first `words` to the left, the others, which are numbers, to the right. */
export function table(rows: readonly (readonly string[])[], words = 1): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row.map((cell, i) => (i < words ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '),
    )
    .join('\n');
}
