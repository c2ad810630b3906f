import * as v from 'valibot';

import { checkModel } from '../model/problem.js';
import { progressOptions } from '../native/jobs.js';
import { integer, parseOptions } from '../support/schema.js';
import type { Batch } from '../data/dataset.js';
import type { Model } from '../model/model.js';
import type { CallOptions } from '../native/jobs.js';
import type { Optimizer } from '../optimizers/optimizers.js';

/** Where in a run an estimate is made. What an estimator draws at random depends on nothing else. */
export interface EstimatePosition {
  /** The run's seed. */
  seed: number;
  /** Steps done before this one, 0 at the first. */
  step: number;
  /** Epochs done before this one, 0 at the first. */
  epoch: number;
}

const contextOptions = v.strictObject({
  ...progressOptions.entries,
  seed: integer(),
  step: integer(0, 2 ** 32 - 1),
  epoch: integer(0, 2 ** 32 - 1),
});

/** The position, and how the estimate reports its progress and is stopped. */
export interface EstimateContext extends EstimatePosition, Omit<CallOptions, 'step'> {}

/**
 * The part of a context that a call of the model takes.
 *
 * @throws InvalidArgumentError if the model or the context of an estimate is none.
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
  /** Running statistics as the unperturbed pass leaves them. */
  statistics: Float32Array;
  /** ĝ, as long as the parameters, 0 where it was not estimated. */
  gradient: Float32Array;
  /** Loss evaluations made, the unperturbed one included. */
  queries: number;
}

/** A way to estimate the gradient of a mini-batch's loss from loss values. It holds no state: make your own the same way. */
export interface Estimator {
  /** Kind and options as JSON: a run resumes only under an equal one. */
  readonly config: object;
  /** The one optimizer that moves as it means, where what it yields is not a gradient but a move: a run takes no other. */
  readonly optimizer?: Optimizer;
  /** Loss evaluations that every step makes, the unperturbed one included. */
  queriesPerStep(model: Model): number;
  /** The flat indices queried at a position, increasing, if the estimator has such: a run's mask, kept in its checkpoints. */
  coordinates?(model: Model, position: EstimatePosition): Uint32Array;
  /** The same with about as many queries per step, spread over its own, to foretell what a step takes. */
  sample(queries: number): Estimator;
  /** ĝ at the model's parameters, which are not written, with batch norm in training mode. */
  estimate(model: Model, batch: Batch, context: EstimateContext): Promise<GradientEstimate>;
}
