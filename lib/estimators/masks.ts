/**
 * Which coordinates a gradient is estimated along: layer-wise pruning ratios, and random sets of coordinates drawn to them.
 *
 * @module
 */
import { didYouMean, expected, fraction, integer, InvalidArgumentError, isObject } from '../support/check.js';
import { checkCoordinates, checkIndexList } from '../network/coordinates.js';
import { digest } from '../support/digest.js';
import type { EstimatePosition } from './estimator.js';
import type { CompiledNetwork, TensorInfo } from '../network/compile.js';
import { Random } from '../native/random.js';
import { sum } from '../support/statistics.js';

/**
 * Pruning ratios by tensor name, one for every maskable tensor (weights of convolutions and linear layers): the fraction
 * of a tensor's coordinates that is left out, from 0 to 1. Batch-norm parameters and biases have no ratio: they are always
 * queried. `zoGrasp`, `grasp`, `randomPruning` and `magnitudePruning` make one.
 */
export type LayerRatios = Readonly<Record<string, number>>;

/** Refuses what is neither one ratio in [0, 1) nor ratios in [0, 1] by name. */
export function checkRatios(ratios: unknown): number | LayerRatios {
  return typeof ratios === 'number' ? fraction(ratios, 'ratios') : checkLayerRatios(ratios, 'a number >= 0 and < 1, or an object: a ratio for each tensor by name'); // prettier-ignore
}

function checkLayerRatios(ratios: unknown, constraint = 'an object: a ratio for each tensor by name'): LayerRatios {
  if (!isObject(ratios)) throw expected('ratios', constraint, ratios);
  for (const [name, ratio] of Object.entries(ratios)) checkRatio(name, ratio);
  return ratios as LayerRatios;
}

function checkRatio(name: string, ratio: unknown): void {
  if (typeof ratio === 'number' && ratio >= 0 && ratio <= 1) return;
  throw expected(`ratios[${JSON.stringify(name)}]`, 'a number from 0 to 1', ratio);
}

/**
 * How many coordinates of each parameter tensor are queried: round((1 − s)·n) of a maskable tensor of n coordinates with
 * ratio s, and all of any other.
 *
 * @param ratios One ratio in [0, 1) for every maskable tensor alike, or a ratio in [0, 1] for each by name.
 * @throws InvalidArgumentError if a ratio is out of range, missing, or of a tensor that is not maskable.
 */
export function keptCounts(tensors: readonly TensorInfo[], ratios: number | LayerRatios): number[] {
  checkRatios(ratios);
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
  return new Map(tensors.filter(({ maskable }) => maskable).map(({ name }) => [name, ratio]));
}

function named(tensors: readonly TensorInfo[], ratios: LayerRatios): Map<string, number> {
  const maskable = tensors.filter((tensor) => tensor.maskable).map(({ name }) => name);
  for (const name of Object.keys(ratios)) {
    if (maskable.includes(name)) continue;
    const why = tensors.some((tensor) => tensor.name === name)
      ? ', which is always queried'
      : didYouMean(name, maskable);
    throw new InvalidArgumentError(
      `Expected ratios to name maskable tensors of the network, received ${JSON.stringify(name)}${why}`,
    );
  }
  for (const name of maskable) checkRatio(name, ratios[name]);
  return new Map(Object.entries(ratios));
}

/** Which coordinates an estimator estimates the gradient along; it is 0 along the others. */
export interface MaskOptions {
  /**
   * The fraction of the coordinates of every convolution and linear weight that is left out, in [0, 1). Batch-norm
   * parameters and biases are always in. Default: 0, nothing is left out.
   */
  sparsity?: number;
  /** The same as a ratio for each of these tensors by name, from `zoGrasp`, instead of `sparsity`. */
  ratios?: LayerRatios;
  /** Epochs after which other coordinates are drawn, an integer >= 1; default 5. */
  redrawEvery?: number;
  /** The flat indices of every step, distinct, instead of `sparsity` or `ratios`. */
  coordinates?: Uint32Array;
}

export const MASK_OPTIONS: readonly (keyof MaskOptions)[] = ['sparsity', 'ratios', 'redrawEvery', 'coordinates'];

/** The coordinates at a position of a run, increasing; their number is the same at all positions. */
export type Draw = (model: { compiled: CompiledNetwork }, position: EstimatePosition) => Uint32Array;

/**
 * The mask that an estimator's options ask for, the same for all estimators at equal options and seed, and what describes it.
 *
 * @throws InvalidArgumentError if an option is out of range, or `coordinates` are given beside one of the others.
 */
export function maskOf(options: MaskOptions): { config: object; draw: Draw } {
  const { sparsity = 0, redrawEvery = 5, ratios, coordinates } = options;
  integer(redrawEvery, 'redrawEvery', 1);
  fraction(sparsity, 'sparsity');
  if (ratios !== undefined) checkLayerRatios(ratios);
  refuseBoth(options, 'ratios', ['sparsity']);
  refuseBoth(options, 'coordinates', ['sparsity', 'ratios', 'redrawEvery']);
  if (coordinates === undefined) {
    // A copy, as of coordinates, so that the mask and its config stay what they are when the caller's object changes.
    const layers = ratios && { ...ratios };
    const draw: Draw = ({ compiled }, { seed, epoch }) =>
      drawCoordinates(
        compiled.parameters,
        layers ?? sparsity,
        new Random(seed, 'mask', Math.floor(epoch / redrawEvery)),
      );
    return { config: { ...(layers ? { ratios: layers } : { sparsity }), redrawEvery }, draw };
  }
  const given = checkIndexList(coordinates).slice();
  const sorted = given.toSorted();
  return {
    config: { coordinates: { count: given.length, digest: digest(sorted) } },
    draw: ({ compiled }) => (checkCoordinates(compiled, given), sorted),
  };
}

function refuseBoth(options: MaskOptions, key: keyof MaskOptions, others: readonly (keyof MaskOptions)[]): void {
  const other = options[key] === undefined ? undefined : others.find((one) => options[one] !== undefined);
  if (other !== undefined) throw new InvalidArgumentError(`Expected either ${key} or ${other}, received both`);
}
