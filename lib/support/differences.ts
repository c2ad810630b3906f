/**
 * Differences of two JSON values, for runs and results that depend on equal options.
 *
 * @module
 */
import { isObject } from './schema.js';
import { show } from './errors.js';

export interface Difference {
  /** From the outermost value on: `optimizer.lr.peak`. */
  readonly path: string;
  readonly saved: string;
  readonly given: string;
}

/** Every place where two JSON values differ. */
export function differences(saved: unknown, given: unknown, path = ''): Difference[] {
  if (isNested(saved) && isNested(given)) {
    const keys = new Set([...Object.keys(saved), ...Object.keys(given)]);
    return [...keys].flatMap((key) => differences(saved[key], given[key], path === '' ? key : `${path}.${key}`));
  }
  return saved === given ? [] : [{ path, saved: inWords(saved), given: inWords(given) }];
}

/** The first place where two JSON values differ. */
export function firstDifference(saved: unknown, given: unknown): Difference | undefined {
  return differences(saved, given)[0];
}

function isNested(value: unknown): value is Record<string, unknown> {
  return isObject(value) || Array.isArray(value);
}

function inWords(value: unknown): string {
  if (value === undefined) return 'nothing';
  return isNested(value) ? 'an object' : show(value);
}
