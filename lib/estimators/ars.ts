import * as v from 'valibot';

import { RefusedStepError } from '../objectives/black-box.js';
import { MOST_DIRECTIONS } from '../objectives/directions.js';
import type { LossReading, Objective } from '../objectives/objective.js';
import { expected, expectedOption, integer, parseOptions, smoothing } from '../support/schema.js';
import { arrayType } from '../support/reals.js';
import { mean, sum } from '../support/statistics.js';
import type { Estimator } from './estimator.js';
import { callOptionsOf } from './estimator.js';

const directionCount = integer(1, MOST_DIRECTIONS);

export const arsOptions = v.strictObject({
  /** Random directions of a step, N in the paper, each with two losses, an integer from 1 to 2¹⁹ = 524288. */
  directions: directionCount,
  /** The directions that a step uses, b in the paper, an integer from 1 to 2¹⁹, at most `directions`. Default: all. */
  top: v.optional(directionCount),
  /** The distance along a direction, ν in the paper, > 0 in float32. */
  mu: smoothing,
});
/** The options of `ars`. */
export interface ArsOptions extends v.InferInput<typeof arsOptions> {}

/**
 * Augmented random search, ARS V1-t (Mania, Guy & Recht, NeurIPS 2018, arXiv 1803.07055, algorithm 1), for losses ℓ, which are
 * negative rewards:
 *
 *     ĝ = 1/(b·σ) Σ_{k of the best b} (ℓ(θ + μ·δ_k) − ℓ(θ − μ·δ_k))·δ_k,   δ_k ~ N(0, I),   θ ← θ − α·ĝ by sgd({ lr: α }).
 *
 * The best directions are those with the least min(ℓ(θ + μ·δ_k), ℓ(θ − μ·δ_k)); σ is the standard deviation of their 2b losses,
 * dividing by 2b. So the step does not change when losses are shifted or scaled. ĝ is no gradient: it has no μ in its divisor.
 * If all 2b losses are equal, ĝ is 0. With `top` absent it is V1.
 *
 * V2 also whitens the states that a policy sees. That belongs to the loss: keep the mean and the deviation of the states there,
 * and give all losses of a step the same ones.
 *
 * Differences from the source: the loss at θ is evaluated too, 1 + 2·directions evaluations a step, since a run compares it with
 * its target and keeps the best point. Of equal directions those drawn first are taken, where the public code takes all that
 * reach a percentile. A direction without an answer on one side is left out.
 *
 * @throws InvalidArgumentError if an option is out of range or unknown, or `top` is above `directions`; from an estimate over a
 *   model, which has no losses of single directions; RefusedStepError if no direction has both losses.
 * @example
 * minimize((x) => -reward(x), x0, { estimator: ars({ directions: 8, top: 4, mu: 0.03 }), optimizer: sgd({ lr: 0.02 }), budget })
 */
export function ars(options: ArsOptions): Estimator {
  const { directions, mu, top = directions } = parseOptions(arsOptions, options, 'ars');
  if (top > directions) throw expectedOption('top', `at most directions, ${directions}`, String(top));
  return {
    config: { kind: 'ars', directions, top, mu },
    queriesPerStep: () => 1 + 2 * directions,
    sample: (evaluations) => {
      const fewer = Math.min(directions, Math.max(1, Math.floor((evaluations - 1) / 2)));
      return ars({ directions: fewer, top: Math.min(top, fewer), mu });
    },
    async estimate(objective, sample, context) {
      const call = callOptionsOf(objective, context);
      const drawn = { distribution: 'gaussian', perTensor: false, seed: context.seed } as const;
      const queries = { queries: directions, distances: [mu, -mu], ...drawn, ...call };
      const { base, lines, queries: evaluations, failed, repeats } = await withLines(objective).along(sample, queries);
      const best = bestOf(lines, top);
      if (best.length === 0) throw new RefusedStepError('No direction has a loss on both sides');
      const { gradient, variances } = combined(objective, best, mu);
      return { loss: base.loss, gradient, queries: evaluations, failed, ...(repeats > 1 && { variances }) };
    },
  };
}

type Pair = readonly [plus: LossReading, minus: LossReading];

/** An objective that yields the losses of single directions. */
function withLines(objective: Objective): Required<Pick<Objective, 'along'>> {
  if (objective.along) return objective as Required<Pick<Objective, 'along'>>;
  throw expected('the objective of ars', 'a function or a box of minimize, which yields single losses', objective);
}

/** The `count` pairs with the least losses, in the order of their directions. */
function bestOf(lines: readonly (readonly (LossReading | undefined)[])[], count: number): Pair[] {
  const complete = lines.flatMap(([plus, minus]) => (plus && minus ? [[plus, minus] as const] : []));
  const least = ([plus, minus]: Pair): number => Math.min(plus.loss, minus.loss);
  const chosen = new Set(complete.toSorted((a, b) => least(a) - least(b)).slice(0, count));
  return complete.filter((pair) => chosen.has(pair));
}

/** ĝ, and its variances for a given σ. */
function combined(
  { parameters }: Objective,
  pairs: readonly Pair[],
  mu: number,
): Pick<Awaited<ReturnType<Estimator['estimate']>>, 'gradient'> & { variances: Float64Array } {
  const losses = pairs.flatMap(([plus, minus]) => [plus.loss, minus.loss]);
  const centre = mean(losses);
  const deviation = Math.sqrt(sum(losses.map((loss) => (loss - centre) ** 2)) / losses.length);
  const gradient = new (arrayType(parameters))(parameters.length);
  const variances = new Float64Array(parameters.length);
  if (deviation === 0) return { gradient, variances };
  const scale = 1 / (pairs.length * deviation);
  for (const [plus, minus] of pairs) {
    const weight = scale * (plus.loss - minus.loss);
    const variance = scale ** 2 * (plus.variance + minus.variance);
    const [above, below] = [plus.point(), minus.point()];
    // Bounds and resolution may shorten the move: what counts is the move that was made.
    for (let i = 0; i < gradient.length; i++) {
      const entry = (above[i]! - below[i]!) / (2 * mu);
      gradient[i]! += weight * entry;
      variances[i]! += variance * entry ** 2;
    }
  }
  return { gradient, variances };
}
