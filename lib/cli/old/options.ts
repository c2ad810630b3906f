/**
 * Declarative option tables: parsing, validation, suggestions for misspelled names and the text of `--help` all
 * come from one table per command. Table keys are camelCase, `batchSize` is written `--batch-size`.
 *
 * @module
 */
import { parseArgs } from 'node:util';

import { didYouMean, expected, InvalidArgumentError, oneOf } from '../../support/check.js';
import { UNITS } from '../../native/memory.js';

/** One option; a `placeholder` of `undefined` makes it a flag. */
export interface Option<T> {
  readonly placeholder: string | undefined;
  /** A letter that stands for the name. */
  readonly short?: string;
  readonly help: string;
  readonly default?: T;
  /** Replaces the default on the embedded data set, so that a first run ends within minutes. */
  readonly demo?: T;
  /** The option this one belongs to, and the values of that option for which it means something. */
  readonly only?: Requirement;
  /** A list that every further occurrence adds to. */
  readonly repeatable?: true;
  parse(text: string, name: string): T;
}

export interface Requirement {
  readonly option: string;
  readonly values: readonly string[];
}

export type OptionTable = Readonly<Record<string, Option<unknown>>>;
/** The table that yields such values, and the values that a table yields. */
export type OptionsOf<V> = { readonly [K in keyof V]: Option<V[K]> };
export type Values<T extends OptionTable> = { [K in keyof T]: T[K] extends Option<infer V> ? V : never };

interface Spec<T> {
  readonly help: string;
  readonly default?: T;
  readonly demo?: T;
  readonly only?: Requirement;
}

/** An option with a default always has a value. */
type ValueOf<S, T> = S extends { default: T } ? T : T | undefined;

function option<T, S extends Spec<T>>(
  placeholder: string,
  spec: S,
  parse: (text: string, name: string) => T,
): Option<ValueOf<S, T>> {
  return { ...spec, placeholder, parse };
}

/** A number that passes one of the predicates of `check.ts`. */
export function number<S extends Spec<number>>(
  check: (value: unknown, what: string) => number,
  spec: S,
): Option<ValueOf<S, number>> {
  return option<number, S>('N', spec, (text, name) => {
    const value = text.trim() === '' ? NaN : Number(text);
    return check(Number.isNaN(value) ? text : value, name);
  });
}

/** A size in bytes: a number > 0 and a unit, upper or lower case; bytes without one. */
export function size<S extends Spec<number>>(spec: S): Option<ValueOf<S, number>> {
  return option<number, S>('SIZE', spec, (text, name) => {
    const [, digits, unit] = /^(\d+(?:\.\d*)?|\.\d+) ?([a-z]*)$/i.exec(text) ?? [];
    const factor = Object.entries(UNITS).find(([known]) => known.toLowerCase() === (unit || 'B').toLowerCase())?.[1];
    const value = Math.round(Number(digits) * (factor ?? NaN));
    if (!(value > 0 && value < Infinity)) {
      throw expected(name, `a number > 0 of ${Object.keys(UNITS).join(', ')}, such as 500MB`, text);
    }
    return value;
  });
}

export function choice<const T extends string, S extends Spec<T>>(
  choices: readonly T[],
  spec: S & Spec<T>,
): Option<ValueOf<S, T>> {
  return option<T, S>(choices.join('|'), spec, (text, name) => oneOf(text, name, choices));
}

export function text<S extends Spec<string>>(placeholder: string, spec: S): Option<ValueOf<S, string>> {
  return option<string, S>(placeholder, spec, (value, name) => {
    if (value === '') throw expected(name, 'a non-empty string', value);
    return value;
  });
}

/** Three numbers separated by commas, one per colour channel. */
export function triple<S extends Spec<readonly number[]>>(spec: S): Option<ValueOf<S, readonly number[]>> {
  return option<readonly number[], S>('R,G,B', spec, (text, name) => {
    const values = text.split(',').map((part) => (part.trim() === '' ? NaN : Number(part)));
    if (values.length !== 3 || !values.every(Number.isFinite)) throw expected(name, 'three numbers R,G,B', text);
    return values;
  });
}

/** Any number of what another option takes one of, separated by commas or in several occurrences. */
export function list<T, S extends Spec<readonly T[]>>(
  of: Option<T | undefined>,
  spec: S,
): Option<ValueOf<S, readonly T[]>> {
  const parse = (text: string, name: string): readonly T[] => text.split(',').map((part) => of.parse(part, name) as T);
  return { ...option<readonly T[], S>(`${of.placeholder ?? ''}[,…]`, spec, parse), repeatable: true };
}

/** A flag's text is empty on the command line, and its value in a run's config.json. */
export function flag(help: string, only?: Requirement): Option<boolean> {
  const parse = (text: string, name: string): boolean => oneOf(text || 'true', name, ['true', 'false']) === 'true';
  return { placeholder: undefined, help, default: false, parse, ...(only && { only }) };
}

/** `batchSize` → `--batch-size`. */
export function dashed(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** What was written on the command line: validated values of the options that were given, and the operands. */
export interface Given<T extends OptionTable> {
  readonly options: Partial<Values<T>>;
  readonly operands: readonly string[];
}

export function parse<T extends OptionTable>(table: T, args: readonly string[]): Given<T> {
  const keys = new Map(Object.keys(table).map((key) => [dashed(key).slice(2), key]));
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(
      [...keys].map(([name, key]) => {
        const { placeholder, short } = table[key]!;
        return [name, { type: placeholder === undefined ? 'boolean' : 'string', ...(short && { short }) }] as const;
      }),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const options: Record<string, unknown> = {};
  const operands: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value);
    if (token.kind !== 'option') continue;
    const key = keys.get(token.name);
    const known = key === undefined ? undefined : table[key];
    const written = token.rawName === `--${token.name}` || token.rawName === `-${known?.short ?? ''}`;
    if (key === undefined || known === undefined || !written) {
      throw unknown(args[token.index] ?? token.rawName, Object.keys(table).map(dashed));
    }
    const value = known.parse(valueOf(token, known), token.rawName);
    const before = known.repeatable ? (options[key] as unknown[] | undefined) : undefined;
    const all = before ? [...before, ...(value as unknown[])] : value;
    if (known.repeatable) refuseTwice(all as unknown[], token.rawName);
    options[key] = all;
  }
  return { options: options as Partial<Values<T>>, operands };
}

function refuseTwice(values: readonly unknown[], name: string): void {
  const again = values.find((value, i) => values.indexOf(value) < i);
  if (again !== undefined) throw expected(name, 'each value once', `${plain(again)} twice`);
}

/** A whole word after one dash is read as letters, so it is the argument as it was written that is named. */
function unknown(written: string, known: readonly string[]): InvalidArgumentError {
  const name = written.replace(/=.*/s, '');
  const word = name.replace(/^-+/, '');
  const hint = word.length > 1 ? didYouMean(`--${word}`, known) : '; --help lists them';
  return new InvalidArgumentError(`Unknown option ${name}${hint}`);
}

function valueOf(
  token: { rawName: string; value?: string | undefined; inlineValue?: boolean | undefined },
  known: Option<unknown>,
): string {
  if (known.placeholder === undefined) {
    if (token.value !== undefined) throw new InvalidArgumentError(`${token.rawName} takes no value`);
    return '';
  }
  if (token.value === undefined || (token.inlineValue !== true && token.value.startsWith('--'))) {
    throw new InvalidArgumentError(`Expected a value after ${token.rawName}: ${known.placeholder}`);
  }
  return token.value;
}

export function withDefaults<T extends OptionTable>(table: T, given: Partial<Values<T>>): Values<T> {
  const demo = (given['data'] ?? table['data']?.default) === 'synthetic';
  const values = Object.entries(table).map(([key, { default: standard, demo: onEmbedded }]) => {
    return [key, given[key] ?? (demo && onEmbedded !== undefined ? onEmbedded : standard)];
  });
  return Object.fromEntries(values) as Values<T>;
}

/** Refuses an option that means nothing beside the others. */
export function checkBelonging<T extends OptionTable>(table: T, given: Partial<Values<T>>, values: Values<T>): void {
  /** What is not met, by the option itself or by the one that it goes with. */
  const unmet = (key: string): Requirement | undefined => {
    const only = table[key]?.only;
    if (!only) return undefined;
    return unmet(only.option) ?? (only.values.includes(String(values[only.option])) ? undefined : only);
  };
  for (const key of Object.keys(given)) {
    const only = unmet(key);
    if (!only) continue;
    const value = values[only.option];
    const instead = value === undefined ? '' : `, not with ${String(value)}`;
    throw new InvalidArgumentError(
      `${dashed(key)} goes with ${dashed(only.option)} ${only.values.join(' or ')}${instead}`,
    );
  }
}

/** Columns of `--help`. */
export const WIDTH = 100;

/** The options' part of `--help`. */
export function optionsHelp(table: OptionTable): string {
  const rows = Object.entries(table).map(([key, known]) => ({
    left: `  ${dashed(key)}${known.short === undefined ? '' : `, -${known.short}`}${known.placeholder === undefined ? '' : ` ${known.placeholder}`}`,
    right: known.help + remarks(known),
  }));
  const indent = 30;
  return rows
    .map(({ left, right }) => {
      const lines = wrap(right, WIDTH - indent);
      const first = left.length < indent - 1 ? left.padEnd(indent) + (lines.shift() ?? '') : left;
      return [first, ...lines.map((line) => ' '.repeat(indent) + line)].join('\n');
    })
    .join('\n');
}

function remarks({ default: standard, demo, only }: Option<unknown>): string {
  const shown: string[] = [];
  if (only) shown.push(`with ${dashed(only.option)} ${only.values.join(' or ')}`);
  if (standard !== undefined && standard !== false) shown.push(`default ${plain(standard)}`);
  if (demo !== undefined) shown.push(`${plain(demo)} on synthetic data`);
  return shown.length === 0 ? '' : ` (${shown.join('; ')})`;
}

function plain(value: unknown): string {
  if (Array.isArray(value)) return value.map(plain).join(',');
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Values as they are written on a command line. */
export function written(values: object): string {
  return Object.entries(values)
    .map(([key, value]) => `${dashed(key)} ${plain(value)}`)
    .join(' ');
}

/** Breaks a text into lines at spaces. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
