/**
 * The options of a run over a black box, what it yields, and what follows from them.
 *
 * @module
 */
import * as v from 'valibot';

import type { GradientEstimate } from '../estimators/estimator.js';
import { blackBoxOptions } from '../objectives/black-box.js';
import type { EvaluationCounts } from '../objectives/exchange.js';
import type { ParameterTensor } from '../objectives/objective.js';
import * as schema from '../support/schema.js';
import { estimatorPart, openFolder, optimizerPart } from './options.js';
import type { RunEnd } from './record/record.js';

export const budgetOptions = v.strictObject({
  /** The most losses to ask for, repeated attempts included, an integer >= 1. It is never exceeded. */
  evaluations: v.optional(schema.integer(1)),
  /** Seconds, > 0; a step in progress is given up. */
  seconds: v.optional(schema.positive),
  /**
   * The most steps, an integer >= 1; one back from a point that the box cannot take is among them. Schedules of the learning rate
   * need it or `evaluations`, and count updates alone.
   */
  steps: v.optional(schema.integer(1)),
});

export const searchOptions = v.strictObject({
  ...blackBoxOptions.entries,
  /** `cge`, `rge`, `patternSearch` or a custom one. */
  estimator: estimatorPart,
  /** `sgd`, `adam` or a custom one. */
  optimizer: optimizerPart,
  /** When the run ends at the latest; at least one of `evaluations`, `seconds` and `steps`. */
  budget: budgetOptions,
  /** The run ends at a loss at most this large. Default: none. */
  target: v.optional(schema.finite),
  /** The run has converged when a step moves no parameter by more than this, >= 0. Default: it runs on. */
  tolerance: v.optional(schema.nonNegative),
  /** Fixes masks and directions; an integer from 0 to 2⁵³ − 1, default: 0. */
  seed: v.optional(schema.seed, 0),
  /** What all queries of a step share, such as a mini-batch or a simulator's seed; default: the step's number. */
  sample: v.optional(schema.callback<(step: number) => unknown>()),
  /** A file that keeps every answer. A run that is started again with it asks only for what is missing, to the same bits. */
  journal: v.optional(schema.string),
  /**
   * An open folder for the journal, and for a log and what else `train` writes into one; a run that is started again with it goes on.
   * In the log, steps count updates.
   */
  folder: v.optional(openFolder),
  /** Ends the run; a step in progress is given up. */
  signal: v.optional(schema.abortSignal),
  /** Called after every update. A step back from a point that the box cannot take makes none: its number is left out. */
  onStep: v.optional(schema.callback<(step: MinimizeStep) => void>()),
});
/** The options of `Search.open`. */
export interface SearchOptions extends v.InferInput<typeof searchOptions> {}

/** An update in a run over a black box. */
export interface MinimizeStep extends EvaluationCounts {
  /** Of the run, from 0, steps back included. */
  step: number;
  /** At the point before the update. */
  loss: number;
  /** Learning rate of the update. */
  lr: number;
  /** The point after the update, a copy. */
  x: Float64Array;
  /** Queries of this step that have no answer after all attempts. */
  unanswered: number;
  /**
   * With `repeats`, of each tensor by name: the length of its gradient over the length of its standard errors. Below 1, the step is
   * mostly noise.
   */
  signalToNoise?: Readonly<Record<string, number>>;
}

/** Why a run ended. */
export type StopReason = 'budget' | 'target' | 'converged' | 'signal' | 'failures';

/** The result of `minimize`, and of a `Search`. */
export interface MinimizeResult extends EvaluationCounts {
  /** The point with the smallest loss of those that steps started from and of the end. */
  x: Float64Array;
  /** Its loss; NaN if the run ended before the first step had one. */
  loss: number;
  /** Updates, and steps back from points that the box cannot take. */
  steps: number;
  /** Why the run ended. */
  stopped: StopReason;
  /** The reason in a sentence. */
  message: string;
}

/** How a folder's status tells why a run ended. */
export const STATES = {
  budget: 'finished',
  target: 'finished',
  converged: 'finished',
  signal: 'stopped',
  failures: 'failed',
} as const satisfies Record<StopReason, RunEnd['state']>;

/** Updates of the whole run, for schedules. */
export function lengthOf(
  { steps, evaluations = Infinity }: v.InferOutput<typeof budgetOptions>,
  queriesPerStep: number,
): number {
  return Math.min(steps ?? Infinity, Math.floor(evaluations / queriesPerStep));
}

export function signalToNoise(
  tensors: readonly ParameterTensor[],
  { gradient, variances }: GradientEstimate,
): Record<string, number> {
  const of = ({ offset, size }: ParameterTensor): number => {
    let [squares, noise] = [0, 0];
    for (let i = offset; i < offset + size; i++) {
      squares += gradient[i]! ** 2;
      noise += variances![i]!;
    }
    return Math.sqrt(squares / noise);
  };
  return Object.fromEntries(tensors.map((tensor) => [tensor.name, of(tensor)]));
}
