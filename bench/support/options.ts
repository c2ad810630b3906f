/**
 * Options of the programs of `bench/` and `experiments/`, with their types and ranges. Keys are camelCase: `batchSize` is
 * written `--batch-size`.
 *
 * @module
 */
import { InvalidArgumentError } from 'deepzero';

/** One option; without a placeholder it is a flag. */
export interface Option<T> {
  readonly placeholder?: string;
  readonly help: string;
  /** Undefined where the option may be absent. */
  readonly default: T;
  parse(text: string, name: string): T;
  /** A list: every further occurrence adds to it. */
  readonly repeatable?: true;
}

export type Options = Readonly<Record<string, Option<unknown>>>;
export type Values<O extends Options> = { -readonly [K in keyof O]: O[K] extends Option<infer T> ? T : never };

/** A condition on a number; `constraint` ends the sentence `Expected --mu to be …`. */
export interface Range {
  readonly constraint: string;
  readonly test: (value: number) => boolean;
}

export const positive: Range = { constraint: 'a finite number > 0', test: (value) => value > 0 };
export const fraction: Range = { constraint: 'a number >= 0 and < 1', test: (value) => value >= 0 && value < 1 };

export function integer(low: number, high: number = Number.MAX_SAFE_INTEGER): Range {
  const range = high === Number.MAX_SAFE_INTEGER ? `>= ${low}` : `from ${low} to ${high}`;
  return {
    constraint: `an integer ${range}`,
    test: (value) => Number.isSafeInteger(value) && value >= low && value <= high,
  };
}

export function among(values: readonly number[]): Range {
  return { constraint: `one of ${values.join(', ')}`, test: (value) => values.includes(value) };
}

export function expected(name: string, constraint: string, received: unknown): InvalidArgumentError {
  return new InvalidArgumentError(`Expected ${name} to be ${constraint}, received ${JSON.stringify(received)}`);
}

export function number<D extends number | undefined>(
  help: string,
  { constraint, test }: Range,
  fallback: D,
): Option<number | D> {
  const parse = (text: string, name: string): number => {
    const value = text.trim() === '' ? NaN : Number(text);
    if (Number.isFinite(value) && test(value)) return value;
    throw expected(name, constraint, Number.isFinite(value) ? value : text);
  };
  return { placeholder: 'N', help, default: fallback, parse };
}

/** A size in bytes: a number > 0 and a unit; bytes without one. */
export function size(help: string): Option<number | undefined> {
  const units = { '': 1, B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30 };
  const parse = (text: string, name: string): number => {
    const [, digits, unit = ''] = /^(\d+(?:\.\d*)?|\.\d+) ?([a-z]*)$/i.exec(text) ?? [];
    const value = Math.round(Number(digits) * ((units as Record<string, number>)[unit.toUpperCase()] ?? NaN));
    if (value > 0 && value < Infinity) return value;
    throw expected(name, 'a number > 0 with B, KB, MB, GB, KiB, MiB or GiB, such as 500MB', text);
  };
  return { placeholder: 'SIZE', help, default: undefined, parse };
}

export function choice<const T extends string, D extends T | undefined>(
  help: string,
  choices: readonly T[],
  fallback: D,
): Option<T | D> {
  const parse = (text: string, name: string): T => {
    if (choices.includes(text as T)) return text as T;
    throw expected(name, `one of ${choices.join(', ')}`, text);
  };
  return { placeholder: choices.join('|'), help, default: fallback, parse };
}

export function text<D extends string | undefined>(placeholder: string, help: string, fallback: D): Option<string | D> {
  const parse = (value: string, name: string): string => {
    if (value !== '') return value;
    throw expected(name, 'a non-empty string', value);
  };
  return { placeholder, help, default: fallback, parse };
}

/** Values of another option, separated by commas or in several occurrences, each once. */
export function list<T extends string | number, D extends readonly T[] | undefined>(
  of: Option<T | undefined>,
  fallback: D,
): Option<readonly T[] | D> {
  const parse = (text: string, name: string): readonly T[] => text.split(',').map((part) => of.parse(part, name)!);
  return { placeholder: `${of.placeholder ?? ''}[,…]`, help: of.help, default: fallback, parse, repeatable: true };
}

export function flag(help: string): Option<boolean> {
  return { help, default: false, parse: () => true };
}

/** `batchSize` → `--batch-size` */
export function dashed(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Options as they are written on a command line. */
export function written(values: object): string {
  return Object.entries(values)
    .map(([key, value]) => `${dashed(key)} ${String(value)}`)
    .join(' ');
}
