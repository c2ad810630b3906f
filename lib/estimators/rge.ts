import * as v from 'valibot';

import type { Distribution } from '../model/options.js';
import { directionOptions, randomizedReuse } from '../model/options.js';
import { boolean, oneOf, parseOptions, smoothing } from '../support/schema.js';
import type { Objective } from '../objectives/objective.js';
import type { Reals } from '../support/reals.js';
import { arrayType } from '../support/reals.js';
import type { Estimator } from './estimator.js';
import { callOptionsOf } from './estimator.js';

const SCALES = ['paper', 'unbiased'] as const;

/** The options that apply in the limit μ → 0 too. */
export const forwardGradientOptions = v.strictObject({
  ...directionOptions.entries,
  /** Equation (1) itself (`paper`), or multiplied by the factor that makes it `unbiased` as μ → 0. Default: `paper`. */
  scale: v.optional(oneOf(SCALES), 'paper'),
});

export const rgeOptions = v.strictObject({
  /** Smoothing parameter μ, > 0 in float32. */
  mu: smoothing,
  ...forwardGradientOptions.entries,
  /** Central differences: twice the loss evaluations. Default: false. */
  central: v.optional(boolean, false),
  /**
   * `incremental` propagates the change that a perturbation causes, without loss of digits for any μ; `none` runs whole passes
   * and subtracts losses, which is faster for deep networks and slower for those with one convolution. Default: `incremental`.
   */
  reuse: randomizedReuse,
});
/** The options of `rge`. */
export interface RgeOptions extends v.InferInput<typeof rgeOptions> {}

/**
 * Randomised gradient estimation, RGE, equation (1) of DeepZero (Chen et al., ICLR 2024):
 *
 *     ĝ = (1/q) Σ_{i = 1..q} [(ℓ(θ + μ·u_i) − ℓ(θ)) / μ]·u_i,   or central   [(ℓ(θ + μ·u_i) − ℓ(θ − μ·u_i)) / 2μ]·u_i.
 *
 * Every step draws new directions u_i, a pure function of (seed, step, i). As μ → 0 the expectation of ĝ is E[u·uᵀ]·∇ℓ: ∇ℓ
 * for Gaussian and ±1 entries, ∇ℓ/d on the unit sphere, and, with `perTensor`, ∇ℓ/n in a tensor of n numbers.
 * `scale: 'unbiased'` multiplies by the inverse factor, which is 1 for Gaussian and ±1 entries without `perTensor`. Without
 * `perTensor` the cosine with the gradient is about √(q/(q + d)), near 0 unless q is near d. With `perTensor` the directional
 * derivative comes mostly from the smallest tensors, and the gradient of a tensor shrinks with the tensor's size.
 *
 * Differences between the sources: the paper does not specify the distribution and has no factor, so the defaults are Gaussian
 * entries and no factor. The public code draws Gaussian entries, scales each tensor's part to unit length and applies no
 * factor: `perTensor: true`.
 *
 * @throws InvalidArgumentError if an option is out of range or unknown; from an estimate if no direction changes the loss,
 *   which happens with `reuse: 'none'` if `mu` is too small for float32, or over a black box if `queries` is above 2¹⁹ = 524288.
 * @example rge({ mu: 5e-3, queries: 192 })
 */
export function rge(options: RgeOptions): Estimator {
  const { mu, queries, distribution, scale, perTensor, central, reuse } = parseOptions(rgeOptions, options, 'rge');
  const perDirection = central ? 2 : 1;
  return {
    config: { kind: 'rge', mu, queries, distribution, scale, perTensor, central, reuse },
    queriesPerStep: () => 1 + perDirection * queries,
    sample: (evaluations) => {
      const fewer = Math.max(1, Math.floor((evaluations - 1) / perDirection));
      return rge({ ...options, queries: Math.min(queries, fewer) });
    },
    async estimate(objective, sample, context) {
      const call = callOptionsOf(objective, context);
      const directions = { queries, distribution, perTensor, reuse, seed: context.seed };
      const options = { mu, central, ...directions, ...call };
      const { values, variances, ...rest } = await objective.randomized(sample, options);
      const gradient = new (arrayType(objective.parameters))(objective.parameters.length);
      gradient.set(values);
      if (scale === 'unbiased') undoExpectation({ gradient, variances }, objective, distribution, perTensor);
      return { ...rest, gradient, ...(variances && { variances }) };
    },
  };
}

/** Multiplies by n where E[u·uᵀ] is 1/n, variances by n². */
function undoExpectation(
  { gradient, variances }: { gradient: Reals; variances: Float64Array | undefined },
  { parameters, tensors }: Objective,
  distribution: Distribution,
  perTensor: boolean,
): void {
  const wide = distribution === 'sphere' ? parameters.length : 1;
  for (const { offset, size } of tensors) {
    const factor = perTensor ? size : wide;
    for (let i = offset; i < offset + size; i++) {
      gradient[i]! *= factor;
      if (variances) variances[i]! *= factor ** 2;
    }
  }
}
