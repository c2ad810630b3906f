/**
 * Which coordinates a gradient is estimated along: layer-wise pruning ratios, and random sets of coordinates drawn to them.
 *
 * @module
 */
import * as v from 'valibot';

import { didYouMean, InvalidArgumentError, quote } from '../support/errors.js';
import { checked, expected, fraction, integer, nonEmpty, parseOptions, unit } from '../support/schema.js';
import { checkCoordinates } from '../network/coordinates.js';
import { digest } from '../support/digest.js';
import type { EstimatePosition } from './estimator.js';
import type { CompiledNetwork, TensorInfo } from '../network/compile.js';
import { Random } from '../native/random.js';
import { sum } from '../support/statistics.js';

const layerRatios = v.record(v.string(), unit);
/**
 * Pruning ratios by tensor name, one for every maskable tensor (weights of convolutions and linear layers): the fraction
 * of a tensor's coordinates that is left out, from 0 to 1. Batch-norm parameters and biases have no ratio: they are always
 * queried. `zoGrasp`, `grasp`, `randomPruning` and `magnitudePruning` make one.
 */
export type LayerRatios = Readonly<v.InferInput<typeof layerRatios>>;

/**
 * How many coordinates of each parameter tensor are queried: round((1 − s)·n) of a maskable tensor of n coordinates with
 * ratio s, and all of any other.
 *
 * @param ratios One ratio in [0, 1) for every maskable tensor alike, or a ratio in [0, 1] for each by name.
 * @throws InvalidArgumentError if a ratio is out of range, missing, or of a tensor that is not maskable.
 */
export function keptCounts(tensors: readonly TensorInfo[], ratios: number | LayerRatios): number[] {
  const byName = typeof ratios === 'number' ? uniform(tensors, ratios) : named(tensors, ratios);
  return tensors.map(({ name, size }) => Math.round((1 - (byName.get(name) ?? 0)) * size));
}

/**
 * Draws the coordinates to query: in each tensor uniformly without replacement, as many as `keptCounts` says.
 *
 * @returns Flat indices into the parameters, increasing.
 */
export function drawCoordinates(
  tensors: readonly TensorInfo[],
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

function uniform(tensors: readonly TensorInfo[], ratio: number): Map<string, number> {
  checked(fraction, ratio, 'ratios');
  return new Map(tensors.filter(({ maskable }) => maskable).map(({ name }) => [name, ratio]));
}

const ratiosArgument = v.strictObject({ ratios: layerRatios });

function named(tensors: readonly TensorInfo[], given: LayerRatios): Map<string, number> {
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
   * The fraction of the coordinates of every convolution and linear weight that is left out, in [0, 1). Batch-norm
   * parameters and biases are always in. Default: 0, nothing is left out.
   */
  sparsity: v.optional(fraction, 0),
  /** The same as a ratio from 0 to 1 for each of these tensors by name, from `zoGrasp`, instead of `sparsity`. */
  ratios: v.optional(layerRatios),
  /** Epochs after which other coordinates are drawn, an integer >= 1; default: 5. */
  redrawEvery: v.optional(integer(1), 5),
  /** The flat indices of every step, distinct, instead of `sparsity` or `ratios`. */
  coordinates: v.optional(nonEmpty<Uint32Array>(Uint32Array, 'a Uint32Array with at least one flat parameter index')),
});
/** Which coordinates an estimator estimates the gradient along; it is 0 along the others. */
export interface MaskOptions extends v.InferInput<typeof maskOptions> {}

/** The coordinates at a position of a run, increasing; their number is the same at all positions. */
export type Draw = (model: { compiled: CompiledNetwork }, position: EstimatePosition) => Uint32Array;

/** The options that exclude each other: the first of a pair, and those that it replaces. */
const EXCLUSIVE = [
  ['ratios', ['sparsity']],
  ['coordinates', ['sparsity', 'ratios', 'redrawEvery']],
] as const;

/**
 * The mask that an estimator's options ask for, the same for all estimators at equal options and seed, and its config.
 *
 * @param options With their defaults; `given` are those of the caller.
 * @throws InvalidArgumentError if options are given that exclude each other.
 */
export function maskOf(options: v.InferOutput<typeof maskOptions>, given: MaskOptions): { config: object; draw: Draw } {
  for (const [key, others] of EXCLUSIVE) {
    const other = given[key] === undefined ? undefined : others.find((one) => given[one] !== undefined);
    if (other !== undefined) throw new InvalidArgumentError(`Expected either ${key} or ${other}, received both`);
  }
  const { sparsity, ratios, redrawEvery } = options;
  if (options.coordinates === undefined) {
    const draw: Draw = (model, { seed, epoch }) =>
      drawCoordinates(
        compiledOf(model).parameters,
        ratios ?? sparsity,
        new Random(seed, 'mask', Math.floor(epoch / redrawEvery)),
      );
    return { config: { ...(ratios ? { ratios } : { sparsity }), redrawEvery }, draw };
  }
  // A copy, so that the mask and its config stay what they are when the caller's array changes.
  const coordinates = options.coordinates.slice();
  const sorted = coordinates.toSorted();
  return {
    config: { coordinates: { count: coordinates.length, digest: digest(sorted) } },
    draw: (model) => (checkCoordinates(compiledOf(model), coordinates), sorted),
  };
}

function compiledOf(model: { compiled: CompiledNetwork }): CompiledNetwork {
  const { compiled } = Object(model) as Partial<typeof model>;
  if (!compiled) throw expected('model', 'a Model', model);
  return compiled;
}
