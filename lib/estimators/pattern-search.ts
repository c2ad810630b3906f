import * as v from 'valibot';

import { decayFactor, parseOptions, queryCount, smoothing } from '../support/schema.js';
import type { EstimateContext, Estimator } from './estimator.js';
import { callOptionsOf } from './estimator.js';
import type { CallOptions } from '../native/jobs.js';
import { atMostEvery } from '../native/jobs.js';
import { RefusedStepError } from '../objectives/black-box.js';
import type { Objective } from '../objectives/objective.js';
import type { Reals } from '../support/reals.js';
import { arrayType } from '../support/reals.js';
import { NonFiniteLossError } from '../model/non-finite.js';
import { sgd } from '../optimizers/optimizers.js';
import { Random } from '../native/random.js';

export const patternSearchOptions = v.strictObject({
  /** The distance by which a trial moves a parameter at the first step, > 0 in float32. */
  radius: smoothing,
  /** The factor of the radius after every step, > 0 and <= 1; default: 1, a constant radius. */
  decay: v.optional(decayFactor, 1),
  /** Trials per step, each a loss evaluation, an integer from 1 to 2³¹ − 1. */
  queries: queryCount,
});
/** The least normal number in float32. */
const LEAST_RADIUS = 2 ** -126;

/** The distance and the number of trials. */
export interface PatternSearchOptions extends v.InferInput<typeof patternSearchOptions> {}

/**
 * Pattern Search (Chiang et al., ICLR 2023, "Loss Landscapes are All You Need"): a coordinate search that only compares loss
 * values. A step makes `queries` trials one after the other, starting at x = θ:
 *
 *     i ~ uniform over all parameters;  try x + r·e_i, then x − r·e_i unless the loss fell;  x ← the trial if the loss fell
 *     ĝ = −(x − θ),   r = radius·decay^step
 *
 * ĝ is not a gradient but the negative move: `train` accepts only `sgd({ lr: 1 })` with it, whose update ends exactly at x.
 * Each trial is a query, also the one in the opposite direction, so a step makes exactly 1 + `queries` evaluations; the opposite
 * direction of the last trial may remain untried. The trials are a pure function of (seed, step) and the losses. Losses are those
 * of the step's batch with batch norm in training mode; a loss that is not finite is no improvement.
 *
 * Differences from the source: the authors start at a radius of 1 and use one fixed batch. Each of their steps takes the first
 * improvement among all 2d signed coordinates in random order, and the radius is halved when none improves. On mini-batches
 * the lack of an improvement depends more on the batch than on the radius, and 2d trials are too many for a step. Therefore the
 * trials per step are bounded here, coordinates are drawn with replacement, and the radius decays with the steps, independently
 * of the trials, to no less than 2⁻¹²⁶: a checkpoint need not hold it.
 *
 * @throws InvalidArgumentError if an option is out of range or unknown.
 * @example train(model, trainSet, { estimator: patternSearch({ radius: 0.1, queries: 500 }), optimizer: sgd({ lr: 1 }), epochs: 5 })
 */
export function patternSearch(options: PatternSearchOptions): Estimator {
  const { radius, decay, queries } = parseOptions(patternSearchOptions, options, 'patternSearch');
  return {
    config: { kind: 'pattern-search', radius, decay, queries },
    optimizer: sgd({ lr: 1 }),
    queriesPerStep: () => 1 + queries,
    sample: (evaluations) =>
      patternSearch({ radius, decay, queries: Math.min(queries, Math.max(1, Math.floor(evaluations - 1))) }),
    async estimate(objective, sample, context) {
      const { signal } = callOptionsOf(objective, context);
      const { step } = context;
      const reach = Math.max(radius * decay ** step, LEAST_RADIUS);
      const start = objective.parameters.slice();
      const { queries: each = 1, ...base } = await objective.lossAt(sample, start, { signal, step });
      const options = { start, loss: base.loss, radius: reach, queries };
      const { move, failed } = await search(objective, sample, context, options);
      const gradient = move.map((value) => 0 - value);
      return { ...base, gradient, queries: each * (1 + queries), ...(failed > 0 && { failed }) };
    },
  };
}

interface Search {
  /** The initial parameters, and the loss there. */
  start: Reals;
  loss: number;
  radius: number;
  queries: number;
}

/** The sum of the moves that lowered the loss, each tried after the accepted ones before it; and how many trials have no loss. */
async function search(
  objective: Objective,
  sample: unknown,
  context: EstimateContext,
  { start, loss, radius, queries }: Search,
): Promise<{ move: Reals; failed: number }> {
  const { seed, step, signal, onProgress } = context;
  const trial = start.slice();
  const move = new (arrayType(start))(start.length);
  const random = new Random(seed, 'trials', step);
  const report = atMostEvery(50, onProgress);
  let least = loss;
  let at = 0;
  let retreat = false;
  let failed = 0;
  for (let done = 0; done < queries; done++) {
    if (!retreat) at = random.integer(start.length);
    const before = move[at]!;
    move[at] = before + (retreat ? -radius : radius);
    // The sum of the start and the rounded move, as the optimizer adds them, so that its update ends at the last accepted trial.
    trial[at] = start[at]! + move[at]!;
    const found = await lossOf(objective, sample, trial, { signal, step });
    if (found === undefined) failed += 1;
    if (found !== undefined && found < least) {
      least = found;
      retreat = false;
    } else {
      move[at] = before;
      trial[at] = start[at]! + before;
      retreat = !retreat;
    }
    report?.(done + 1, queries);
  }
  return { move, failed };
}

/** The loss of a trial, infinite if it is not finite; undefined where a black box has none. */
async function lossOf(
  objective: Objective,
  sample: unknown,
  at: Reals,
  call: CallOptions,
): Promise<number | undefined> {
  try {
    return (await objective.lossAt(sample, at, call)).loss;
  } catch (error) {
    if (error instanceof NonFiniteLossError) return Infinity;
    if (error instanceof RefusedStepError) return undefined;
    throw error;
  }
}
