import * as v from 'valibot';

import { boolean, fraction, integer, oneOf, parseOptions, queryCount, seed, smoothing } from '../support/schema.js';
import { sampleClasses } from './class-samples.js';
import type { Dataset } from '../data/dataset.js';
import type { Objective } from '../objectives/objective.js';
import { progressOptions } from '../native/jobs.js';
import type { Reals } from '../support/reals.js';
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
  /** Images of each class for the loss, or of the data set if it has no classes, an integer >= 1; default: 25. */
  samplesPerClass: v.optional(integer(1), SAMPLES_PER_CLASS),
  /** Determines images and directions; an integer from 0 to 2⁵³ − 1, default: 0. */
  seed: v.optional(seed, 0),
  /** Whether the two estimates use the same directions (`shared`) or different ones (`fresh`, the public code). Default: `shared`. */
  directions: v.optional(oneOf(DIRECTIONS), 'shared'),
  /** Whether to leave out the highest scores (`signed`) or the smallest absolute ones (`magnitude`, the public code). Default: `signed`. */
  rank: v.optional(oneOf(RANKS), 'signed'),
  /** Scales each parameter tensor's part of a direction to unit length, as the public code does; default: false. */
  perTensor: v.optional(boolean, false),
});
/** The options of `zoGraspImportance`. */
export interface ZoGraspImportanceOptions extends v.InferInput<typeof zoGraspImportanceOptions> {}

export const zoGraspOptions = v.strictObject({
  ...zoGraspImportanceOptions.entries,
  /** Fraction of all convolution and linear weights to leave out, in [0, 1). */
  sparsity: fraction,
});
/** The options of `zoGrasp`. */
export interface ZoGraspOptions extends v.InferInput<typeof zoGraspOptions> {}

/**
 * ZO-GraSP, equation (3) of DeepZero (Chen et al., ICLR 2024): the fraction of coordinates to leave out of each layer, from
 * forward passes alone.
 *
 *     Ŝ = −θ ⊙ [ĝ(θ + μ·ĝ(θ)) − ĝ(θ)] / μ
 *
 * ĝ is the RGE estimate of equation (1) with Gaussian directions, on `samplesPerClass` images of each class drawn without
 * augmentation, with batch norm in training mode. Ŝ estimates −θ ⊙ H∇ℓ, half the first-order change of ‖∇ℓ‖² when a weight
 * is removed. All N convolution and linear weights are ranked together, exactly round((1 − sparsity)·N) of them are kept (the
 * first among equal scores), and a tensor's ratio is the fraction of its weights that is left out. Only the ratios are used:
 * `cge` draws random coordinates according to them. The model does not change.
 *
 * The public code departs from the paper in three points:
 *
 * - `rank`. GraSP (Wang et al., ICLR 2020) removes the *highest* scores, the weights whose removal reduces the gradient's
 *   norm least or even raises it. The public code's pruning call uses |Ŝ| and removes the smallest, so it keeps the weights
 *   that GraSP removes first. Default: the signed score.
 * - `directions`. Equation (3) is a difference of two values of one function ĝ. The public code draws different directions for
 *   the second estimate. The two estimates then differ by independent noise even at the same point, and this noise, divided by
 *   μ, exceeds the difference by far. Default: the same directions.
 * - `perTensor`. Equation (1) has no normalisation. The public code scales each tensor's part of a direction to unit length,
 *   which multiplies ĝ by 1/n in a tensor of n numbers and so favours small tensors. Default: no scaling.
 *
 * @param dataset Images with class labels; of images without, all are of one class.
 * @returns A ratio in [0, 1] for every maskable tensor by name. Their mean weighted by size is `sparsity`, to within half a weight.
 * @throws InvalidArgumentError if an option is out of range or unknown, a class has fewer images than asked for, or `mu` is
 *   so small that all scores are 0 in float32.
 * @example const ratios = await zoGrasp(model, trainSet, { sparsity: 0.9, seed: 1 });
 */
export async function zoGrasp(model: Model, dataset: Dataset, options: ZoGraspOptions): Promise<LayerRatios> {
  const { sparsity, ...rest } = parseOptions(zoGraspOptions, options, 'zoGrasp');
  return rankedRatios(model, await zoGraspImportance(model, dataset, rest), sparsity);
}

/**
 * The importance by which `zoGrasp` ranks weights: −Ŝ, or |Ŝ| for `rank: 'magnitude'`, a number for every parameter; the
 * highest are kept. With it, `keptCoordinates` and `pruneWeights` keep the weights that the score ranks highest.
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
  checkDataset(dataset, model);
  const batch = sampleClasses(dataset, parsed.samplesPerClass, parsed.seed);
  const estimate: Estimate = async (at, index, _, draw) => {
    const from = { ...draw, at: at as Float32Array };
    return (await randomizedFrom(model, batch, from, { stream: 'pruning', index })).values;
  };
  return importanceOf(model, estimate, parsed);
}

type Parsed = Omit<v.InferOutput<typeof zoGraspImportanceOptions>, 'samplesPerClass'>;

/** One of the two RGE estimates, at a point, along the directions of an index. */
type Estimate = (
  at: Reals,
  index: number,
  part: 0 | 1,
  draw: Pick<Parsed, 'mu' | 'queries' | 'perTensor' | 'seed' | 'signal' | 'onProgress'> & { distribution: 'gaussian' },
) => Promise<Float64Array>;

/** Equation (3) from two estimates. */
export async function importanceOf(objective: Objective, estimate: Estimate, options: Parsed): Promise<Float64Array> {
  const { queries, mu, seed, directions, rank, perTensor, signal, onProgress } = options;
  const estimateAt = (at: Reals, part: 0 | 1): Promise<Float64Array> => {
    const draw = { queries, distribution: 'gaussian', perTensor, seed } as const;
    const progress = (done: number, total: number): void => {
      onProgress?.(part * total + done, 2 * total);
    };
    const index = directions === 'shared' ? 0 : part;
    return estimate(at, index, part, { mu, ...draw, signal, onProgress: progress });
  };
  const parameters = objective.parameters.slice();
  const gradient = await estimateAt(parameters, 0);
  const moved = await estimateAt(
    parameters.map((value, i) => value + mu * gradient[i]!),
    1,
  );
  const scores = gradient.map((value, i) => (-parameters[i]! * (moved[i]! - value)) / mu);
  const precision = parameters instanceof Float64Array ? 'float64' : 'float32';
  checkScores(scores, objective, `mu = ${mu} is lost in ${precision}, or all weights are 0`);
  return scores.map(rank === 'signed' ? (score) => -score : Math.abs);
}
