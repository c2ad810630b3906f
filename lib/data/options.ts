/**
 * Schemas of the options of data sets.
 *
 * @module
 */
import type { Leaf, ListSchema } from '../support/schema.js';
import { leaf, list, string } from '../support/schema.js';

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
