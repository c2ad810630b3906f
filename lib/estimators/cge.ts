import * as v from 'valibot';

import type { Reuse } from '../model/options.js';
import { REUSES } from '../model/options.js';
import { boolean, oneOf, parseOptions, smoothing } from '../support/schema.js';
import { arrayType } from '../support/reals.js';
import type { Reals } from '../support/reals.js';
import type { Estimator } from './estimator.js';
import { callOptionsOf } from './estimator.js';
import type { Draw } from './masks.js';
import { maskOf, maskOptions } from './masks.js';

export const cgeOptions = v.strictObject({
  /** Smoothing parameter μ, > 0 in float32; the paper's is 5e-3. */
  mu: smoothing,
  ...maskOptions.entries,
  /** Central differences: twice the queries, and an error of order μ² instead of μ. Default: false. */
  central: v.optional(boolean, false),
  /**
   * How much of the unperturbed pass a query reuses; `none`, `block` and `layer` are slower and serve comparisons. Default:
   * `incremental`.
   */
  reuse: v.optional(oneOf(REUSES), 'incremental'),
});
/** The options of `cge`. */
export interface CgeOptions extends v.InferInput<typeof cgeOptions> {}

/**
 * Coordinate-wise gradient estimation, CGE, equation (2), and sparse-CGE, step 3 of algorithm 1 of DeepZero (Chen et al.,
 * ICLR 2024):
 *
 *     ĝ = Σ_{i ∈ S} [(ℓ(θ + μ·e_i) − ℓ(θ)) / μ]·e_i,   or central   ĝ = Σ_{i ∈ S} [(ℓ(θ + μ·e_i) − ℓ(θ − μ·e_i)) / 2μ]·e_i.
 *
 * S holds round((1 − s)·n) random coordinates of each tensor with n numbers and sparsity s. A new S is drawn at every epoch that
 * is a multiple of `redrawEvery`: S is a pure function of (seed, ⌊epoch / redrawEvery⌋). The weights stay dense, the gradient is
 * sparse.
 *
 * Differences from the sources: the paper draws S every epoch, its public code every 5 epochs, which is the default here. The
 * public code perturbs with += μ and −= μ, which does not restore a float32; here parameters are never written. Its feature
 * reuse restarts queries at residual blocks; see `reuse` for the modes here.
 *
 * @throws InvalidArgumentError if an option is out of range or unknown, or two of `sparsity`, `ratios` and `coordinates`
 *   are given, or `coordinates` and `redrawEvery`; at the first estimate if the ratios do not name the model's tensors or a
 *   coordinate is not below its number of parameters or occurs twice.
 * @example cge({ mu: 5e-3, sparsity: 0.9, redrawEvery: 5 })
 */
export function cge(options: CgeOptions): Estimator {
  const { mu, central, reuse, ...mask } = parseOptions(cgeOptions, options, 'cge');
  const difference = { mu, central, reuse };
  const { config, draw } = maskOf(mask, options);
  return coordinatewise({ kind: 'cge', ...difference, ...config }, difference, draw);
}

/** CGE over the coordinates that `draw` chooses at a position; their number is the same at all positions. */
function coordinatewise(
  config: object,
  difference: { readonly mu: number; readonly central: boolean; readonly reuse: Reuse },
  draw: Draw,
): Estimator {
  const perCoordinate = difference.central ? 2 : 1;
  return {
    config,
    coordinates: draw,
    queriesPerStep: (objective) => 1 + perCoordinate * draw(objective, { seed: 0, step: 0, epoch: 0 }).length,
    sample: (queries) => {
      const count = Math.max(1, Math.floor((queries - 1) / perCoordinate));
      return coordinatewise(config, difference, (objective, position) => spread(draw(objective, position), count));
    },
    async estimate(objective, sample, context) {
      const call = callOptionsOf(objective, context);
      const coordinates = draw(objective, context);
      const { values, variances, ...rest } = await objective.coordinatewise(sample, {
        ...difference,
        coordinates,
        ...call,
      });
      const at = <T extends Reals>(from: Float64Array, into: T): T => {
        coordinates.forEach((flat, i) => {
          into[flat] = from[i]!;
        });
        return into;
      };
      const count = objective.parameters.length;
      const gradient = at(values, new (arrayType(objective.parameters))(objective.parameters.length));
      return { ...rest, gradient, ...(variances && { variances: at(variances, new Float64Array(count)) }) };
    },
  };
}

/** At most `count` entries, evenly spaced. */
function spread(all: Uint32Array, count: number): Uint32Array {
  if (all.length <= count) return all;
  return Uint32Array.from({ length: count }, (_, i) => all[Math.floor(((i + 0.5) * all.length) / count)]!);
}
