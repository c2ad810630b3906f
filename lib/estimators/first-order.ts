import { expected, parseOptions } from '../support/schema.js';
import type { Estimator } from './estimator.js';
import { callOptionsOf } from './estimator.js';
import type { MaskOptions } from './masks.js';
import { maskOf, maskOptions } from './masks.js';

/** The coordinates with a gradient; default: all. */
export type FirstOrderOptions = MaskOptions;

/**
 * The exact gradient by back-propagation, g = ∇ℓ(θ), to compare estimates with: FO in the tables of DeepZero (Chen et al.,
 * ICLR 2024). One forward and one backward pass in single precision, with batch norm in training mode.
 *
 *     ĝ_i = ∂ℓ/∂θ_i  for i ∈ S,  0 otherwise.
 *
 * - Dense (default): S holds all parameters.
 * - Sparse gradient: with `sparsity` or `ratios`, S is drawn as by `cge`, the same coordinates for equal options and seed. The
 *   weights stay dense.
 * - Sparse weights: with `coordinates` from `pruneWeights`, the pruned weights stay 0.
 *
 * A step makes one query, the forward pass. The backward pass is dense and its result is masked: sparsity saves no time.
 *
 * @throws InvalidArgumentError if an option is out of range or unknown, or two of `sparsity`, `ratios` and `coordinates`
 *   are given, or `coordinates` and `redrawEvery`; at the first estimate if the ratios do not name the model's tensors or a
 *   coordinate is not below its number of parameters or occurs twice.
 * @example firstOrder({ ratios: await zoGrasp(model, trainSet, { sparsity: 0.9 }) })
 */
export function firstOrder(options: FirstOrderOptions = {}): Estimator {
  const mask = parseOptions(maskOptions, options, 'firstOrder');
  const { config, draw } = maskOf(mask, options);
  const dense = mask.coordinates === undefined && mask.ratios === undefined && mask.sparsity === 0;
  const estimator: Estimator = {
    config: { kind: 'first-order', ...config },
    ...(!dense && { coordinates: draw }),
    queriesPerStep: () => 1,
    sample: () => estimator,
    async estimate(objective, sample, context) {
      const call = callOptionsOf(objective, context);
      const coordinates = dense ? undefined : draw(objective, context);
      if (!objective.gradient) throw expected('the objective of firstOrder', 'a Model with a built-in loss', objective);
      const { values, ...rest } = await objective.gradient(sample, call);
      const gradient = coordinates ? new Float32Array(values.length) : Float32Array.from(values);
      coordinates?.forEach((flat) => {
        gradient[flat] = values[flat]!;
      });
      return { ...rest, gradient, queries: 1 };
    },
  };
  return estimator;
}
