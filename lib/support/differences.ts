/**
 * Where two JSON values differ, for what is resumed or reused under equal options only.
 *
 * @module
 */
import { isObject } from './check.js';

export interface Difference {
  /** From the outermost value on: `optimizer.lr.peak`. */
  readonly path: string;
  readonly saved: string;
  readonly given: string;
}

/** The first place where two JSON values differ. */
export function firstDifference(saved: unknown, given: unknown, path = ''): Difference | undefined {
  if (isNested(saved) && isNested(given)) {
    for (const key of new Set([...Object.keys(saved), ...Object.keys(given)])) {
      const found = firstDifference(saved[key], given[key], path === '' ? key : `${path}.${key}`);
      if (found) return found;
    }
    return undefined;
  }
  return saved === given ? undefined : { path, saved: inWords(saved), given: inWords(given) };
}

function isNested(value: unknown): value is Record<string, unknown> {
  return isObject(value) || Array.isArray(value);
}

function inWords(value: unknown): string {
  if (value === undefined) return 'nothing';
  return isNested(value) ? 'an object' : JSON.stringify(value);
}
