import * as check from '../support/check.js';
import type { Batch } from '../data/dataset.js';
import type { CoordinatewiseOptions, RandomizedReuse, Reuse } from '../model/evaluator.js';
import { RANDOMIZED_REUSES, REUSES } from '../model/evaluator.js';
import type { Watch } from '../native/jobs.js';
import type { Draw, MaskOptions } from './masks.js';
import { MASK_OPTIONS, maskOf } from './masks.js';
import type { Model } from '../model/model.js';
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

/** The position, and how the estimate is watched and stopped. */
export interface EstimateContext extends EstimatePosition, Omit<Watch, 'step'> {}

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
  readonly describe: object;
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

export interface CgeOptions extends MaskOptions {
  /** Smoothing parameter μ, > 0; the paper's is 5e-3. */
  mu: number;
  /** Central differences: twice the queries, and an error of order μ² instead of μ. Default false. */
  central?: boolean;
  /** How much of the unperturbed pass a query reuses, default `incremental`; the others are there to be measured. */
  reuse?: Reuse;
}

/**
 * Coordinate-wise gradient estimation, CGE, equation (2), and sparse-CGE, step 3 of algorithm 1 of DeepZero (Chen et al.,
 * ICLR 2024):
 *
 *     ĝ = Σ_{i ∈ S} [(ℓ(θ + μ·e_i) − ℓ(θ)) / μ]·e_i,   or central   ĝ = Σ_{i ∈ S} [(ℓ(θ + μ·e_i) − ℓ(θ − μ·e_i)) / 2μ]·e_i.
 *
 * S holds round((1 − s)·n) coordinates of each tensor of n numbers and sparsity s, drawn at random, and drawn anew at every
 * epoch that is a multiple of `redrawEvery`: a pure function of (seed, ⌊epoch / redrawEvery⌋). The weights stay dense, the
 * gradient is sparse.
 *
 * Where the sources differ: the paper draws S every epoch, its public code every 5 epochs, which is the default here. The
 * public code perturbs with += μ and −= μ, which does not restore a float32; here parameters are never written. Its feature
 * reuse restarts queries at residual blocks; what ours reuses is said at `reuse`.
 *
 * @throws InvalidArgumentError if an option is out of range or unknown, or `coordinates` are given beside `sparsity` or
 *   `redrawEvery`; at the first estimate if the sparsity does not name the model's tensors or a coordinate is not below its
 *   number of parameters or occurs twice.
 * @example cge({ mu: 5e-3, sparsity: 0.9, redrawEvery: 5 })
 */
export function cge(options: CgeOptions): Estimator {
  const {
    mu,
    central = false,
    reuse = 'incremental',
    ...mask
  } = check.options<CgeOptions>(options, 'cge', ['mu', ...MASK_OPTIONS, 'central', 'reuse']);
  const difference = {
    mu: check.smoothing(mu, 'mu'),
    central: check.boolean(central, 'central'),
    reuse: check.oneOf(reuse, 'reuse', REUSES),
  };
  const { describe, draw } = maskOf(mask);
  return coordinatewise({ kind: 'cge', ...difference, ...describe }, difference, draw);
}

/** CGE over whatever coordinates `draw` chooses at a position; their number is the same at all positions. */
function coordinatewise(
  describe: object,
  difference: Required<Omit<CoordinatewiseOptions, 'coordinates' | 'at'>>,
  draw: Draw,
): Estimator {
  const perCoordinate = difference.central ? 2 : 1;
  return {
    describe,
    coordinates: draw,
    queriesPerStep: (model) => 1 + perCoordinate * draw(model, { seed: 0, step: 0, epoch: 0 }).length,
    sample: (queries) => {
      const count = Math.max(1, Math.floor((queries - 1) / perCoordinate));
      return coordinatewise(describe, difference, (model, position) => spread(draw(model, position), count));
    },
    async estimate(model, batch, context) {
      const coordinates = draw(model, context);
      const { values, ...rest } = await model.coordinatewise(batch, { ...difference, coordinates }, context);
      const gradient = new Float32Array(model.parameterCount);
      coordinates.forEach((flat, i) => {
        gradient[flat] = values[i]!;
      });
      return { ...rest, gradient };
    },
  };
}

/** At most `count` entries, evenly spaced. */
function spread(all: Uint32Array, count: number): Uint32Array {
  if (all.length <= count) return all;
  return Uint32Array.from({ length: count }, (_, i) => all[Math.floor(((i + 0.5) * all.length) / count)]!);
}

export interface RgeOptions {
  /** Smoothing parameter μ, > 0. */
  mu: number;
  /** Random directions per step, q, from 1 to 2³¹ − 1. */
  queries: number;
  /** Independent standard normal entries (default), uniform on the unit sphere, or independent entries ±1. */
  distribution?: 'gaussian' | 'sphere' | 'rademacher';
  /** Equation (1) as it stands (default), or times the factor that makes it unbiased as μ → 0. */
  scale?: 'paper' | 'unbiased';
  /** Scales each parameter tensor's part of a direction to unit length, as the public code does; default false. */
  perTensor?: boolean;
  /** Central differences: twice the loss evaluations. Default false. */
  central?: boolean;
  /**
   * `incremental` (default) carries what the perturbation changes, which loses no digits for any μ; `none` runs whole
   * passes and subtracts losses, which takes less time on deep networks and more on those of one convolution.
   */
  reuse?: RandomizedReuse;
}

/**
 * Randomised gradient estimation, RGE, equation (1) of DeepZero (Chen et al., ICLR 2024):
 *
 *     ĝ = (1/q) Σ_{i = 1..q} [(ℓ(θ + μ·u_i) − ℓ(θ)) / μ]·u_i,   or central   [(ℓ(θ + μ·u_i) − ℓ(θ − μ·u_i)) / 2μ]·u_i.
 *
 * Directions u_i are drawn anew at every step, a pure function of (seed, step, i). As μ → 0 the expectation of ĝ is
 * E[u·uᵀ]·∇ℓ: the gradient for Gaussian and ±1 entries, 1/d of it on the unit sphere, and, with `perTensor`, 1/n of it in
 * a tensor of n numbers. `scale: 'unbiased'` undoes that factor, so it changes nothing for Gaussian and ±1 entries without
 * `perTensor`. Without `perTensor` the cosine with the gradient is about √(q/(q + d)), near 0 unless q is near d. With it the
 * directional derivative is mostly the smallest tensors', and the larger a tensor is the less is left of its gradient.
 *
 * Where the sources differ: the paper leaves the distribution open and has no factor, so Gaussian and none are the defaults;
 * the public code takes Gaussian entries, scales each tensor's part to unit length, and applies no factor, which is
 * `perTensor: true`.
 *
 * @throws InvalidArgumentError if an option is out of range or unknown; from an estimate if no direction changes the loss,
 *   which with `reuse: 'none'` it may not in float32 if `mu` is too small.
 * @example rge({ mu: 5e-3, queries: 192 })
 */
export function rge(options: RgeOptions): Estimator {
  const known = ['mu', 'queries', 'distribution', 'scale', 'perTensor', 'central', 'reuse'] as const;
  const {
    mu,
    queries,
    distribution = 'gaussian',
    scale = 'paper',
    perTensor = false,
    central = false,
    reuse = 'incremental',
  } = check.options<RgeOptions>(options, 'rge', known);
  check.smoothing(mu, 'mu');
  check.queryCount(queries, 'queries');
  check.oneOf(distribution, 'distribution', ['gaussian', 'sphere', 'rademacher']);
  check.oneOf(scale, 'scale', ['paper', 'unbiased']);
  check.boolean(perTensor, 'perTensor');
  check.boolean(central, 'central');
  check.oneOf(reuse, 'reuse', RANDOMIZED_REUSES);
  const perDirection = central ? 2 : 1;
  return {
    describe: { kind: 'rge', mu, queries, distribution, scale, perTensor, central, reuse },
    queriesPerStep: () => 1 + perDirection * queries,
    sample: (evaluations) => {
      const fewer = Math.max(1, Math.floor((evaluations - 1) / perDirection));
      return rge({ ...options, queries: Math.min(queries, fewer) });
    },
    async estimate(model, batch, context) {
      const directions = {
        queries,
        distribution,
        perTensor,
        reuse,
        seed: context.seed,
        stream: 'directions',
        index: context.step,
      } as const;
      const { values, ...rest } = await model.randomized(batch, { mu, central, ...directions }, context);
      const gradient = Float32Array.from(values);
      if (scale === 'unbiased') undoExpectation(gradient, model, distribution, perTensor);
      return { ...rest, gradient };
    },
  };
}

/** Multiplies by n where E[u·uᵀ] is 1/n. */
function undoExpectation(
  gradient: Float32Array,
  model: Model,
  distribution: RgeOptions['distribution'],
  perTensor: boolean,
): void {
  const wide = distribution === 'sphere' ? model.parameterCount : 1;
  for (const { offset, size } of model.compiled.parameters) {
    const factor = perTensor ? size : wide;
    for (let i = offset; i < offset + size; i++) gradient[i]! *= factor;
  }
}
