import type { CallOptions } from '../native/jobs.js';
import type { Distribution, RandomizedReuse, Reuse } from '../model/options.js';
import type { TensorInfo } from '../network/compile.js';
import type { Reals } from '../support/reals.js';
import { expected } from '../support/schema.js';

/** A part of the parameters with a name, for layer-wise ratios and for messages. */
export type ParameterTensor = Pick<TensorInfo, 'name' | 'shape' | 'offset' | 'size' | 'maskable'>;

/** The step of a finite difference. */
export interface DifferenceQueries extends CallOptions {
  /** Smoothing parameter μ. */
  mu: number;
  /** Whether differences are central. */
  central: boolean;
  /** Of models alone: a black box has nothing to reuse. */
  reuse?: Reuse;
}

/** Differences along coordinates; `values` has one for each. */
export interface CoordinateQueries extends DifferenceQueries {
  /** Flat indices, distinct. */
  coordinates: Uint32Array;
}

/** Differences along random directions; `values` is their combination, a number for every parameter. */
export interface DirectionQueries extends DifferenceQueries {
  /** The number of directions. */
  queries: number;
  /** Entries of a direction. */
  distribution: Distribution;
  /** Whether each tensor's part has unit length. */
  perTensor: boolean;
  /** Determines the directions, together with `step`. */
  seed: number;
  /** Of models alone. */
  reuse?: RandomizedReuse;
}

/** Losses along random directions. */
export interface LineQueries extends CallOptions {
  /** The number of directions. */
  queries: number;
  /** Where along each of them, in multiples of the direction, negative ones included; distinct, none of them 0. */
  distances: readonly number[];
  /** Entries of a direction. */
  distribution: Distribution;
  /** Whether each tensor's part has unit length. */
  perTensor: boolean;
  /** Determines the directions, together with `step`. */
  seed: number;
}

/** The loss at a point. */
export interface MeasuredLoss {
  /** The loss. */
  loss: number;
  /** Loss evaluations that it took; absent where it is one. */
  queries?: number;
  /** Of networks: the outputs, a row for every image. */
  outputs?: Float32Array;
  /** Of networks: the running statistics after the pass. */
  statistics?: Float32Array;
}

/** The differences of an estimate, and the loss at the unperturbed point. */
export interface DifferenceResult extends MeasuredLoss {
  /** A number for each coordinate, or for each parameter. */
  values: Float64Array;
  /** Loss evaluations, including the unperturbed one and those that failed. */
  queries: number;
  /** Of black boxes and rollouts: queries without a loss, whose differences are left out or one-sided. */
  failed?: number;
  /** Where there is no difference at all: its place in `coordinates`, or the number of its direction. Absent where there are all. */
  missing?: Uint32Array;
  /** Of black boxes whose queries are repeated: the variance of each of `values`. */
  variances?: Float64Array;
}

/** A loss that a box answered, the mean of its answers where a query is repeated, and where it was asked for. */
export interface LossReading {
  /** The mean of the answers. */
  readonly loss: number;
  /** The variance of that mean; 0 where a query is not repeated. */
  readonly variance: number;
  /** The point, within bounds and rounded to the resolution; a new array. */
  point(): Float64Array;
}

/** Losses along random directions, and at the point where they cross. */
export interface LineResult {
  /** At the point where the lines cross. */
  readonly base: LossReading;
  /** Of every direction its readings, in the order of the distances; undefined where there is no answer. */
  readonly lines: readonly (readonly (LossReading | undefined)[])[];
  /** Loss evaluations, including the one at the base point and those that failed. */
  readonly queries: number;
  /** Queries without an answer. */
  readonly failed: number;
  /** Evaluations of each query. */
  readonly repeats: number;
}

/**
 * What estimators estimate over: parameters, and losses near them. A `Model` is an objective whose samples are mini-batches; so
 * is a `BlackBox`, whose samples are what its loss is asked with.
 *
 * All calls of a step use one sample, so that its losses differ by the parameters alone.
 */
export interface Objective {
  /** θ, live: float32 of a network, float64 of a black box. */
  readonly parameters: Reals;
  /** In the order of their offsets. */
  readonly tensors: readonly ParameterTensor[];
  /** Whether differences are changes of the loss, exact for any μ, instead of losses that are subtracted. */
  readonly carriesChanges?: boolean;
  /** The terms of CGE, equation (2): values[i] belongs to coordinates[i]. */
  coordinatewise(sample: unknown, options: CoordinateQueries): Promise<DifferenceResult>;
  /** RGE, equation (1). */
  randomized(sample: unknown, options: DirectionQueries): Promise<DifferenceResult>;
  /** The loss at a point. */
  lossAt(sample: unknown, at: Reals, options: CallOptions): Promise<MeasuredLoss>;
  /** Losses along random directions, each by itself: of objectives that subtract losses. A model has only their combination. */
  along?(sample: unknown, options: LineQueries): Promise<LineResult>;
  /** The gradient by back-propagation, if there is one. */
  gradient?(sample: unknown, options: CallOptions): Promise<MeasuredLoss & Pick<DifferenceResult, 'values'>>;
  /** Moves a point to the nearest one that is allowed, where there are bounds. */
  project?(point: Reals): void;
}

/** Refuses what is no objective. */
export function checkObjective(objective: Objective): void {
  const { parameters, tensors, coordinatewise } = Object(objective) as Partial<Objective>;
  if (parameters && tensors && typeof coordinatewise === 'function') return;
  throw expected('model', 'a Model', objective);
}
