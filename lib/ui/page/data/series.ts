/**
 * Series of a run as a plot needs them: along steps, queries or time, and smoothed.
 *
 * @module
 */
import type { ColumnRows } from '../../../runs/table.js';
import type { TablePart } from '../../protocol.js';

export type Values = readonly (number | null)[];

/** What runs are plotted along. */
export type Axis = 'step' | 'queries' | 'time';

/** A table that has all its rows. */
export interface WholeTable {
  readonly width: number;
  readonly step: Values;
  readonly columns: Readonly<Record<string, ColumnRows>>;
  readonly dropped: number;
}

/** A table after a part of it has come. */
export function merged(known: WholeTable | undefined, part: TablePart): WholeTable {
  const { width, from, dropped } = part;
  const before = known?.width === width && from > 0 ? known : undefined;
  const join = (old: Values | undefined, added: Values): Values => [...padded(old ?? [], before ? from : 0), ...added];
  const joinAll = (old: ColumnRows | undefined, { mean, min, max }: ColumnRows): ColumnRows => ({
    mean: join(before && old?.mean, mean),
    ...(min && { min: join(before && old?.min, min) }),
    ...(max && { max: join(before && old?.max, max) }),
  });
  const columns = Object.entries(part.columns).map(
    ([name, rows]) => [name, joinAll(known?.columns[name], rows)] as const,
  );
  return { width, step: join(before?.step, part.step), columns: Object.fromEntries(columns), dropped };
}

/** So many of the first values; nulls where there are fewer. */
function padded(values: Values, length: number): Values {
  if (values.length >= length) return values.slice(0, length);
  return [...values, ...Array.from({ length: length - values.length }, () => null)];
}

/** Positions of a table's rows on an axis, ascending; nulls where a row has none. */
export function positions({ step, columns }: WholeTable, axis: Axis): Values {
  if (axis === 'step') return step;
  return columns[axis === 'queries' ? 'totalQueries' : 'time']?.mean ?? [];
}

/**
 * An exponential moving average over steps that begins at the first value; nulls stay where they are.
 *
 * @param weight Of the past against one step, from 0, which changes nothing, to below 1.
 * @param width Steps of which each value is the mean.
 */
export function smoothed(values: Values, weight: number, width: number): Values {
  if (weight === 0) return values;
  const past = weight ** width;
  let [sum, total] = [0, 0];
  return values.map((value) => {
    if (value === null) return null;
    sum = past * sum + (1 - past) * value;
    total = past * total + (1 - past);
    return sum / total;
  });
}

/** Values that a logarithmic scale can show. */
export function positive(values: Values): Values {
  return values.map((value) => (value !== null && value > 0 ? value : null));
}

/** The last value of a series, if it has one. */
export function lastOf(values: Values | undefined): number | undefined {
  return values?.findLast((value) => value !== null) ?? undefined;
}

/** Indices of at most `most` of `length` rows, evenly spaced, the first and the last among them. */
export function sampled(length: number, most: number): number[] {
  if (length <= most) return Array.from({ length }, (_, i) => i);
  return Array.from({ length: most }, (_, i) => Math.round((i * (length - 1)) / (most - 1)));
}

/** A sentence about a series, for those who do not see the plot; `extremes` are those of a thinned one. */
export function summaryOf(
  name: string,
  values: Values,
  format: (value: number) => string,
  extremes: readonly (Values | undefined)[] = [],
): string {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return `${name}: no values`;
  let [low, high] = [Infinity, -Infinity];
  for (const value of [known, ...extremes].flatMap((some) => some ?? [])) {
    if (value !== null) [low, high] = [Math.min(low, value), Math.max(high, value)];
  }
  return `${name}: from ${format(known[0]!)} to ${format(known.at(-1)!)}, lowest ${format(low)}, highest ${format(high)}`;
}
