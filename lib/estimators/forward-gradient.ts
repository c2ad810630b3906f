import type * as v from 'valibot';

import { InvalidArgumentError } from '../support/errors.js';
import { parseOptions } from '../support/schema.js';
import { checkObjective } from '../objectives/objective.js';
import type { Estimator } from './estimator.js';
import { forwardGradientOptions, rge } from './rge.js';

/** The options of `rge` that apply in the limit μ → 0. */
export interface ForwardGradientOptions extends v.InferInput<typeof forwardGradientOptions> {}

/** So small that no ReLU changes its side, and so large that float32 can represent every change. */
const MU = 1e-15;

/**
 * The weight-perturbed forward gradient, FG-W (Baydin et al. 2022, arXiv 2202.08587; Ren, Kornblith, Liao and Hinton, ICLR
 * 2023): directional derivatives from a forward pass, times their directions.
 *
 *     ĝ = (1/q) Σ_{i = 1..q} (∇ℓ(θ)·v_i)·v_i,   v_i ~ N(0, I)
 *
 * It is the limit of `rge` as μ → 0, without a finite difference's bias, with the same directions at equal seed and step, and
 * with the same options, expectation and cosine. By default it is unbiased, with a cosine of about √(q/(q + d)).
 *
 * Difference from the sources: they compute ∇ℓ·v_i by forward-mode differentiation, here it is (ℓ(θ + μ·v_i) − ℓ(θ)) / μ at
 * μ = 1e-15. The change of each layer's values is propagated, so no two nearly equal numbers are subtracted. A test bounds the
 * distance from the float64 reference's ∇ℓ·v_i by 5e-6·‖∇ℓ‖.
 *
 * @throws InvalidArgumentError if an option is out of range or unknown; from an estimate if no direction changes the loss, or
 *   if losses are subtracted, as those of outputs and of black boxes are: no digits are left at this μ.
 * @example forwardGradient({ queries: 192 })
 */
export function forwardGradient(options: ForwardGradientOptions): Estimator {
  const parsed = parseOptions(forwardGradientOptions, options, 'forwardGradient');
  const { queries, distribution, scale, perTensor } = parsed;
  return withConfig(rge({ ...parsed, mu: MU }), { kind: 'forward-gradient', queries, distribution, scale, perTensor });
}

/** The same estimator with another config, of objectives that carry changes. */
function withConfig(estimator: Estimator, config: object): Estimator {
  return {
    ...estimator,
    config,
    sample: (queries) => withConfig(estimator.sample(queries), config),
    async estimate(objective, sample, context) {
      checkObjective(objective);
      if (objective.carriesChanges) return estimator.estimate(objective, sample, context);
      throw new InvalidArgumentError(
        'Expected the objective of forwardGradient to be a Model with a built-in loss, whose changes are exact for any mu: use rge',
      );
    },
  };
}
