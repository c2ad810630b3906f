import * as v from 'valibot';

import { checkModel } from '../model/problem.js';
import { progressOptions } from '../native/jobs.js';
import { integer, parseOptions, seed } from '../support/schema.js';
import type { Batch } from '../data/dataset.js';
import type { Model } from '../model/model.js';
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
 * The options of a model's calls within an estimate.
 *
 * @throws InvalidArgumentError if the model is not a model or the context is invalid.
 */
export function callOptionsOf(model: Model, context: EstimateContext): CallOptions {
  checkModel(model);
  const { signal, onProgress, step } = parseOptions(contextOptions, context, 'estimate');
  return { signal, onProgress, step };
}

export interface GradientEstimate {
  /** Loss at the unperturbed parameters: the mean over the batch. */
  loss: number;
  /** The network's outputs there, `count` rows. */
  outputs: Float32Array;
  /** Running statistics after the unperturbed pass. */
  statistics: Float32Array;
  /** ĝ, as long as the parameters; 0 where it was not estimated. */
  gradient: Float32Array;
  /** Loss evaluations, including the unperturbed one. */
  queries: number;
}

/** Estimates the gradient of a mini-batch's loss from loss values. It holds no state; custom estimators must hold none either. */
export interface Estimator {
  /** Kind and options as JSON: a run resumes only with an equal config. */
  readonly config: object;
  /** The only optimizer that a run may use with this estimator; for estimators that yield a move instead of a gradient. */
  readonly optimizer?: Optimizer;
  /** Loss evaluations of every step, including the unperturbed one. */
  queriesPerStep(model: Model): number;
  /** The flat indices queried at a position, increasing: the run's mask, saved in its checkpoints. Absent without a mask. */
  coordinates?(model: Model, position: EstimatePosition): Uint32Array;
  /** The same estimator with about `queries` queries per step, evenly spaced among its queries, to predict the time of a step. */
  sample(queries: number): Estimator;
  /** ĝ at the model's parameters, with batch norm in training mode; the model does not change. */
  estimate(model: Model, batch: Batch, context: EstimateContext): Promise<GradientEstimate>;
}
