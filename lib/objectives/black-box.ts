import * as v from 'valibot';

import type { CallOptions } from '../native/jobs.js';
import type { Stream } from '../native/random.js';
import { digest } from '../support/digest.js';
import type { Reals } from '../support/reals.js';
import { expectedOption, fraction, integer, leaf, parseOptions } from '../support/schema.js';
import type { DirectionDraw } from './directions.js';
import { direction, MOST_DIRECTIONS } from './directions.js';
import { Exchange } from './exchange.js';
import { Journal } from './journal.js';
import type {
  CoordinateQueries,
  DifferenceResult,
  DirectionQueries,
  LineQueries,
  LineResult,
  LossReading,
  MeasuredLoss,
  Objective,
  ParameterTensor,
} from './objective.js';
import type { Outcomes } from './losses.js';
import { Losses } from './losses.js';
import type { Query } from './query.js';
import type { Bounds, PerParameter, StartPoint } from './space.js';
import { Space, startOf } from './space.js';

const perParameter = leaf<PerParameter>('other', 'a number or a number for every parameter', (value) => {
  return typeof value === 'number' || Array.isArray(value) || ArrayBuffer.isView(value);
});

export const blackBoxOptions = v.strictObject({
  /**
   * The least and the greatest value, `[low, high]`, each a number or a number for every parameter. Steps and perturbations stay
   * within: a step is moved to the nearest point that is allowed, a coordinate at its bound is perturbed to the other side.
   * Default: no bounds.
   */
  bounds: v.optional(leaf<Bounds>('other', '[low, high]', Array.isArray)),
  /**
   * The box takes multiples of this, a number >= 0 or one for every parameter; queries are rounded to them, and differences are
   * divided by the step that is left. The parameters themselves are not rounded. Default: 0, any number.
   */
  resolution: v.optional(perParameter, 0),
  /** Evaluations of each query, whose mean is used, an integer from 1 to 1000; default: 1. More than one yield variances. */
  repeats: v.optional(integer(1, 1000), 1),
  /** Further attempts at a query that failed, an integer from 0 to 1000; default: 2. */
  retries: v.optional(integer(0, 1000), 2),
  /** The fraction of a step's queries that may remain without an answer, in [0, 1); with more, the step is refused. Default: 0.5. */
  mayFail: v.optional(fraction, 0.5),
});
export interface BlackBoxOptions extends v.InferInput<typeof blackBoxOptions> {}

/** Too few answers for an estimate: the step is not made. */
export class RefusedStepError extends Error {
  /** Stable, for programs. */
  readonly code = 'DEEPZERO_REFUSED_STEP';
  /** The class. */
  override readonly name = 'RefusedStepError';
  /** Whether the box cannot take the point that the step starts from. */
  readonly isInfeasible: boolean;

  constructor(message: string, isInfeasible = false) {
    super(message);
    this.isInfeasible = isInfeasible;
  }
}

/** What a black box may cost, and where its answers are kept. */
export interface Limits {
  /** The most evaluations. */
  readonly evaluations: number;
  /** The journal's file, and the options of the run that answers depend on. */
  readonly journal?: { readonly file: string; readonly config: object } | undefined;
}

/** An estimate that is not that of a run's step: its point and its directions. */
interface Elsewhere {
  readonly at?: Reals;
  readonly stream?: Stream;
  readonly index?: number;
}

/**
 * An objective that only answers: losses at points, from anything that takes them from `exchange`. Computes in double precision.
 *
 * A query without an answer, after all attempts, is left out of the estimate: a coordinate's entry is 0, or with central
 * differences that of the side that did answer; of directions the others are averaged. No failure becomes a number.
 */
export class BlackBox implements Objective {
  /** The options that its answers depend on, and a digest of the start. */
  readonly config: object;
  readonly parameters: Float64Array;
  readonly tensors: readonly ParameterTensor[];
  readonly exchange: Exchange;
  readonly #journal: Journal | undefined;
  readonly #space: Space;
  readonly #repeats: number;
  readonly #mayFail: number;
  /** The last step that asked. */
  #step = 0;
  /** Single losses that a step asked for. */
  #trials = { step: -1, count: 0 };

  private constructor(
    config: object,
    { parameters, tensors }: ReturnType<typeof startOf>,
    space: Space,
    { repeats, retries, mayFail }: v.InferOutput<typeof blackBoxOptions>,
    limit: number,
    journal: Journal | undefined,
  ) {
    this.config = config;
    this.parameters = parameters;
    this.tensors = tensors;
    this.#space = space;
    this.#repeats = repeats;
    this.#mayFail = mayFail;
    this.#journal = journal;
    this.exchange = new Exchange({ retries, limit, journal });
  }

  /** @throws InvalidArgumentError if an option is out of range; FileError if the journal is of another run. */
  static async open(x0: StartPoint, options: BlackBoxOptions, { evaluations, journal }: Limits): Promise<BlackBox> {
    const start = startOf(x0);
    const parsed = parseOptions(blackBoxOptions, options, 'a black box');
    const { bounds = null, ...others } = parsed;
    const space = new Space(start.parameters.length, bounds ?? undefined, parsed.resolution);
    space.checkStart(start.parameters);
    const config = { x0: digest(start.parameters), bounds, ...others };
    const opened = journal && (await Journal.open(journal.file, { ...config, ...journal.config }));
    return new BlackBox(config, start, space, parsed, evaluations, opened);
  }

  /** The point that the box is asked at for given parameters. */
  seen(point: ArrayLike<number>): Float64Array {
    return Float64Array.from(point, (value, i) => this.#space.round(i, value));
  }

  project(point: Reals): void {
    this.#space.project(point);
  }

  /** Notes that a step, by default the last one that asked, ends the call: the same call later asks again for what failed in it. */
  refuse(step = this.#step): void {
    this.#journal?.refuse(step);
  }

  /** Closes the journal. */
  close(): void {
    this.exchange.close();
    this.#journal?.close();
  }

  async coordinatewise(sample: unknown, options: CoordinateQueries): Promise<DifferenceResult> {
    const { coordinates, mu, central, step = 0 } = options;
    const base = this.seen(this.parameters);
    const make = (id: string, changes: Query['changes'] & object): Query =>
      this.#query(id, base, { sample, step, changes });
    const queries = [this.#query(`${step}.b`, base, { sample, step })];
    const sides = Array.from(coordinates, (i) => {
      const at = base[i]!;
      const moves = [at + mu, at - mu]
        .map((wanted) => ({ wanted, value: this.#space.round(i, wanted) }))
        .filter(({ value }) => value !== at);
      if (moves.length === 0) {
        if (step === 0) throw tooFine(mu, i, at);
        throw new RefusedStepError(
          `parameter ${i} is ${at}, which mu = ${mu} does not move: lower the learning rate, or raise mu`,
        );
      }
      return (central ? moves : [nearest(moves)]).map(({ value }) => {
        queries.push(make(`${step}.c${i}${value > at ? '+' : '-'}`, [[i, value]]));
        return { place: queries.length - 1, value };
      });
    });
    const { readings, base: loss, failed } = await this.#measure(queries, options);
    const values = new Float64Array(coordinates.length);
    const variances = new Float64Array(coordinates.length);
    const missing: number[] = [];
    sides.forEach((own, k) => {
      const answered = own.flatMap(({ place, value }) => {
        const reading = readings[place];
        return reading ? [{ ...reading, value }] : [];
      });
      const [first, second = { ...loss, value: base[coordinates[k]!]! }] = answered;
      if (!first) {
        missing.push(k);
        return;
      }
      const distance = first.value - second.value;
      values[k] = (first.loss - second.loss) / distance;
      variances[k] = (first.variance + second.variance) / distance ** 2;
    });
    return differencesOf({ loss: loss.loss, values, variances, missing, failed, ...this.#counts(queries) });
  }

  async randomized(sample: unknown, options: DirectionQueries, elsewhere: Elsewhere = {}): Promise<DifferenceResult> {
    const { mu, central } = options;
    const lineQueries = { ...options, distances: central ? [mu, -mu] : [mu] };
    const { base, lines, ...counts } = await this.along(sample, lineQueries, elsewhere);
    const values = new Float64Array(this.parameters.length);
    const variances = new Float64Array(values.length);
    const missing: number[] = [];
    for (const [number, line] of lines.entries()) {
      const answered = line.filter((reading) => reading !== undefined);
      const [first, second = base] = answered;
      if (!first) {
        missing.push(number);
        continue;
      }
      const distance = answered.length * mu;
      const slope = (first.loss - second.loss) / distance;
      const variance = (first.variance + second.variance) / distance ** 2;
      const [to, from] = [first.point(), second.point()];
      // Bounds and resolution may shorten the move: what counts is the move that was made.
      for (let i = 0; i < values.length; i++) {
        const entry = (to[i]! - from[i]!) / distance;
        values[i]! += slope * entry;
        variances[i]! += variance * entry ** 2;
      }
    }
    const used = lines.length - missing.length;
    for (let i = 0; i < values.length; i++) {
      values[i]! /= used;
      variances[i]! /= used ** 2;
    }
    return differencesOf({ loss: base.loss, values, variances, missing, ...counts });
  }

  async along(sample: unknown, options: LineQueries, elsewhere: Elsewhere = {}): Promise<LineResult> {
    const { queries: count, distances, distribution, perTensor, seed, step = 0 } = options;
    if (count > MOST_DIRECTIONS) throw expectedOption('queries', `at most ${MOST_DIRECTIONS}`, String(count));
    const { at = this.parameters, stream = 'directions', index = step } = elsewhere;
    const rounded = !this.#space.isFree;
    const drawn: DirectionDraw = { seed, stream, index, distribution, perTensor };
    const base = this.seen(at);
    const queries = [this.#query(`${step}.b`, base, { sample, step })];
    for (let query = 0; query < count; query++) {
      for (const [place, mu] of distances.entries()) {
        const id = `${step}.d${query}${sideOf(distances, place)}`;
        queries.push(this.#query(id, base, { sample, step, direction: { ...drawn, query, mu, rounded } }));
      }
    }
    const { readings, base: first, failed } = await this.#measure(queries, options);
    const lines = Array.from({ length: count }, (_, query) =>
      distances.map((_, place) => readings[1 + query * distances.length + place]),
    );
    return { base: first, lines, failed, ...this.#counts(queries) };
  }

  async lossAt(sample: unknown, at: Reals, options: CallOptions): Promise<MeasuredLoss> {
    const { step = 0 } = options;
    if (this.#trials.step !== step) this.#trials = { step, count: 0 };
    // The first is the base point, as for every estimator.
    const trial = this.#trials.count++;
    const query = this.#query(trial === 0 ? `${step}.b` : `${step}.t${trial}`, this.seen(at), { sample, step });
    const { base } = await this.#measure([query], options);
    return { loss: base.loss, queries: this.#repeats };
  }

  #query(id: string, base: Float64Array, more: Omit<Query, 'id' | 'tensors' | 'base' | 'point'>): Query {
    const { changes, direction: along } = more;
    const point = (): Float64Array => {
      if (along) {
        const move = direction(this.tensors, along, along.query);
        return base.map((value, i) => this.#space.round(i, value + along.mu * move[i]!));
      }
      const whole = base.slice();
      for (const [i, value] of changes ?? []) whole[i] = value;
      return whole;
    };
    return { id, tensors: this.tensors, base, ...more, point };
  }

  /** The readings of queries, the first of which is at the base point. */
  async #measure(
    queries: readonly Query[],
    { signal, onProgress }: CallOptions,
  ): Promise<{ readings: readonly (LossReading | undefined)[]; base: LossReading; failed: number }> {
    signal?.throwIfAborted();
    const { id: first, step } = queries[0]!;
    this.#step = step;
    const repeats = this.#repeats;
    const asked = queries.flatMap((query) =>
      repeats === 1 ? [query] : Array.from({ length: repeats }, (_, r) => ({ ...query, id: `${query.id}.${r}` })),
    );
    const abort = (): void => {
      this.exchange.fail(signal!.reason);
    };
    signal?.addEventListener('abort', abort, { once: true });
    const losses = new Losses(queries, repeats, this.#mayFail);
    let outcomes: Outcomes;
    try {
      outcomes = await this.exchange.post(asked, {
        ...{ onProgress, urgent: repeats },
        isLost: (known, at) => losses.areLost(known, at),
      });
      signal?.throwIfAborted();
    } finally {
      signal?.removeEventListener('abort', abort);
      this.#journal?.sync();
    }
    const { problem, failed } = losses;
    if (problem !== undefined) throw new RefusedStepError(problem, losses.isInfeasible && first === `${step}.b`);
    const readings = queries.map((query, k) => readingOf(query, outcomes.slice(k * repeats, (k + 1) * repeats)));
    return { readings, base: readings[0]!, failed };
  }

  /** Evaluations of queries. */
  #counts({ length }: readonly Query[]): { queries: number; repeats: number } {
    return { queries: length * this.#repeats, repeats: this.#repeats };
  }
}

/** Differences, with their variances where queries are repeated, and what is missing. */
function differencesOf({
  repeats,
  variances,
  missing,
  ...rest
}: Omit<DifferenceResult, 'missing'> & {
  variances: Float64Array;
  missing: readonly number[];
  repeats: number;
}): DifferenceResult {
  return {
    ...rest,
    ...(repeats > 1 && { variances }),
    ...(missing.length > 0 && { missing: Uint32Array.from(missing) }),
  };
}

/** The move that comes nearest to the one that is wanted; of equals the first. */
function nearest<T extends { wanted: number; value: number }>(moves: readonly T[]): T {
  const [first, second = first] = moves as [T, T?];
  return Math.abs(second.value - second.wanted) < Math.abs(first.value - first.wanted) ? second : first;
}

/** A point on a line in a query's id: its side, and its number on that side unless it is the first. */
function sideOf(distances: readonly number[], at: number): string {
  const positive = distances[at]! > 0;
  const before = distances.slice(0, at).filter((distance) => distance > 0 === positive).length;
  return `${positive ? '+' : '-'}${before > 0 ? before : ''}`;
}

/** The mean of the answers, if there is one. */
function readingOf(query: Query, outcomes: Outcomes): LossReading | undefined {
  const losses = outcomes.flatMap((outcome) => (typeof outcome === 'number' ? [outcome] : []));
  if (losses.length === 0) return undefined;
  const loss = losses.reduce((sum, value) => sum + value, 0) / losses.length;
  const squares = losses.reduce((sum, value) => sum + (value - loss) ** 2, 0);
  const variance = losses.length === 1 ? 0 : squares / (losses.length - 1) / losses.length;
  return { loss, variance, point: () => query.point() };
}

function tooFine(mu: number, i: number, value: number): Error {
  return expectedOption('mu', `large enough to move parameter ${i} from ${value} by its resolution`, String(mu));
}
