/**
 * Queries and answers of black boxes.
 *
 * @module
 */
import { show } from '../support/errors.js';
import { expected, isObject } from '../support/schema.js';
import type { DirectionDraw } from './directions.js';
import type { ParameterTensor } from './objective.js';

/** A point where a loss is asked for, near the base point of its step. */
export interface Query {
  /**
   * Unique in a run, and a pure function of the query: `3.c17+` is at step 3, coordinate 17 moved up. `b` is the base point,
   * `c` a coordinate, `d` a direction, `t` a trial; a repeat has its number behind a dot.
   */
  readonly id: string;
  /** Of the run, from 0; of `suggestMu` and `zoGraspBox`, the number of the losses that are asked for together. */
  readonly step: number;
  /** What all queries of the step share: the step itself unless the run has samples of its own. */
  readonly sample: unknown;
  /** All parameters, in the order of the point. */
  readonly tensors: readonly ParameterTensor[];
  /** The base point, rounded to the resolution: that of the step, or of a trial the trial itself. Not to be written to. */
  readonly base: Float64Array;
  /** The entries that differ from the base point, with their values; absent where a direction moves all. */
  readonly changes?: readonly (readonly [index: number, value: number])[];
  /** The direction that moves the base point, and how far. */
  readonly direction?: DirectionDraw & {
    /** The number of the direction in its step. */
    readonly query: number;
    /** Its multiple that is added to the base point. */
    readonly mu: number;
    /** Whether the point is then rounded to bounds or a resolution. */
    readonly rounded: boolean;
  };
  /** The whole point, a new array. */
  point(): Float64Array;
}

/** No loss, and why. A failure is asked for again; a point that the box cannot take is not. */
export type NoAnswer =
  | {
      /** Why; shown to the user. */
      readonly failed: string;
    }
  | {
      /** Why; shown to the user. */
      readonly infeasible: string;
    };

/** A finite loss, or why there is none. */
export type Answer = number | NoAnswer;

/** An answer as it is counted: a loss that is not finite is a failure. */
export function checkedAnswer(answer: unknown): Answer {
  // JSON has no −0.
  if (typeof answer === 'number') return Number.isFinite(answer) ? answer + 0 : { failed: `the loss is ${answer}` };
  if (isObject(answer)) {
    const { failed, infeasible } = answer;
    if (typeof failed === 'string') return { failed };
    if (typeof infeasible === 'string') return { infeasible };
  }
  throw expected('the answer', 'a loss, { failed: reason } or { infeasible: reason }', answer);
}

/** What a value that should be an answer is, as a failure. */
export function asAnswer(value: unknown): Answer {
  try {
    return checkedAnswer(value);
  } catch {
    return { failed: `the answer is ${show(value)}, not a number` };
  }
}
