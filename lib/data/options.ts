/**
 * Schemas of the options of data sets.
 *
 * @module
 */
import * as v from 'valibot';

import type { Leaf } from '../support/schema.js';
import { integer, leaf, string } from '../support/schema.js';

type ListSchema<T> = v.GenericSchema<T>;

/** A list that passes a test, of items of one schema. */
function list<T extends readonly unknown[]>(
  item: v.GenericSchema,
  constraint: string,
  test: (list: readonly unknown[]) => boolean = () => true,
): ListSchema<T> {
  const isList = v.custom<unknown[]>((value) => Array.isArray(value) && test(value), constraint);
  const schema = v.pipe(isList, v.array(item), v.metadata({ constraint, form: 'other' }));
  return schema as v.GenericSchema as ListSchema<T>;
}

/** Channels, rows and columns of an image. */
export type Shape = readonly [channels: number, height: number, width: number];

export const imageShape: ListSchema<Shape> = list(
  integer(1),
  '[channels, height, width]',
  ({ length }) => length === 3,
);

export const names: ListSchema<readonly string[]> = list(string, 'a list of names');

const between = (low: number, high: number): Leaf<number> =>
  leaf(
    'number',
    `a number from ${low} to ${high}, since pixels are scaled to 0 … 1 (divide statistics of pixels from 0 to 255 by 255)`,
    (value) => typeof value === 'number' && value >= low && value <= high,
  );

const MEAN = between(0, 1);
/** Wide bounds, within which all normalised values are finite. */
const STD = between(1e-6, 10);

type PerChannel = ListSchema<readonly number[]>;

/** Mean and standard deviation of each channel, of pixels scaled to 0 … 1. */
export function normalization(channels: number): { readonly mean: PerChannel; readonly std: PerChannel } {
  const perChannel = (item: Leaf<number>): PerChannel =>
    list(
      item,
      `a list of ${channels} finite numbers, one per channel`,
      (values) => values.length === channels && values.every(Number.isFinite),
    );
  return { mean: perChannel(MEAN), std: perChannel(STD) };
}
