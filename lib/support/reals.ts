/**
 * Arrays of numbers in single or in double precision.
 *
 * @module
 */

/** A Float32Array or a Float64Array: what both have. */
export interface Reals {
  /** Number of entries. */
  readonly length: number;
  [index: number]: number;
  /** The entries in order. */
  [Symbol.iterator](): IterableIterator<number>;
  /** Copies numbers into it, from `offset` on. */
  set(values: ArrayLike<number>, offset?: number): void;
  /** A copy. */
  slice(): Reals;
  /** A view of a part. */
  subarray(begin?: number, end?: number): Reals;
  /** New numbers, in the same precision. */
  map(of: (value: number, index: number) => number): Reals;
  /** The entries that pass, in the same precision. */
  filter(test: (value: number, index: number) => boolean): Reals;
  /** Whether all entries pass. */
  every(test: (value: number, index: number) => boolean): boolean;
  /** Whether an entry passes. */
  some(test: (value: number, index: number) => boolean): boolean;
  /** The first entry that passes, or −1. */
  findIndex(test: (value: number, index: number) => boolean): number;
  /** Calls a function with every entry. */
  forEach(use: (value: number, index: number) => void): void;
  /** Combines all entries. */
  reduce<T>(add: (sum: T, value: number, index: number) => T, first: T): T;
}

/** Float32Array or Float64Array. */
export type RealsType = new (count: number) => Reals;

/** The type of arrays in the precision of a point. */
export function arrayType(point: Reals): RealsType {
  return point instanceof Float64Array ? Float64Array : Float32Array;
}
