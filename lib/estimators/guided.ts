import * as v from 'valibot';

import type { CoordinateQueries, DifferenceResult, DirectionQueries, Objective } from '../objectives/objective.js';
import { direction } from '../objectives/directions.js';
import { InvalidArgumentError } from '../support/errors.js';
import type { Reals } from '../support/reals.js';
import { checked, expected, isObject, leaf, parseOptions, string } from '../support/schema.js';
import type { EstimateContext, Estimator } from './estimator.js';

/** A gradient that is only near the loss's: of a simpler model of what cannot be differentiated. */
export interface Surrogate {
  /** Stands for the surrogate in checkpoints: a run resumes only with an equal name. */
  readonly name: string;
  /**
   * A finite number for every parameter, at the objective's parameters and on the sample; a pure function of these and the context. Of
   * `train` the objective is the `Model` and the sample the mini-batch, a `Batch`.
   */
  gradient(
    objective: Objective,
    sample: unknown,
    context: EstimateContext,
  ): ArrayLike<number> | Promise<ArrayLike<number>>;
}

export const guidedOptions = v.strictObject({
  /** `cge` or `rge`, or a custom estimator that is linear in the loss. */
  estimator: leaf<Estimator>('other', 'an estimator, such as cge(…) or rge(…)', (value) => {
    return isObject(value) && typeof value['estimate'] === 'function';
  }),
  /** `{ name, gradient }`, what is known about the gradient without a query. */
  surrogate: leaf<Surrogate>('other', 'an object with a name and a function gradient', (value) => {
    return isObject(value) && typeof value['gradient'] === 'function';
  }),
});
/** The options of `guided`. */
export interface GuidedOptions extends v.InferInput<typeof guidedOptions> {}

/**
 * A surrogate gradient g̃ as the control variate of an estimator E (compare Guided ES, Maheswaranathan et al., ICML 2019):
 *
 *     ĝ = E[ℓ] + g̃ − E[⟨g̃, θ⟩],   with the same coordinates or directions in both, without those whose queries fail.
 *
 * The queries measure only what the surrogate does not know. Under a mask of sparse-CGE, entries that are queried are those of CGE, and
 * the others are the surrogate's instead of 0. Of RGE with Gaussian directions the expectation stays ∇ℓ, as μ → 0, and the variance is that
 * of a loss whose gradient is ∇ℓ − g̃: less by the square of the surrogate's relative error. Where E[u·uᵀ] is not I, use
 * `scale: 'unbiased'`. No query is added. Where a query of CGE fails, the entry is the surrogate's. A custom estimator must hand on `missing` of
 * its objective's differences where queries may fail.
 *
 * Difference from the source: Guided ES draws its directions from the surrogates' subspace; here they stay as they are.
 *
 * @throws InvalidArgumentError if an option is wrong or unknown, the estimator yields a move instead of a gradient, or, from an estimate, the
 *   surrogate's gradient is not of the parameters' length or not finite.
 * @example
 * const surrogate: Surrogate = { name: 'no coupling', gradient: ({ parameters: [a, b] }) => [2 * (a - 1), 4 * (b + 2)] };
 * const estimator = guided({ estimator: rge({ mu: 1e-3, queries: 2 }), surrogate });
 * await minimize(([a, b]) => (a - 1) ** 2 + 2 * (b + 2) ** 2 + 0.1 * a * b, [0, 0], { estimator, optimizer: sgd({ lr: 0.1 }), budget: { steps: 50 } });
 */
export function guided(options: GuidedOptions): Estimator {
  const { estimator, surrogate } = parseOptions(guidedOptions, options, 'guided');
  const name = checked(string, surrogate.name, 'surrogate.name');
  if ((estimator.config as { kind?: unknown }).kind === 'ars') {
    throw new InvalidArgumentError('Expected estimator to be linear in the loss, as cge and rge are, received ars');
  }
  if (estimator.optimizer) {
    throw new InvalidArgumentError('Expected estimator to yield a gradient, received one that yields a move');
  }
  return {
    config: { kind: 'guided', estimator: estimator.config, surrogate: name },
    queriesPerStep: (objective) => estimator.queriesPerStep(objective),
    ...(estimator.coordinates && { coordinates: (objective, position) => estimator.coordinates!(objective, position) }),
    sample: (queries) => guided({ surrogate, estimator: estimator.sample(queries) }),
    async estimate(objective, sample, context) {
      // Before queries are spent.
      const known = numbersOf(await surrogate.gradient(objective, sample, context), objective.parameters, name);
      const estimate = await estimator.estimate(objective, sample, context);
      const linear = new Linear(objective, known, estimate.missing);
      const { seed, step, epoch } = context;
      const seen = await estimator.estimate(linear, sample, { seed, step, epoch });
      return { ...estimate, gradient: estimate.gradient.map((value, i) => value + (known[i]! - seen.gradient[i]!)) };
    },
  };
}

function numbersOf(gradient: ArrayLike<number>, parameters: Reals, name: string): Float64Array {
  const what = `the gradient of the surrogate "${name}"`;
  const { length } = Object(gradient) as Partial<ArrayLike<number>>;
  if (length !== parameters.length) throw expected(what, `${parameters.length} numbers`, gradient);
  const numbers = Float64Array.from(gradient);
  const wrong = numbers.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) throw expected(`${what} at ${wrong}`, 'finite', gradient[wrong]);
  return numbers;
}

/**
 * The loss ⟨g̃, θ⟩ less its value at the objective's parameters, whose differences are known without a query. Those that are missing of the
 * objective's loss are missing here.
 */
class Linear implements Objective {
  readonly parameters: Reals;
  readonly tensors: Objective['tensors'];
  readonly #gradient: Float64Array;
  readonly #missing: ReadonlySet<number>;

  constructor({ parameters, tensors }: Objective, gradient: Float64Array, missing: Iterable<number> = []) {
    this.parameters = parameters;
    this.tensors = tensors;
    this.#gradient = gradient;
    this.#missing = new Set(missing);
  }

  coordinatewise(_: unknown, { coordinates }: CoordinateQueries): Promise<DifferenceResult> {
    const values = Float64Array.from(coordinates, (i, at) => (this.#missing.has(at) ? 0 : this.#gradient[i]!));
    return Promise.resolve({ loss: 0, queries: 0, values });
  }

  randomized(_: unknown, options: DirectionQueries): Promise<DifferenceResult> {
    const { queries, distribution, perTensor, seed, step = 0 } = options;
    const values = new Float64Array(this.parameters.length);
    const used = queries - this.#missing.size;
    for (let query = 0; query < queries; query++) {
      if (this.#missing.has(query)) continue;
      const draw = { seed, stream: 'directions', index: step, distribution, perTensor } as const;
      const along = direction(this.tensors, draw, query);
      const slope = along.reduce((sum, entry, i) => sum + entry * this.#gradient[i]!, 0);
      along.forEach((entry, i) => {
        values[i]! += (slope * entry) / used;
      });
    }
    return Promise.resolve({ loss: 0, queries: 0, values });
  }

  lossAt(_: unknown, at: Reals): Promise<{ loss: number }> {
    return Promise.resolve({
      loss: at.reduce((sum, value, i) => sum + this.#gradient[i]! * (value - this.parameters[i]!), 0),
    });
  }
}
