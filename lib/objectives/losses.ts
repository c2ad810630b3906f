/**
 * Whether a step has losses enough.
 *
 * @module
 */
import type { Answer, NoAnswer, Query } from './query.js';

/** The last answers to queries, so far. */
export type Outcomes = readonly (Answer | undefined)[];

/** Counts the queries of a step that have no loss, and says when the step is to be refused: the same for answers in any order. */
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

  /** Whether the others need not be asked, now that evaluation number `at` has an outcome. The first query is at the base point. */
  areLost(outcomes: Outcomes, at: number): boolean {
    const first = at - (at % this.#repeats);
    if (outcomes.slice(first, first + this.#repeats).every(isNoAnswer)) this.failed += 1;
    const base = outcomes.slice(0, this.#repeats);
    const others = this.#queries.length - 1;
    if (base.every(isNoAnswer)) {
      this.problem = `There is no loss at the unperturbed point, query ${this.#queries[0]!.id}: ${reasonOf(base[0]!)}`;
      this.isInfeasible = base.some((outcome) => 'infeasible' in outcome);
    } else if (base.some(isLoss) && this.failed > this.#mayFail * others) {
      // Not before there is a loss at the base point: where the box cannot take that one, it can hardly take those around it.
      const share = `${this.failed} of ${others} queries have no answer, more than the fraction ${this.#mayFail}`;
      this.problem = `${share} that mayFail allows; the first: ${reasonOf(outcomes.find(isNoAnswer)!)}`;
    }
    return this.problem !== undefined;
  }
}

function isLoss(outcome: Answer | undefined): outcome is number {
  return typeof outcome === 'number';
}

function isNoAnswer(outcome: Answer | undefined): outcome is NoAnswer {
  return typeof outcome === 'object';
}

function reasonOf(answer: NoAnswer): string {
  return 'failed' in answer ? answer.failed : answer.infeasible;
}
