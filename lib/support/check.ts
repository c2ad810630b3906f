/**
 * Must-be predicates: public functions validate what they are given with these, once. A message about one value reads
 * `Expected <what> to be <constraint>, received <value>`.
 *
 * @module
 */

import { didYouMean, FileError, InvalidArgumentError, nearest, quote, show } from './errors.js';
import * as schema from './schema.js';

export { didYouMean, FileError, InvalidArgumentError, nearest };

/** Builds the one message every check throws. */
export function expected(what: string, constraint: string, received: unknown): InvalidArgumentError {
  // The key of an option, which the error then names.
  if (/^[A-Za-z]\w*$/.test(what)) return schema.expectedOption(what, constraint, show(received));
  return schema.expected(what, constraint, received);
}

/** What a message calls an option, so that its default is known for what it is. */
export function unlessGiven(what: string, given: unknown, standard: unknown): string {
  return given === undefined ? `${what}, ${show(standard)} unless given,` : what;
}

/** A finite number that satisfies `test`, described by `constraint`. */
function number(value: unknown, what: string, constraint: string, test: (value: number) => boolean): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || !test(value)) throw expected(what, constraint, value);
  return value;
}

export function finite(value: unknown, what: string): number {
  return number(value, what, 'a finite number', () => true);
}

export function positive(value: unknown, what: string): number {
  return number(value, what, 'a finite number > 0', (v) => v > 0);
}

/** A smoothing parameter μ: a step in float32. */
export function smoothing(value: unknown, what: string): number {
  const step = Math.fround(positive(value, what));
  if (!(step > 0 && step < Infinity)) throw expected(what, 'a number that float32 can hold', value);
  return value as number;
}

export function nonNegative(value: unknown, what: string): number {
  return number(value, what, 'a finite number >= 0', (v) => v >= 0);
}

/** A number in [low, high). */
export function fraction(value: unknown, what: string, low = 0, high = 1): number {
  return number(value, what, `a number >= ${low} and < ${high}`, (v) => v >= low && v < high);
}

/** An integer in [low, high]. */
export function integer(value: unknown, what: string, low = 0, high: number = Number.MAX_SAFE_INTEGER): number {
  const unbounded = high === Number.MAX_SAFE_INTEGER && !(typeof value === 'number' && value > high);
  const range = unbounded ? `>= ${low}` : `from ${low} to ${high}`;
  return number(value, what, `an integer ${range}`, (v) => Number.isSafeInteger(v) && v >= low && v <= high);
}

/** How many queries an estimate makes; the native core counts them in 32 bits with a sign. */
export function queryCount(value: unknown, what: string): number {
  return integer(value, what, 1, 2 ** 31 - 1);
}

export function boolean(value: unknown, what: string): boolean {
  if (typeof value !== 'boolean') throw expected(what, 'true or false', value);
  return value;
}

export function string(value: unknown, what: string): string {
  if (typeof value !== 'string' || value === '') throw expected(what, 'a non-empty string', value);
  return value;
}

/** One of a closed list of strings. */
export function oneOf<const T extends string>(value: unknown, what: string, choices: readonly T[]): T {
  if (!choices.includes(value as T)) throw expected(what, `one of ${choices.join(', ')}`, value);
  return value as T;
}

export function callback(value: unknown, what: string): void {
  if (value !== undefined && typeof value !== 'function') throw expected(what, 'a function', value);
}

export function abortSignal(value: unknown, what: string): void {
  const { throwIfAborted, addEventListener } = Object(value ?? {}) as Partial<AbortSignal>;
  if (value !== undefined && !(typeof throwIfAborted === 'function' && typeof addEventListener === 'function')) {
    throw expected(what, 'an AbortSignal', value);
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function object(value: unknown, what: string): Record<string, unknown> {
  if (!isObject(value)) throw expected(what, 'an object', value);
  return value;
}

/** An object whose keys are all known: a misspelled option is refused with the nearest known one. */
export function options<T extends object>(value: unknown, what: string, known: readonly (keyof T & string)[]): T {
  for (const key of Object.keys(object(value, `the options of ${what}`))) {
    if (!(known as readonly string[]).includes(key)) {
      throw new InvalidArgumentError(`Unknown option ${quote(key)} in ${what}${didYouMean(key, known)}`);
    }
  }
  return value as T;
}
