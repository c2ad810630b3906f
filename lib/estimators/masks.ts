/**
 * Masks, the coordinates of an estimate: from layer-wise pruning ratios, as random sets of coordinates, or given.
 *
 * @module
 */
import * as v from 'valibot';

import { didYouMean, InvalidArgumentError, quote } from '../support/errors.js';
import { checked, fraction, integer, nonEmpty, parseOptions, unit } from '../support/schema.js';
import { checkCoordinates } from '../network/coordinates.js';
import { digest } from '../support/digest.js';
import type { EstimatePosition } from './estimator.js';
import type { Objective, ParameterTensor } from '../objectives/objective.js';
import { checkObjective } from '../objectives/objective.js';
import { Random } from '../native/random.js';
import { sum } from '../support/statistics.js';

const layerRatios = v.record(v.string(), unit);
/**
 * Pruning ratios by tensor name, one for every maskable tensor (weights of convolutions and linear layers): the fraction
 * of a tensor's coordinates to leave out, from 0 to 1. Batch-norm parameters and biases have no ratio: they are always
 * queried. Results of `zoGrasp`, `grasp`, `randomPruning` and `magnitudePruning`.
 */
export type LayerRatios = Readonly<Record<string, number>>;

/**
 * The number of queried coordinates of each parameter tensor: round((1 − s)·n) for a maskable tensor of n coordinates with
 * ratio s, and all coordinates of other tensors.
 *
 * @param ratios The same ratio in [0, 1) for every maskable tensor, or a ratio in [0, 1] for each by name.
 * @throws InvalidArgumentError if a ratio is out of range or missing, or names a tensor that is not maskable.
 */
export function keptCounts(tensors: readonly ParameterTensor[], ratios: number | LayerRatios): number[] {
  const byName = typeof ratios === 'number' ? uniform(tensors, ratios) : byTensor(tensors, ratios);
  return tensors.map(({ name, size }) => Math.round((1 - (byName.get(name) ?? 0)) * size));
}

/**
 * Draws the coordinates to query: in each tensor uniformly without replacement, as many as in `keptCounts`.
 *
 * @returns Flat indices into the parameters, increasing.
 */
export function drawCoordinates(
  tensors: readonly ParameterTensor[],
  ratios: number | LayerRatios,
  random: Random,
): Uint32Array {
  const kept = keptCounts(tensors, ratios);
  const drawn = tensors.map(({ offset, size }, i) => random.sample(size, kept[i]!).map((index) => offset + index));
  const coordinates = new Uint32Array(sum(kept));
  let filled = 0;
  for (const part of drawn) {
    coordinates.set(part, filled);
    filled += part.length;
  }
  return coordinates;
}

function uniform(tensors: readonly ParameterTensor[], ratio: number): Map<string, number> {
  checked(fraction, ratio, 'ratios');
  return new Map(tensors.filter(({ maskable }) => maskable).map(({ name }) => [name, ratio]));
}

const ratiosArgument = v.strictObject({ ratios: layerRatios });

function byTensor(tensors: readonly ParameterTensor[], given: LayerRatios): Map<string, number> {
  const { ratios } = parseOptions(ratiosArgument, { ratios: given }, 'ratios');
  const maskable = tensors.filter((tensor) => tensor.maskable).map(({ name }) => name);
  for (const name of Object.keys(ratios)) {
    if (maskable.includes(name)) continue;
    const why = tensors.some((tensor) => tensor.name === name)
      ? ', which is always queried'
      : didYouMean(name, maskable);
    throw new InvalidArgumentError(
      `Expected ratios to name maskable tensors of the network, received ${quote(name)}${why}`,
    );
  }
  for (const name of maskable) checked(unit, ratios[name], `ratios[${quote(name)}]`);
  return new Map(Object.entries(ratios));
}

export const maskOptions = v.strictObject({
  /**
   * The fraction of the coordinates of every convolution and linear weight to leave out, in [0, 1). Batch-norm parameters and
   * biases are never left out. Default: 0.
   */
  sparsity: v.optional(fraction, 0),
  /** Instead of `sparsity`, a ratio from 0 to 1 for each of these tensors by name, as from `zoGrasp`. */
  ratios: v.optional(layerRatios),
  /** Epochs between draws of new coordinates, an integer >= 1; default: 5. */
  redrawEvery: v.optional(integer(1), 5),
  /** Instead of `sparsity` or `ratios`, the flat indices for every step, distinct. */
  coordinates: v.optional(nonEmpty<Uint32Array>(Uint32Array, 'a Uint32Array with at least one flat parameter index')),
});
/** The coordinates of an estimate; the gradient is 0 at the others. */
export interface MaskOptions extends v.InferInput<typeof maskOptions> {}

/** The coordinates at a position of a run, increasing; their number is the same at all positions. */
export type Draw = (objective: Objective, position: EstimatePosition) => Uint32Array;

/** Options, each with those that it excludes. */
const EXCLUSIVE = [
  ['ratios', ['sparsity']],
  ['coordinates', ['sparsity', 'ratios', 'redrawEvery']],
] as const;

/**
 * The mask of an estimator's options and its config; all estimators have the same mask for equal options and seed.
 *
 * @param options The options with their defaults.
 * @param given The caller's options.
 * @throws InvalidArgumentError if an option excludes another.
 */
export function maskOf(options: v.InferOutput<typeof maskOptions>, given: MaskOptions): { config: object; draw: Draw } {
  for (const [key, others] of EXCLUSIVE) {
    const other = given[key] === undefined ? undefined : others.find((one) => given[one] !== undefined);
    if (other !== undefined) throw new InvalidArgumentError(`Expected either ${key} or ${other}, received both`);
  }
  const { sparsity, ratios, redrawEvery } = options;
  if (options.coordinates === undefined) {
    /** Drawing takes milliseconds, and a mask serves many steps. */
    const last = new WeakMap<Objective, { seed: number; index: number; drawn: Uint32Array }>();
    const draw: Draw = (objective, { seed, epoch }) => {
      checkObjective(objective);
      const index = Math.floor(epoch / redrawEvery);
      const known = last.get(objective);
      if (known?.seed === seed && known.index === index) return known.drawn.slice();
      const drawn = drawCoordinates(objective.tensors, ratios ?? sparsity, new Random(seed, 'mask', index));
      last.set(objective, { seed, index, drawn });
      return drawn.slice();
    };
    return { config: { ...(ratios ? { ratios } : { sparsity }), redrawEvery }, draw };
  }
  // A copy, so that later changes of the caller's array do not change the mask.
  const coordinates = options.coordinates.slice();
  const sorted = coordinates.toSorted();
  return {
    config: { coordinates: { count: coordinates.length, digest: digest(sorted) } },
    draw: (objective) => {
      checkObjective(objective);
      checkCoordinates(objective.parameters.length, coordinates);
      return sorted;
    },
  };
}
