import * as v from 'valibot';

import { progressOptions } from '../native/jobs.js';
import { integer, parseOptions, seed } from '../support/schema.js';
import type { Objective } from '../objectives/objective.js';
import type { Reals } from '../support/reals.js';
import { checkObjective } from '../objectives/objective.js';
import type { CallOptions } from '../native/jobs.js';
import type { Optimizer } from '../optimizers/optimizers.js';

/** An estimate's position in a run. The random numbers of an estimator depend on nothing else. */
export interface EstimatePosition {
  /** The run's seed. */
  seed: number;
  /** Steps done before this one: 0 at the first. */
  step: number;
  /** Epochs done before this one: 0 in the first. */
  epoch: number;
}

const contextOptions = v.strictObject({
  ...progressOptions.entries,
  seed,
  step: integer(0, 2 ** 32 - 1),
  epoch: integer(0, 2 ** 32 - 1),
});

/** The position, an abort signal and a progress callback. */
export interface EstimateContext extends EstimatePosition, Omit<CallOptions, 'step'> {}

/**
 * The options of an objective's calls within an estimate.
 *
 * @throws InvalidArgumentError if the objective is none or the context is invalid.
 */
export function callOptionsOf(objective: Objective, context: EstimateContext): CallOptions {
  checkObjective(objective);
  const { signal, onProgress, step } = parseOptions(contextOptions, context, 'estimate');
  return { signal, onProgress, step };
}

/** An estimate, and what it took. */
export interface GradientEstimate {
  /** Loss at the unperturbed parameters: of a network the mean over the batch. */
  loss: number;
  /** Of a network, which requires them: the outputs there, `count` rows. */
  outputs?: Float32Array;
  /** Of a network, which requires them: running statistics after the unperturbed pass. */
  statistics?: Float32Array;
  /** ĝ, as long as the parameters and in their precision; 0 where it was not estimated. */
  gradient: Reals;
  /** Loss evaluations, including the unperturbed one, and of a black box each repeat. */
  queries: number;
  /** Of a black box and of rollouts: queries that have no loss. */
  failed?: number;
  /** Which coordinates, by their places in the mask, or directions were left out for that; `guided` leaves out the same. */
  missing?: Uint32Array;
  /** Of a black box whose queries are repeated: the variance of each of the gradient's entries. */
  variances?: Float64Array;
}

/** Estimates the gradient of an objective from loss values. It holds no state; custom estimators must hold none either. */
export interface Estimator {
  /** Kind and options as JSON: a run resumes only with an equal config. */
  readonly config: object;
  /** The only optimizer that a run may use with this estimator; for estimators that yield a move instead of a gradient. */
  readonly optimizer?: Optimizer;
  /** Loss evaluations of every step, including the unperturbed one. */
  queriesPerStep(objective: Objective): number;
  /** The flat indices queried at a position, increasing: the run's mask, saved in its checkpoints. Absent without a mask. */
  coordinates?(objective: Objective, position: EstimatePosition): Uint32Array;
  /** The same estimator with about `queries` queries per step, evenly spaced among its queries, to predict the time of a step. */
  sample(queries: number): Estimator;
  /**
   * ĝ at the objective's parameters; the objective does not change. The sample is that of a step: of a model a mini-batch, with
   * batch norm in training mode.
   */
  estimate(objective: Objective, sample: unknown, context: EstimateContext): Promise<GradientEstimate>;
}
