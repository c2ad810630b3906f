import * as v from 'valibot';

import { checked, leaf, parseOptions, queryCount, smoothing } from '../support/schema.js';
import type { Batch } from '../data/dataset.js';
import type { EstimateContext, Estimator } from './estimator.js';
import { callOptionsOf } from './estimator.js';
import type { CallOptions } from '../native/jobs.js';
import type { Model } from '../model/model.js';
import { NonFiniteLossError } from '../model/non-finite.js';
import type { ForwardOptions } from '../model/options.js';
import { sgd } from '../optimizers/optimizers.js';
import { Random } from '../native/random.js';

export const patternSearchOptions = v.strictObject({
  /** How far a trial moves a parameter at the first step, > 0 in float32. */
  radius: smoothing,
  /** The factor of the radius after every step, > 0 and <= 1; default: 1, a constant radius. */
  decay: v.optional(
    leaf<number>('number', 'a number > 0 and <= 1', (value) => typeof value === 'number' && value > 0 && value <= 1),
    1,
  ),
  /** Trials per step, each a loss evaluation, an integer from 1 to 2³¹ − 1. */
  queries: queryCount,
});
/** How far and how often a step tries. */
export interface PatternSearchOptions extends v.InferInput<typeof patternSearchOptions> {}

/**
 * Pattern Search (Chiang et al., ICLR 2023, "Loss Landscapes are All You Need"): a coordinate search that needs nothing of the
 * loss but which of two values is smaller. A step makes `queries` trials one after the other, from x = θ on:
 *
 *     i ~ uniform over all parameters;  try x + r·e_i, and if the loss does not fall x − r·e_i;  x ← the trial if it falls
 *     ĝ = −(x − θ),   r = radius·decay^step
 *
 * Not a gradient but the move to make: under `sgd({ lr: 1 })`, and `train` takes no other optimizer, the update ends at x to the
 * bit. Every trial counts, also the one to the other side, so that a step makes exactly 1 + `queries` evaluations; its last
 * trial may leave the other side untried. What is tried is a pure function of (seed, step). Losses are those of the step's
 * batch with batch norm in training mode; a loss that is not finite is no improvement.
 *
 * Where we differ: the authors start at a radius of 1, take the first improvement among all 2d signed coordinates in random
 * order as a step of its own, on one batch that never changes, and halve the radius when none of the 2d improves. On
 * mini-batches "none improves" tells more of the batch than of the radius, and trying all 2d is more than a step can pay for.
 * So here trials per step are bounded, coordinates are drawn with replacement, and the radius shrinks with the steps done
 * whatever the trials found: it is no state that a checkpoint would have to hold.
 *
 * @throws InvalidArgumentError if an option is out of range or unknown, or the radius has decayed below what float32 can hold.
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
    async estimate(model, batch, context) {
      const { signal } = callOptionsOf(model, context);
      const { step } = context;
      const reach = checked(smoothing, radius * decay ** step, `radius·decay^${step}`);
      const start = model.parameters.slice();
      const { loss, outputs, statistics } = await model.forward(batch, { at: start, training: true, signal, step });
      const move = await search(model, batch, context, { start, loss, radius: reach, queries });
      return { loss, outputs, statistics, gradient: move.map((value) => 0 - value), queries: 1 + queries };
    },
  };
}

interface Search {
  /** The parameters that the search starts from, and the loss there. */
  start: Float32Array;
  loss: number;
  radius: number;
  queries: number;
}

/** The sum of the moves that lowered the loss, each tried from where those before it had led. */
async function search(
  model: Model,
  batch: Batch,
  context: EstimateContext,
  { start, loss, radius, queries }: Search,
): Promise<Float32Array> {
  const { seed, step, signal, onProgress } = context;
  const trial = start.slice();
  const move = new Float32Array(start.length);
  const random = new Random(seed, 'trials', step);
  const report = atMostEvery(50, onProgress);
  let least = loss;
  let at = 0;
  let retreat = false;
  for (let done = 0; done < queries; done++) {
    if (!retreat) at = random.integer(start.length);
    const before = move[at]!;
    move[at] = before + (retreat ? -radius : radius);
    // From the start and the rounded move, as an optimizer adds them, so that its update ends where the trials did.
    trial[at] = start[at]! + move[at]!;
    const found = await lossOf(model, batch, { at: trial, signal, step });
    if (found < least) {
      least = found;
      retreat = false;
    } else {
      move[at] = before;
      trial[at] = start[at]! + before;
      retreat = !retreat;
    }
    report?.(done + 1, queries);
  }
  return move;
}

/** Infinite where the trial went too far to have a loss. */
async function lossOf(model: Model, batch: Batch, options: ForwardOptions): Promise<number> {
  try {
    return (await model.forward(batch, { training: true, ...options })).loss;
  } catch (error) {
    if (error instanceof NonFiniteLossError) return Infinity;
    throw error;
  }
}

function atMostEvery(milliseconds: number, report: CallOptions['onProgress']): CallOptions['onProgress'] {
  if (!report) return undefined;
  let last = performance.now();
  return (done, total) => {
    if (performance.now() - last < milliseconds) return;
    last = performance.now();
    report(done, total);
  };
}
