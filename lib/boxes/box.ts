/**
 * What answers queries: the contract of transports, and plain functions.
 *
 * @module
 */
import * as v from 'valibot';

import type { Answer, Query } from '../objectives/query.js';
import { asAnswer } from '../objectives/query.js';
import { untilAborted } from '../support/duration.js';
import { integer, parseOptions } from '../support/schema.js';

/** Answers queries. A custom one can be given wherever a function can. */
export interface Box {
  /** Calls of `answer` at a time, an integer >= 1; default: 1. */
  readonly parallel?: number;
  /** Queries of one call, an integer >= 1; default: 1. */
  readonly batch?: number;
  /**
   * An answer for each query, in their order: a loss, `{ failed: reason }` or `{ infeasible: reason }`. If it throws, all of them
   * failed. When `signal` aborts, nobody takes a loss any more: the time is up, the queries' step was given up, or the run ends. A
   * box that says soon why it ran out of time has its reason in the failure.
   */
  answer(queries: readonly Query[], context: { signal: AbortSignal }): Promise<readonly Answer[]>;
  /** Ends processes and connections, after the last answer. */
  close?(): Promise<void> | void;
}

/** What a function is told beside the point. */
export interface LossContext {
  /** The query's id, its step and the sample of the step. */
  readonly id: string;
  readonly step: number;
  readonly sample: unknown;
  /** Aborts when nobody waits for the loss any more. */
  readonly signal: AbortSignal;
}

/** A loss at a point: a number, or `{ failed }` or `{ infeasible }` with a reason. An exception is a failure. */
export type LossFunction = (x: Float64Array, context: LossContext) => Answer | Promise<Answer>;

export const functionBoxOptions = v.strictObject({
  /** Calls of the function at a time, an integer >= 1; default: 1. */
  parallel: v.optional(integer(1), 1),
});
export interface FunctionBoxOptions extends v.InferInput<typeof functionBoxOptions> {}

/**
 * A function as a box. `minimize` makes one of every function that it is given.
 *
 * @throws InvalidArgumentError if an option is out of range or unknown.
 * @example await minimize(functionBox(loss, { parallel: 4 }), x0, options)
 */
export function functionBox(loss: LossFunction, options: FunctionBoxOptions = {}): Box {
  const { parallel } = parseOptions(functionBoxOptions, options, 'functionBox');
  return {
    parallel,
    async answer(queries, { signal }) {
      const answers: Answer[] = [];
      for (const query of queries) {
        const { id, step, sample } = query;
        const answer = loss(query.point(), { id, step, sample, signal });
        answers.push(
          asAnswer(typeof answer === 'number' ? answer : await untilAborted(Promise.resolve(answer), signal)),
        );
      }
      return answers;
    },
  };
}
