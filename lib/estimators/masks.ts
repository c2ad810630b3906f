/**
 * Which coordinates a gradient is estimated along: layer-wise pruning ratios, and random sets of coordinates drawn to them.
 *
 * @module
 */
import { didYouMean, expected, fraction, integer, InvalidArgumentError, isObject } from '../support/check.js';
import { checkCoordinates, checkIndexList } from '../network/coordinates.js';
import { digest } from '../support/digest.js';
import type { EstimatePosition } from './estimators.js';
import type { CompiledNetwork, TensorInfo } from '../network/compile.js';
import { Random } from '../native/random.js';
import { sum } from '../support/statistics.js';

/**
 * Pruning ratios by tensor name, one for every maskable tensor (weights of convolutions and linear layers): the fraction
 * of a tensor's coordinates that is left out, from 0 to 1. Batch-norm parameters and biases have no ratio: they are always
 * queried. `zoGrasp`, `grasp`, `randomPruning` and `magnitudePruning` make one.
 */
export type LayerSparsity = Readonly<Record<string, number>>;

/** Refuses what is neither one ratio in [0, 1) nor ratios in [0, 1] by name. */
export function checkSparsity(sparsity: unknown): number | LayerSparsity {
  if (typeof sparsity === 'number') return fraction(sparsity, 'sparsity');
  if (!isObject(sparsity)) throw expected('sparsity', 'a number >= 0 and < 1 or ratios by name', sparsity);
  for (const [name, ratio] of Object.entries(sparsity)) checkRatio(name, ratio);
  return sparsity as LayerSparsity;
}

function checkRatio(name: string, ratio: unknown): void {
  if (typeof ratio === 'number' && ratio >= 0 && ratio <= 1) return;
  throw expected(`sparsity[${JSON.stringify(name)}]`, 'a number from 0 to 1', ratio);
}

/**
 * How many coordinates of each parameter tensor are queried: round((1 − s)·n) of a maskable tensor of n coordinates with
 * ratio s, and all of any other.
 *
 * @param sparsity One ratio in [0, 1) for every maskable tensor alike, or a ratio in [0, 1] for each by name.
 * @throws InvalidArgumentError if a ratio is out of range, missing, or of a tensor that is not maskable.
 */
export function keptCounts(tensors: readonly TensorInfo[], sparsity: number | LayerSparsity): number[] {
  checkSparsity(sparsity);
  const ratios = typeof sparsity === 'number' ? uniform(tensors, sparsity) : named(tensors, sparsity);
  return tensors.map(({ name, size }) => Math.round((1 - (ratios.get(name) ?? 0)) * size));
}

/**
 * Draws the coordinates to query: in each tensor uniformly without replacement, as many as `keptCounts` says.
 *
 * @returns Flat indices into the parameters, increasing.
 */
export function drawCoordinates(
  tensors: readonly TensorInfo[],
  sparsity: number | LayerSparsity,
  random: Random,
): Uint32Array {
  const kept = keptCounts(tensors, sparsity);
  const drawn = tensors.map(({ offset, size }, i) => random.sample(size, kept[i]!).map((index) => offset + index));
  const coordinates = new Uint32Array(sum(kept));
  let filled = 0;
  for (const part of drawn) {
    coordinates.set(part, filled);
    filled += part.length;
  }
  return coordinates;
}

function uniform(tensors: readonly TensorInfo[], sparsity: number): Map<string, number> {
  return new Map(tensors.filter(({ maskable }) => maskable).map(({ name }) => [name, sparsity]));
}

function named(tensors: readonly TensorInfo[], sparsity: LayerSparsity): Map<string, number> {
  const maskable = tensors.filter((tensor) => tensor.maskable).map(({ name }) => name);
  for (const name of Object.keys(sparsity)) {
    if (maskable.includes(name)) continue;
    const why = tensors.some((tensor) => tensor.name === name)
      ? ', which is always queried'
      : didYouMean(name, maskable);
    throw new InvalidArgumentError(
      `Expected sparsity to name maskable tensors of the network, received ${JSON.stringify(name)}${why}`,
    );
  }
  for (const name of maskable) checkRatio(name, sparsity[name]);
  return new Map(Object.entries(sparsity));
}

/** Which coordinates an estimator estimates the gradient along; it is 0 along the others. */
export interface MaskOptions {
  /**
   * The fraction of coordinates left out: a number in [0, 1) for every convolution and linear weight alike, or a ratio for
   * each by name, from `zoGrasp`. Batch-norm parameters and biases are always in. Default 0: nothing is left out.
   */
  sparsity?: number | LayerSparsity;
  /** Epochs after which other coordinates are drawn, an integer >= 1; default 5. */
  redrawEvery?: number;
  /** The flat indices of every step, distinct, instead of `sparsity`. */
  coordinates?: Uint32Array;
}

export const MASK_OPTIONS: readonly (keyof MaskOptions)[] = ['sparsity', 'redrawEvery', 'coordinates'];

/** The coordinates at a position of a run, increasing; their number is the same at all positions. */
export type Draw = (model: { compiled: CompiledNetwork }, position: EstimatePosition) => Uint32Array;

/**
 * The mask that an estimator's options ask for, the same for all estimators at equal options and seed, and what describes it.
 *
 * @throws InvalidArgumentError if an option is out of range, or `coordinates` are given beside one of the others.
 */
export function maskOf(options: MaskOptions): { describe: object; draw: Draw } {
  const { sparsity: wanted = 0, redrawEvery = 5, coordinates } = options;
  integer(redrawEvery, 'redrawEvery', 1);
  checkSparsity(wanted);
  // A copy, as of coordinates: what is described is what is drawn, whatever becomes of the caller's.
  const sparsity = typeof wanted === 'number' ? wanted : { ...wanted };
  if (coordinates === undefined) {
    const draw: Draw = ({ compiled }, { seed, epoch }) =>
      drawCoordinates(compiled.parameters, sparsity, new Random(seed, 'mask', Math.floor(epoch / redrawEvery)));
    return { describe: { sparsity, redrawEvery }, draw };
  }
  for (const other of ['sparsity', 'redrawEvery'] as const) {
    if (options[other] === undefined) continue;
    throw new InvalidArgumentError(`Expected either ${other} or coordinates, received both`);
  }
  const given = checkIndexList(coordinates).slice();
  const sorted = given.toSorted();
  return {
    describe: { coordinates: { count: given.length, digest: digest(sorted) } },
    draw: ({ compiled }) => (checkCoordinates(compiled, given), sorted),
  };
}
