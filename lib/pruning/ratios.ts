/**
 * Pruning at initialisation: layer-wise ratios, coordinates and pruned weights from an importance of every weight, and the two
 * criteria that need no loss.
 *
 * @module
 */
import * as v from 'valibot';

import { InvalidArgumentError } from '../support/errors.js';
import { checked, expected, fraction, leaf, parseOptions, seed } from '../support/schema.js';
import type { LayerRatios } from '../estimators/masks.js';
import { drawCoordinates, keptCounts } from '../estimators/masks.js';
import type { Model } from '../model/model.js';
import type { Objective, ParameterTensor } from '../objectives/objective.js';
import { checkObjective } from '../objectives/objective.js';
import { checkModel } from '../model/problem.js';
import { Random } from '../native/random.js';

/** A number for every parameter; the highest are kept. Those of batch norm and biases have no effect, since these are always kept. */
export type Importance = Float32Array | Float64Array;

/**
 * Layer-wise pruning ratios from a ranking of all N convolution and linear weights together: exactly round((1 − sparsity)·N) of
 * them are kept, the most important, the first among equals. A tensor's ratio is the fraction of its weights that is left out.
 *
 * @param importance As long as the parameters, from `graspImportance`, `zoGraspImportance` or custom; not NaN.
 * @param sparsity Fraction of all convolution and linear weights to leave out, in [0, 1).
 * @returns A ratio in [0, 1] for every maskable tensor by name. Their mean weighted by size is `sparsity`, to within half a weight.
 * @throws InvalidArgumentError if the importance has another length or holds NaN, or the sparsity is out of range.
 * @example rankedRatios(model, model.parameters.map(Math.abs), 0.9)
 */
export function rankedRatios(objective: Objective, importance: Importance, sparsity: number): LayerRatios {
  checkObjective(objective);
  checked(fraction, sparsity, 'sparsity');
  checkImportance(importance, objective);
  const tensors = maskable(objective);
  const coordinates = Uint32Array.from(tensors.flatMap((tensor) => [...coordinatesOf(tensor)]));
  const kept = mostImportant(coordinates, importance, Math.round((1 - sparsity) * coordinates.length));
  return Object.fromEntries(
    tensors.map(({ name, offset, size }) => {
      const count = kept.reduce((sum, flat) => sum + Number(flat >= offset && flat < offset + size), 0);
      return [name, 1 - count / size];
    }),
  );
}

export const keepOptions = v.strictObject({
  /** The most important coordinates of each tensor are kept, the first among equals; as long as the parameters. Default: a random choice. */
  importance: v.optional(
    leaf<Importance>(
      'other',
      'a Float32Array or Float64Array',
      (value) => value instanceof Float32Array || value instanceof Float64Array,
    ),
  ),
  /** Determines the random choice, without `importance`; an integer from 0 to 2⁵³ − 1, default: 0. */
  seed: v.optional(seed, 0),
});
/** The options of `keptCoordinates` and `pruneWeights`. */
export interface KeepOptions extends v.InferInput<typeof keepOptions> {}

/**
 * The coordinates that pruning to ratios keeps: the most important ones of each convolution and linear weight, or random ones,
 * and all of batch norm and biases. The random ones are the mask of `cge` and `firstOrder` in the first epoch of a run with the
 * same seed. With the importance behind `rankedRatios`, the most important ones are the weights that it ranked highest.
 *
 * @param ratios The same ratio in [0, 1) for every maskable tensor, or a ratio in [0, 1] for each by name.
 * @returns Flat indices into the parameters, increasing.
 * @throws InvalidArgumentError if an option is out of range or unknown, both `importance` and `seed` are given, or the ratios
 *   do not name the model's tensors.
 * @example
 * const importance = await graspImportance(model, trainSet);
 * const kept = keptCoordinates(model, rankedRatios(model, importance, 0.9), { importance });
 */
export function keptCoordinates(model: Model, ratios: number | LayerRatios, options: KeepOptions = {}): Uint32Array {
  const { importance, seed } = parseOptions(keepOptions, options, 'keptCoordinates');
  checkModel(model);
  const { parameters } = model.compiled;
  if (importance === undefined) {
    return drawCoordinates(parameters, ratios, new Random(seed, 'mask'));
  }
  if (options.seed !== undefined) throw new InvalidArgumentError('Expected either importance or seed, received both');
  checkImportance(importance, model);
  const counts = keptCounts(parameters, ratios);
  return Uint32Array.from(
    parameters.flatMap((tensor, i) => [...mostImportant(coordinatesOf(tensor), importance, counts[i]!)]),
  );
}

/**
 * Prunes a model for training with *sparse weights*: sets to 0, in place, all parameters that `keptCoordinates` does not keep.
 *
 * When `firstOrder` or `cge` trains the returned `coordinates`, the others stay exactly 0 under `sgd` and `adam` with any
 * momentum and weight decay, if the optimizer's state starts at 0 as in `train`: their gradient, weight decay, velocity and
 * update are 0.
 *
 * @returns The kept coordinates: flat indices into the parameters, increasing, including batch norm and biases.
 * @throws InvalidArgumentError as `keptCoordinates` does; the model is then unchanged.
 * @example
 * const ratios = await grasp(model, trainSet, { sparsity: 0.9 });
 * const estimator = firstOrder({ coordinates: pruneWeights(model, ratios, { seed: 1 }) });
 */
export function pruneWeights(model: Model, ratios: number | LayerRatios, options: KeepOptions = {}): Uint32Array {
  const kept = keptCoordinates(model, ratios, options);
  const pruned = new Float32Array(model.parameterCount);
  for (const flat of kept) pruned[flat] = model.parameters[flat]!;
  model.parameters.set(pruned);
  return kept;
}

export const randomPruningOptions = v.strictObject({
  /** Fraction of all convolution and linear weights to leave out, in [0, 1). */
  sparsity: fraction,
  /** Determines the choice; an integer from 0 to 2⁵³ − 1, default: 0. */
  seed: v.optional(seed, 0),
});
/** The options of `randomPruning`. */
export interface RandomPruningOptions extends v.InferInput<typeof randomPruningOptions> {}

/**
 * Random pruning, the baseline without a criterion: the ratios of a random choice of round((1 − sparsity)·N) of all N
 * convolution and linear weights, so about `sparsity` in every tensor. `pruneWeights` or an estimator's mask then draws the
 * weights to keep from the ratios.
 *
 * @throws InvalidArgumentError if an option is out of range or unknown.
 * @example randomPruning(model, { sparsity: 0.9, seed: 1 })
 */
export function randomPruning(model: Model, options: RandomPruningOptions): LayerRatios {
  const { sparsity, seed } = parseOptions(randomPruningOptions, options, 'randomPruning');
  checkModel(model);
  const random = new Random(seed, 'importance');
  return rankedRatios(
    model,
    Float64Array.from(model.parameters, () => random.uniform()),
    sparsity,
  );
}

export const magnitudePruningOptions = v.strictObject({
  /** Fraction of all convolution and linear weights to leave out, in [0, 1). */
  sparsity: fraction,
});
/** The options of `magnitudePruning`. */
export interface MagnitudePruningOptions extends v.InferInput<typeof magnitudePruningOptions> {}

/**
 * Magnitude pruning at initialisation: the ratios that leave out the smallest |θ| of all convolution and linear weights
 * together (global magnitude pruning; Han et al., NeurIPS 2015, prune trained networks by it). Layers with many
 * inputs lose most, since their initial weights have a small variance.
 *
 * @throws InvalidArgumentError if an option is out of range or unknown.
 * @example magnitudePruning(model, { sparsity: 0.9 })
 */
export function magnitudePruning(model: Model, options: MagnitudePruningOptions): LayerRatios {
  const { sparsity } = parseOptions(magnitudePruningOptions, options, 'magnitudePruning');
  checkModel(model);
  return rankedRatios(model, model.parameters.map(Math.abs), sparsity);
}

/** Refuses scores that are all 0; `why` names the possible causes. */
export function checkScores(scores: Importance, objective: Objective, why: string): void {
  const still = ({ offset, size }: ParameterTensor): boolean =>
    scores.subarray(offset, offset + size).every((score) => score === 0);
  if (!maskable(objective).every(still)) return;
  throw new InvalidArgumentError(`Expected scores that differ, received 0 for every weight: ${why}`);
}

function checkImportance(importance: unknown, { parameters }: Objective): void {
  const array = importance instanceof Float32Array || importance instanceof Float64Array;
  if (!array || importance.length !== parameters.length) {
    const constraint = `a Float32Array or Float64Array of ${parameters.length}, a number for every parameter`;
    throw expected('importance', constraint, importance);
  }
  const at = importance.findIndex(Number.isNaN);
  if (at >= 0) throw expected(`importance[${at}]`, 'a number', NaN);
}

function maskable({ tensors }: Objective): ParameterTensor[] {
  return tensors.filter((tensor) => tensor.maskable);
}

function coordinatesOf({ offset, size }: ParameterTensor): Uint32Array {
  return Uint32Array.from({ length: size }, (_, i) => offset + i);
}

/** The `count` most important ones among `coordinates`, in increasing order. */
function mostImportant(coordinates: Uint32Array, importance: Importance, count: number): Uint32Array {
  const ranked = coordinates.toSorted((a, b) => importance[b]! - importance[a]! || a - b);
  return ranked.slice(0, count).sort();
}
