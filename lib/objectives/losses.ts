/**
 * Whether a step has losses enough.
 *
 * @module
 */
import type { Answer, NoAnswer, Query } from './query.js';

/** The last answers to queries, so far. */
export type Outcomes = readonly (Answer | undefined)[];

/** Counts the queries of a step that have no loss, and says when the step is to be refused. */
export class Losses {
  readonly #queries: readonly Query[];
  readonly #repeats: number;
  readonly #mayFail: number;
  failed = 0;
  /** Why the step is refused. */
  problem: string | undefined;
  /** Whether it is because the box cannot take the base point. */
  isInfeasible = false;

  constructor(queries: readonly Query[], repeats: number, mayFail: number) {
    this.#queries = queries;
    this.#repeats = repeats;
    this.#mayFail = mayFail;
  }

  /** Whether the others need not be asked, now that evaluation number `at` has no loss. The first query is at the base point. */
  areLost(outcomes: Outcomes, at: number): boolean {
    const number = Math.floor(at / this.#repeats);
    const own = outcomes.slice(number * this.#repeats, (number + 1) * this.#repeats);
    if (!own.every(isNoAnswer)) return false;
    this.failed += 1;
    const others = this.#queries.length - 1;
    if (number === 0) {
      this.problem = `There is no loss at ${this.#queries[0]!.id}: ${reasonOf(own[0]!)}`;
      this.isInfeasible = own.some((outcome) => 'infeasible' in outcome);
    } else if (this.failed > this.#mayFail * others) {
      const share = `${this.failed} of ${others} queries have no answer, more than the fraction ${this.#mayFail}`;
      this.problem = `${share} that mayFail allows; the first: ${reasonOf(outcomes.find(isNoAnswer)!)}`;
    }
    return this.problem !== undefined;
  }
}

function isNoAnswer(outcome: Answer | undefined): outcome is NoAnswer {
  return typeof outcome === 'object';
}

function reasonOf(answer: NoAnswer): string {
  return 'failed' in answer ? answer.failed : answer.infeasible;
}
