/**
 * Whether a step has losses enough.
 *
 * @module
 */
import type { Outcome, Query } from './query.js';

/** What queries have yielded so far. */
export type Outcomes = readonly (Outcome | undefined)[];

/** Counts the queries of a step that have no loss, and says when the step is to be refused. */
export class Losses {
  readonly #queries: readonly Query[];
  readonly #repeats: number;
  readonly #mayFail: number;
  failed = 0;
  /** Why the step is refused. */
  problem: string | undefined;

  constructor(queries: readonly Query[], repeats: number, mayFail: number) {
    this.#queries = queries;
    this.#repeats = repeats;
    this.#mayFail = mayFail;
  }

  /** Whether the others need not be asked, now that evaluation number `at` has no loss. The first query is at the base point. */
  areLost(outcomes: Outcomes, at: number): boolean {
    const number = Math.floor(at / this.#repeats);
    const own = outcomes.slice(number * this.#repeats, (number + 1) * this.#repeats);
    if (!own.every((outcome) => outcome && outcome.loss === undefined)) return false;
    this.failed += 1;
    const others = this.#queries.length - 1;
    if (number === 0) {
      this.problem = `There is no loss at ${this.#queries[0]!.id}: ${own[0]!.reason!}`;
    } else if (this.failed > this.#mayFail * others) {
      const { reason } = outcomes.find((outcome) => outcome && outcome.loss === undefined)!;
      const share = `${this.failed} of ${others} queries have no answer, more than the fraction ${this.#mayFail}`;
      this.problem = `${share} that mayFail allows; the first: ${reason!}`;
    }
    return this.problem !== undefined;
  }
}
