import * as v from 'valibot';

import { boolean, fraction, integer, oneOf, parseOptions, queryCount, smoothing } from '../support/schema.js';
import { sampleClasses } from './class-samples.js';
import type { Dataset } from '../data/dataset.js';
import { progressOptions } from '../native/jobs.js';
import type { LayerRatios } from '../estimators/masks.js';
import type { Model } from '../model/model.js';
import { randomizedFrom } from '../model/model.js';
import { GRASP_QUERIES, MU, SAMPLES_PER_CLASS } from '../paper.js';
import { checkDataset } from '../model/problem.js';
import { checkScores, rankedRatios } from './ratios.js';

export const DIRECTIONS = ['shared', 'fresh'] as const;
export const RANKS = ['signed', 'magnitude'] as const;

export const zoGraspImportanceOptions = v.strictObject({
  ...progressOptions.entries,
  /** Random directions of each of the two gradient estimates, q, an integer from 1 to 2³¹ − 1; default: 192. */
  queries: v.optional(queryCount, GRASP_QUERIES),
  /** Smoothing parameter μ, > 0 in float32; default: 5e-3. */
  mu: v.optional(smoothing, MU),
  /** Images of each class that the loss is taken on, an integer >= 1; default: 25. */
  samplesPerClass: v.optional(integer(1), SAMPLES_PER_CLASS),
  /** Fixes images and directions; an integer >= 0, default: 0. */
  seed: v.optional(integer(), 0),
  /** Whether the two estimates use the same directions (`shared`) or others (`fresh`, the public code). Default: `shared`. */
  directions: v.optional(oneOf(DIRECTIONS), 'shared'),
  /** Leave out the highest scores (`signed`) or the smallest absolute ones (`magnitude`, the public code). Default: `signed`. */
  rank: v.optional(oneOf(RANKS), 'signed'),
  /** Scales each parameter tensor's part of a direction to unit length, as the public code does; default: false. */
  perTensor: v.optional(boolean, false),
});
export interface ZoGraspImportanceOptions extends v.InferInput<typeof zoGraspImportanceOptions> {}

export const zoGraspOptions = v.strictObject({
  ...zoGraspImportanceOptions.entries,
  /** Fraction of all convolution and linear weights to leave out, in [0, 1). */
  sparsity: fraction,
});
export interface ZoGraspOptions extends v.InferInput<typeof zoGraspOptions> {}

/**
 * ZO-GraSP, equation (3) of DeepZero (Chen et al., ICLR 2024): from forward passes alone, how many coordinates each layer
 * can do without.
 *
 *     Ŝ = −θ ⊙ [ĝ(θ + μ·ĝ(θ)) − ĝ(θ)] / μ
 *
 * ĝ is the RGE estimate of equation (1) with Gaussian directions, on `samplesPerClass` images of each class drawn without
 * augmentation, with batch norm in training mode. Ŝ stands for −θ ⊙ H∇ℓ, half the first-order change of ‖∇ℓ‖² when a weight
 * is removed. All convolution and linear weights are ranked together, exactly round((1 − sparsity)·N) of N are kept (of
 * equal scores the first), and each tensor's share of what is left out is its ratio. Only the ratios are used: `cge` draws
 * its coordinates to them at random. The model is not written.
 *
 * Where the public code departs from the paper, decided as follows:
 *
 * - `rank`. GraSP (Wang et al., ICLR 2020) removes the *highest* scores, the weights whose removal reduces the gradient's
 *   norm least or even raises it. The public code's pruning call takes |Ŝ| and removes the smallest, which also keeps the
 *   weights that GraSP removes first. Default: the signed score.
 * - `directions`. Equation (3) is a difference of two values of one function ĝ. The public code draws other directions for
 *   the second estimate, so the two differ by their independent noise even at the same point, and divided by μ that noise
 *   drowns what the difference is to measure. Default: the same directions.
 * - `perTensor`. Equation (1) has no normalisation; the public code scales each tensor's part of a direction to unit length,
 *   which weighs ĝ by 1/n in a tensor of n numbers and so favours small tensors. Default: directions as drawn.
 *
 * @param dataset Needs class labels.
 * @returns A ratio in [0, 1] for every maskable tensor by name. Weighted by size they average to `sparsity`, to half a weight.
 * @throws InvalidArgumentError if an option is out of range or unknown, a class has fewer images than asked for, or `mu` is
 *   so small that float32 cannot tell one score from another.
 * @example const ratios = await zoGrasp(model, trainSet, { sparsity: 0.9, seed: 1 });
 */
export async function zoGrasp(model: Model, dataset: Dataset, options: ZoGraspOptions): Promise<LayerRatios> {
  const { sparsity, ...rest } = parseOptions(zoGraspOptions, options, 'zoGrasp');
  return rankedRatios(model, await zoGraspImportance(model, dataset, rest), sparsity);
}

/**
 * What `zoGrasp` ranks weights by: −Ŝ, or |Ŝ| for `rank: 'magnitude'`, a number for every parameter, the highest to be kept.
 * With it `keptCoordinates` and `pruneWeights` keep the very weights that the score ranks highest.
 *
 * @throws InvalidArgumentError as `zoGrasp` does.
 * @example const importance = await zoGraspImportance(model, trainSet, { seed: 1 });
 */
export async function zoGraspImportance(
  model: Model,
  dataset: Dataset,
  options: ZoGraspImportanceOptions = {},
): Promise<Float64Array> {
  const parsed = parseOptions(zoGraspImportanceOptions, options, 'zoGraspImportance');
  const { queries, mu, samplesPerClass, seed, directions, rank, perTensor, signal, onProgress } = parsed;
  checkDataset(dataset, model);
  const batch = sampleClasses(dataset, samplesPerClass, seed);

  const estimate = async (at: Float32Array, part: 0 | 1): Promise<Float64Array> => {
    const index = directions === 'shared' ? 0 : part;
    const draw = { queries, distribution: 'gaussian', perTensor, seed } as const;
    const progress = (done: number, total: number): void => {
      onProgress?.(part * total + done, 2 * total);
    };
    const options = { mu, at, ...draw, signal, onProgress: progress };
    const { values } = await randomizedFrom(model, batch, options, { stream: 'pruning', index });
    return values;
  };
  const parameters = model.parameters.slice();
  const gradient = await estimate(parameters, 0);
  const moved = await estimate(
    parameters.map((value, i) => value + mu * gradient[i]!),
    1,
  );
  const scores = gradient.map((value, i) => (-parameters[i]! * (moved[i]! - value)) / mu);
  checkScores(scores, model, `mu = ${mu} is lost in float32, or all weights are 0`);
  return scores.map(rank === 'signed' ? (score) => -score : Math.abs);
}
