import * as v from 'valibot';

import { fraction, integer, parseOptions, seed } from '../support/schema.js';
import { SAMPLES_PER_CLASS } from '../paper.js';
import { sampleClasses } from './class-samples.js';
import type { Dataset } from '../data/dataset.js';
import { progressOptions } from '../native/jobs.js';
import type { LayerRatios } from '../estimators/masks.js';
import type { Model } from '../model/model.js';
import { checkDataset } from '../model/problem.js';
import { checkScores, rankedRatios } from './ratios.js';

export const graspImportanceOptions = v.strictObject({
  ...progressOptions.entries,
  /** Images of each class for the loss, an integer >= 1; default: 25. */
  samplesPerClass: v.optional(integer(1), SAMPLES_PER_CLASS),
  /** Determines the images; an integer from 0 to 2⁵³ − 1, default: 0. */
  seed: v.optional(seed, 0),
});
/** The images for GraSP's scores. */
export interface GraspImportanceOptions extends v.InferInput<typeof graspImportanceOptions> {}

export const graspOptions = v.strictObject({
  ...graspImportanceOptions.entries,
  /** Fraction of all convolution and linear weights to leave out, in [0, 1). */
  sparsity: fraction,
});
/** The scores' options, and the fraction to leave out. */
export interface GraspOptions extends v.InferInput<typeof graspOptions> {}

/** ‖ε·g‖ / ‖θ‖. */
const RELATIVE_STEP = 3e-3;

/**
 * GraSP (Wang et al., ICLR 2020), the first-order criterion that ZO-GraSP estimates: the fraction of weights to leave out of
 * each layer.
 *
 *     S = −θ ⊙ H g,   g = ∇ℓ(θ),   H g ≈ [∇ℓ(θ + ε·g) − ∇ℓ(θ − ε·g)] / 2ε,   ‖ε·g‖ = 3e-3·‖θ‖.
 *
 * The gradients are back-propagated in double precision, on `samplesPerClass` images of each class drawn without augmentation,
 * with batch norm in training mode. It leaves out the weights with the highest S: their removal reduces the gradient's norm
 * least or even raises it. The ranking and the ratios are computed as by `zoGrasp`. The model does not change.
 *
 * Differences from the authors' public code: that code divides the network's outputs by a temperature of 200, draws the linear
 * layers' weights again, and computes gradient and Hessian on two halves of the images, for convolution and linear weights
 * alone. Here the loss and the parameters are those of training, and g includes batch norm and biases, as in equation (3) of
 * DeepZero. The authors' Hessian comes from automatic differentiation, for which a ReLU has no curvature; a difference also
 * includes the ReLUs that change their side within ±ε·g, as in ZO-GraSP. Therefore S depends on ε, and ε is so large that
 * enough ReLUs change their side for a stable mean.
 *
 * @param dataset Images with class labels; of images without, all are of one class.
 * @returns A ratio in [0, 1] for every maskable tensor by name. Their mean weighted by size is `sparsity`, to within half a weight.
 * @throws InvalidArgumentError if an option is out of range or unknown, a class has fewer images than asked for, or all scores
 *   are 0.
 * @example const ratios = await grasp(model, trainSet, { sparsity: 0.9, seed: 1 });
 */
export async function grasp(model: Model, dataset: Dataset, options: GraspOptions): Promise<LayerRatios> {
  const { sparsity, ...rest } = parseOptions(graspOptions, options, 'grasp');
  return rankedRatios(model, await graspImportance(model, dataset, rest), sparsity);
}

/**
 * The importance by which `grasp` ranks weights: −S = θ ⊙ H g, a number for every parameter; the highest are kept. With it,
 * `keptCoordinates` and `pruneWeights` keep the same weights as GraSP.
 *
 * @throws InvalidArgumentError as `grasp` does.
 * @example const importance = await graspImportance(model, trainSet, { seed: 1 });
 */
export async function graspImportance(
  model: Model,
  dataset: Dataset,
  options: GraspImportanceOptions = {},
): Promise<Float64Array> {
  const parsed = parseOptions(graspImportanceOptions, options, 'graspImportance');
  const { samplesPerClass, seed, signal, onProgress } = parsed;
  checkDataset(dataset, model);
  const batch = sampleClasses(dataset, samplesPerClass, seed);

  let part = 0;
  const gradientAt = async (at: Float32Array): Promise<Float64Array> => {
    const before = part++;
    const progress = (done: number, total: number): void => {
      onProgress?.(before * total + done, 3 * total);
    };
    const how = { precision: 'double', training: true, at, signal, onProgress: progress } as const;
    return (await model.gradient(batch, how)).values;
  };
  const theta = model.parameters.slice();
  const gradient = await gradientAt(theta);
  const step = (RELATIVE_STEP * norm(theta)) / norm(gradient);
  const flat = 'all weights or all gradients are 0';
  if (!(step > 0 && step < Infinity)) checkScores(new Float64Array(theta.length), model, flat);
  const ahead = await gradientAt(theta.map((value, i) => value + step * gradient[i]!));
  const behind = await gradientAt(theta.map((value, i) => value - step * gradient[i]!));
  const importance = ahead.map((value, i) => (theta[i]! * (value - behind[i]!)) / (2 * step));
  checkScores(importance, model, flat);
  return importance;
}

function norm(vector: Iterable<number>): number {
  let squares = 0;
  for (const value of vector) squares += value * value;
  return Math.sqrt(squares);
}
