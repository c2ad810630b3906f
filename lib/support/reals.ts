/**
 * Arrays of numbers in single or in double precision.
 *
 * @module
 */

/** A Float32Array or a Float64Array: what both have. */
export interface Reals {
  readonly length: number;
  [index: number]: number;
  [Symbol.iterator](): IterableIterator<number>;
  set(values: ArrayLike<number>, offset?: number): void;
  slice(): Reals;
  subarray(begin?: number, end?: number): Reals;
  map(of: (value: number, index: number) => number): Reals;
  filter(test: (value: number, index: number) => boolean): Reals;
  every(test: (value: number, index: number) => boolean): boolean;
  some(test: (value: number, index: number) => boolean): boolean;
  findIndex(test: (value: number, index: number) => boolean): number;
  forEach(use: (value: number, index: number) => void): void;
  reduce<T>(add: (sum: T, value: number, index: number) => T, first: T): T;
}

/** Float32Array or Float64Array. */
export type RealsType = new (count: number) => Reals;

/** The type of arrays in the precision of a point. */
export function arrayType(point: Reals): RealsType {
  return point instanceof Float64Array ? Float64Array : Float32Array;
}
