/**
 * What the command says. Human text goes to standard output; with `--json` it goes to standard error, and standard
 * output holds the one JSON object and nothing else.
 *
 * @module
 */
import { Help } from 'commander';

import { escaped, inline } from '../support/errors.js';
import { bar, fitting, textWidth } from './width.js';

/** Columns of help and paragraphs. */
export const WIDTH = 100;

/** How often a status is printed at most: rewritten in place on a terminal, and else, after a large or a small change. */
const SECONDS = { terminal: 0.05, large: 5, small: 30 };
/** Of a terminal that does not say, or says 0. */
const COLUMNS = 80;

/** What an output writes to, and what it can know of it. */
interface Place {
  readonly stream: Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The time in seconds. */
  readonly now: () => number;
}

export interface StatusOptions {
  /** A small change is rather worth seeing live; default: large. */
  readonly change?: 'large' | 'small';
  /** How much is done, from 0 to 1, for a bar on a terminal. */
  readonly fraction?: number;
}

export class Output {
  readonly #json: boolean;
  readonly #stream: Place['stream'];
  readonly #now: () => number;
  /** Whether the cursor can go back: not in files, and not in the logs of continuous integration, which keep every byte. */
  readonly #isTerminal: boolean;
  /** Columns of the status that is shown; 0 if there is none. */
  #shown = 0;
  #lastStatus = -Infinity;

  constructor(json: boolean, { stream, env = process.env, now = seconds }: Partial<Place> = {}) {
    this.#json = json;
    this.#stream = stream ?? (json ? process.stderr : process.stdout);
    this.#now = now;
    this.#isTerminal = this.#stream.isTTY && env['TERM'] !== 'dumb' && ['', '0', 'false'].includes(env['CI'] ?? '');
  }

  /** A line that stays. */
  line(text = ''): void {
    this.#stream.write(`${this.#erased()}${printable(text)}\n`);
    this.#lastStatus = this.#now();
  }

  /** The state of what is running: rewritten in place on a terminal, else a line every few seconds, and less often for a small change. */
  status(text: string, { change = 'large', fraction }: StatusOptions = {}): void {
    if (this.#now() - this.#lastStatus < SECONDS[this.#isTerminal ? 'terminal' : change]) return;
    this.#lastStatus = this.#now();
    const whole = printable(text);
    if (!this.#isTerminal) {
      this.#stream.write(`${whole}\n`);
      return;
    }
    const columns = this.#columns;
    const shown = fitting(fraction === undefined ? whole : bar(fraction, columns) + whole, columns - 1);
    // One write, which erases only what the new text does not cover: nothing flickers.
    this.#stream.write(`${this.#begin()}${shown}\x1b[J`);
    this.#shown = textWidth(shown);
  }

  clearStatus(): void {
    if (this.#shown > 0) this.#stream.write(this.#erased());
  }

  /** The command's result, for programs. */
  result(value: object): void {
    this.clearStatus();
    if (this.#json) process.stdout.write(`${JSON.stringify(value)}\n`);
  }

  get #columns(): number {
    return this.#stream.columns || COLUMNS;
  }

  /** Goes to where the status begins; a terminal that has become narrower has broken it into several rows. */
  #begin(): string {
    const above = Math.max(0, Math.ceil(this.#shown / this.#columns) - 1);
    return above > 0 ? `\x1b[${above}A\r` : '\r';
  }

  /** Erases the status. */
  #erased(): string {
    if (this.#shown === 0) return '';
    const erased = `${this.#begin()}\x1b[J`;
    this.#shown = 0;
    return erased;
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

function seconds(): number {
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
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => textWidth(row[column] ?? ''))));
  const aligned = (cell: string, column: number): string => {
    const space = ' '.repeat(widths[column]! - textWidth(cell));
    return column < words ? cell + space : space + cell;
  };
  return cells.map((row) => row.map(aligned).join('  ')).join('\n');
}
