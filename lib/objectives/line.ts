import type { Distribution } from '../model/options.js';
import type { BlackBox } from './black-box.js';
import { RefusedStepError } from './black-box.js';
import { direction } from './directions.js';
import { BudgetError } from './exchange.js';
import type { Bounds } from './space.js';
import { Space } from './space.js';

export interface LineOptions {
  readonly distribution: Distribution;
  readonly perTensor: boolean;
  readonly seed: number;
  readonly bounds: Bounds | undefined;
  /** What all losses share. */
  readonly sample: unknown;
  /** The longest distance from the start to ask at. */
  readonly reach: number;
  readonly repeats: number;
  readonly signal: AbortSignal | undefined;
}

/** Losses on a line, and in its middle. */
export interface LineLosses {
  readonly middle: number;
  /** Undefined where there is no answer. */
  readonly losses: readonly (number | undefined)[];
}

/**
 * The loss of a black box along one random direction u, at x + t·u. Distances t are in multiples of u. Near bounds the line is moved
 * away from them, no further than the points of a call need.
 */
export class Line {
  /** That of u. */
  readonly length: number;
  /** The largest t. */
  readonly reach: number;
  /** The smallest t that moves every parameter if u has an entry of 1 there: 16 units in the last place of the largest. */
  readonly shortest: number;
  /** A loss in the middle. */
  middle = NaN;
  readonly #box: BlackBox;
  readonly #options: LineOptions;
  readonly #start: Float64Array;
  readonly #direction: Float64Array;
  readonly #space: Space;
  /** Losses at the start itself. */
  readonly #atStart: number[] = [];
  #calls = 0;

  constructor(box: BlackBox, options: LineOptions) {
    const { distribution, perTensor, seed, bounds, reach } = options;
    const drawn = { distribution, perTensor, seed, stream: 'directions', index: 0 } as const;
    this.#box = box;
    this.#options = options;
    this.#start = box.parameters.slice();
    this.#direction = direction(box.tensors, drawn, 0);
    this.#space = new Space(this.#start.length, bounds, 0);
    this.length = Math.sqrt(this.#direction.reduce((sum, entry) => sum + entry ** 2, 0));
    this.reach = this.#direction.reduce(
      (least, entry, i) => Math.min(least, this.#space.room(i) / Math.abs(entry)),
      reach / this.length,
    );
    this.shortest = 2 ** -48 * this.#start.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  }

  /** Whether every loss at the start was the same; undefined where there was only one. */
  get isRepeatable(): boolean | undefined {
    const [first, ...others] = this.#atStart;
    return others.length === 0 ? undefined : others.every((loss) => loss === first);
  }

  /**
   * The losses at these distances and in the middle, by queries of a step of its own; undefined if the evaluations left do not suffice. Once there was a loss, all
   * may be missing.
   *
   * @throws RefusedStepError if there is no loss at all at the first call.
   */
  async at(distances: readonly number[]): Promise<LineLosses | undefined> {
    const { distribution, perTensor, seed, sample, repeats, signal } = this.#options;
    if (this.#box.exchange.left < repeats * (1 + distances.length)) return undefined;
    const farthest = distances.reduce((most, distance) => Math.max(most, Math.abs(distance)), 0);
    const at = this.#start.map((value, i) => this.#space.clip(i, value, farthest * Math.abs(this.#direction[i]!)));
    const step = this.#calls++;
    try {
      const queries = { queries: 1, distances, distribution, perTensor, seed, step, signal };
      const { base, lines } = await this.#box.along(sample, queries, { at, index: 0 });
      this.middle = base.loss;
      if (at.every((value, i) => value === this.#start[i])) this.#atStart.push(base.loss);
      return { middle: base.loss, losses: lines[0]!.map((reading) => reading?.loss) };
    } catch (error) {
      if (error instanceof BudgetError) return undefined;
      if (error instanceof RefusedStepError && !Number.isNaN(this.middle)) {
        return { middle: this.middle, losses: distances.map(() => undefined) };
      }
      throw error;
    }
  }
}
