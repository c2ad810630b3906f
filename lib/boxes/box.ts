/**
 * What answers queries: the contract of transports, and plain functions.
 *
 * @module
 */
import * as v from 'valibot';

import type { Answer, Query } from '../objectives/query.js';
import { asAnswer } from '../objectives/query.js';
import { untilAborted } from '../support/duration.js';
import { show } from '../support/errors.js';
import { integer, parseOptions } from '../support/schema.js';

/** What a box is told beside the queries. */
export interface BoxContext {
  /**
   * Aborts when nobody takes a loss any more: the time is up, with a reason whose name is `TimeoutError`; or the queries' step was
   * given up, or the run ends.
   */
  readonly signal: AbortSignal;
  /** Whether one of the queries failed before and is asked for the last time. Default: false. */
  readonly lastAttempt?: boolean;
  /** Awaits a promise while the timeout's time stands still, for a box that cannot begin with the queries yet. */
  readonly untimed?: <T>(wait: Promise<T>) => Promise<T>;
}

/** Answers queries. A custom one can be given wherever a function can. */
export interface Box {
  /** Calls of `answer` at a time, an integer >= 1; default: 1. */
  readonly parallel?: number;
  /** Queries of one call, an integer >= 1; default: 1. */
  readonly batch?: number;
  /**
   * An answer for each query, in their order: a loss, `{ failed: reason }` or `{ infeasible: reason }`. If it throws, all of them
   * failed. A box that says soon why it ran out of time has its reason in the failure.
   */
  answer(queries: readonly Query[], context: BoxContext): Promise<readonly Answer[]>;
  /** Ends processes and connections, after the last answer. */
  close?(): Promise<void> | void;
}

/** An answer for each query, or failures: which query an answer belongs to is its place alone. */
export function listed(answers: unknown, queries: readonly Query[]): Answer[] {
  if (Array.isArray(answers) && answers.length === queries.length) return answers.map(asAnswer);
  const failed = `expected a list of ${queries.length} from the box, received ${show(answers)}`;
  return queries.map(() => ({ failed }));
}

/** What a function is told beside the point. */
export interface LossContext {
  /** The query's id. */
  readonly id: string;
  /** The step of the query. */
  readonly step: number;
  /** What all queries of the step share. */
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
/** The options of `functionBox`. */
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
