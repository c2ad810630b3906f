import * as check from '../support/check.js';
import type { Model } from '../model/model.js';
import type { Distribution, RandomizedReuse } from '../model/options.js';
import { DISTRIBUTIONS, RANDOMIZED_REUSES } from '../model/options.js';
import type { Estimator } from './estimator.js';
import { callOptionsOf } from './estimator.js';

export interface RgeOptions {
  /** Smoothing parameter μ, > 0. */
  mu: number;
  /** Random directions per step, q, from 1 to 2³¹ − 1. */
  queries: number;
  /** Independent standard normal entries (default), uniform on the unit sphere, or independent entries ±1. */
  distribution?: Distribution;
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
  check.oneOf(distribution, 'distribution', DISTRIBUTIONS);
  check.oneOf(scale, 'scale', ['paper', 'unbiased']);
  check.boolean(perTensor, 'perTensor');
  check.boolean(central, 'central');
  check.oneOf(reuse, 'reuse', RANDOMIZED_REUSES);
  const perDirection = central ? 2 : 1;
  return {
    config: { kind: 'rge', mu, queries, distribution, scale, perTensor, central, reuse },
    queriesPerStep: () => 1 + perDirection * queries,
    sample: (evaluations) => {
      const fewer = Math.max(1, Math.floor((evaluations - 1) / perDirection));
      return rge({ ...options, queries: Math.min(queries, fewer) });
    },
    async estimate(model, batch, context) {
      const directions = { queries, distribution, perTensor, reuse, seed: context.seed };
      const options = { mu, central, ...directions, ...callOptionsOf(context) };
      const { values, ...rest } = await model.randomized(batch, options);
      const gradient = Float32Array.from(values);
      if (scale === 'unbiased') undoExpectation(gradient, model, distribution, perTensor);
      return { ...rest, gradient };
    },
  };
}

/** Multiplies by n where E[u·uᵀ] is 1/n. */
function undoExpectation(gradient: Float32Array, model: Model, distribution: Distribution, perTensor: boolean): void {
  const wide = distribution === 'sphere' ? model.parameterCount : 1;
  for (const { offset, size } of model.compiled.parameters) {
    const factor = perTensor ? size : wide;
    for (let i = offset; i < offset + size; i++) gradient[i]! *= factor;
  }
}
