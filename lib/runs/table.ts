/**
 * Numbers over the steps of a run, thinned as they come: a run of a million steps takes the memory of a few thousand.
 *
 * @module
 */

/** What a bucket of steps keeps of a column. */
export interface ColumnRows {
  /** Means of the values; null where a bucket has none. */
  readonly mean: readonly (number | null)[];
  /** Extremes of the values; absent from columns that do not keep them. */
  readonly min?: readonly (number | null)[];
  readonly max?: readonly (number | null)[];
}

class Column {
  readonly #sums: Float64Array;
  readonly #counts: Float64Array;
  readonly #extremes: { readonly min: Float64Array; readonly max: Float64Array } | undefined;

  constructor(capacity: number, extremes: boolean) {
    this.#sums = new Float64Array(capacity);
    this.#counts = new Float64Array(capacity);
    const filled = (value: number): Float64Array => new Float64Array(capacity).fill(value);
    this.#extremes = extremes ? { min: filled(Infinity), max: filled(-Infinity) } : undefined;
  }

  add(bucket: number, value: number): void {
    this.#sums[bucket]! += value;
    this.#counts[bucket]! += 1;
    if (!this.#extremes) return;
    const { min, max } = this.#extremes;
    min[bucket] = Math.min(min[bucket]!, value);
    max[bucket] = Math.max(max[bucket]!, value);
  }

  /** Makes one bucket of every two. */
  halve(): void {
    mergePairs(this.#sums, 0, (a, b) => a + b);
    mergePairs(this.#counts, 0, (a, b) => a + b);
    if (!this.#extremes) return;
    mergePairs(this.#extremes.min, Infinity, Math.min);
    mergePairs(this.#extremes.max, -Infinity, Math.max);
  }

  rows(from: number, to: number): ColumnRows {
    const where = (value: (bucket: number) => number): (number | null)[] =>
      Array.from({ length: to - from }, (_, i) => (this.#counts[from + i] ? short(value(from + i)) : null));
    const mean = where((bucket) => this.#sums[bucket]! / this.#counts[bucket]!);
    if (!this.#extremes) return { mean };
    const { min, max } = this.#extremes;
    return { mean, min: where((bucket) => min[bucket]!), max: where((bucket) => max[bucket]!) };
  }
}

function mergePairs(values: Float64Array, empty: number, merge: (a: number, b: number) => number): void {
  const half = values.length / 2;
  for (let i = 0; i < half; i++) values[i] = merge(values[2 * i]!, values[2 * i + 1]!);
  values.fill(empty, half);
}

/** Digits that a plot can show. */
const DIGITS = 7;

function short(value: number): number | null {
  return Number.isFinite(value) ? Number(value.toPrecision(DIGITS)) : null;
}

export interface TableOptions {
  /** The most buckets, a power of 2. */
  readonly capacity: number;
  /** The most columns; later ones are dropped. */
  readonly columns: number;
  /** Columns that keep their extremes beside their means; default: none. */
  readonly extremes?: readonly string[] | 'all';
}

/**
 * Columns of numbers over steps. A bucket covers `width` steps; where the steps outgrow the buckets, every two become one and
 * the width doubles, so that the memory is bounded and adding a value takes constant time on average.
 *
 * @example
 * const table = new Table({ capacity: 2048, columns: 16 });
 * table.add(0, { loss: 2.3 });
 * table.rows().columns['loss']; // { mean: [2.3] }
 */
export class Table {
  readonly #options: TableOptions;
  readonly #steps: Column;
  readonly #columns = new Map<string, Column>();
  #dropped = new Set<string>();
  #width = 1;
  #length = 0;

  constructor(options: TableOptions) {
    this.#options = options;
    this.#steps = new Column(options.capacity, false);
  }

  /** Steps that a bucket covers. */
  get width(): number {
    return this.#width;
  }

  /** Buckets up to the last that has a value. */
  get length(): number {
    return this.#length;
  }

  /** Columns that did not fit, of those that were counted. */
  get dropped(): number {
    return this.#dropped.size;
  }

  /** Adds the finite ones of a step's values. */
  add(step: number, values: Readonly<Record<string, number | undefined>>): void {
    const { capacity } = this.#options;
    while (step >= capacity * this.#width) this.#halve();
    const bucket = Math.floor(step / this.#width);
    this.#length = Math.max(this.#length, bucket + 1);
    this.#steps.add(bucket, step);
    for (const name of Object.keys(values)) {
      const value = values[name];
      if (value !== undefined && Number.isFinite(value)) this.#column(name)?.add(bucket, value);
    }
  }

  #column(name: string): Column | undefined {
    const found = this.#columns.get(name);
    if (found) return found;
    const { capacity, columns, extremes = [] } = this.#options;
    if (this.#columns.size >= columns) {
      if (this.#dropped.size < columns) this.#dropped.add(name);
      return undefined;
    }
    const made = new Column(capacity, extremes === 'all' || extremes.includes(name));
    this.#columns.set(name, made);
    return made;
  }

  #halve(): void {
    this.#steps.halve();
    for (const column of this.#columns.values()) column.halve();
    this.#width *= 2;
    this.#length = Math.ceil(this.#length / 2);
  }

  /** The buckets from one on. */
  rows(from = 0): {
    readonly step: readonly (number | null)[];
    readonly columns: Readonly<Record<string, ColumnRows>>;
  } {
    const rowsOf = (column: Column): ColumnRows => column.rows(from, this.#length);
    return {
      step: rowsOf(this.#steps).mean,
      columns: Object.fromEntries([...this.#columns].map(([name, column]) => [name, rowsOf(column)])),
    };
  }
}
