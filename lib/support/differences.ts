/**
 * Differences of two JSON values, to compare the options of runs and of results.
 *
 * @module
 */
import { isObject } from './schema.js';
import { show } from './errors.js';

export interface Difference {
  /** Keys from the outermost value to the innermost: `optimizer.lr.peak`. */
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
  return saved === given ? [] : [{ path, saved: summarize(saved), given: summarize(given) }];
}

function isNested(value: unknown): value is Record<string, unknown> {
  return isObject(value) || Array.isArray(value);
}

function summarize(value: unknown): string {
  if (value === undefined) return 'nothing';
  return isNested(value) ? 'an object' : show(value);
}
