/**
 * Where an estimator's queries wait for answers, whoever gives them, in any order.
 *
 * @module
 */
import { InvalidArgumentError, quote } from '../support/errors.js';
import type { Journal } from './journal.js';
import type { Answer, NoAnswer, Outcome, Query } from './query.js';
import { checkedAnswer } from './query.js';

/** Evaluations that were paid for. */
export interface Counts {
  /** Queries handed out, repeated attempts included. */
  evaluations: number;
  /** Answers without a loss. */
  failed: number;
}

/** No more evaluations may be made. */
export class BudgetError extends Error {
  override readonly name = 'BudgetError';
}

interface Pending {
  readonly query: Query;
  readonly group: Group;
  /** Its place in the group. */
  readonly at: number;
  attempts: number;
  state: 'new' | 'ready' | 'in flight' | 'settled';
}

/** Queries that an estimator waits for together. */
interface Group {
  readonly outcomes: Outcome[];
  left: number;
  readonly onProgress: ((done: number, total: number) => void) | undefined;
  readonly resolve: (outcomes: readonly Outcome[]) => void;
  readonly reject: (error: unknown) => void;
}

export class Exchange {
  readonly counts: Counts = { evaluations: 0, failed: 0 };
  /** Attempts after the first. */
  readonly #retries: number;
  /** The most evaluations. */
  readonly #limit: number;
  readonly #journal: Journal | undefined;
  readonly #pending = new Map<string, Pending>();
  /** Those to hand out, from `#first` on, and some that have been settled since. */
  #ready: Pending[] = [];
  #first = 0;
  #inFlight = 0;
  #answered = 0;
  #waiters: (() => void)[] = [];
  #over = false;

  constructor({ retries, limit, journal }: { retries: number; limit: number; journal?: Journal | undefined }) {
    this.#retries = retries;
    this.#limit = limit;
    this.#journal = journal;
  }

  /** Evaluations that may still be made. */
  get left(): number {
    return this.#limit - this.counts.evaluations;
  }

  /** Losses received. */
  get answered(): number {
    return this.#answered;
  }

  /** Whether queries are posted that have no outcome. */
  get isWaiting(): boolean {
    return this.#pending.size > 0;
  }

  /** Whether no query will come any more. */
  get isOver(): boolean {
    return this.#over;
  }

  /**
   * Waits for the outcomes of queries. Those in the journal have theirs at once.
   *
   * @throws BudgetError if the evaluations left do not suffice.
   */
  post(queries: readonly Query[], onProgress?: (done: number, total: number) => void): Promise<readonly Outcome[]> {
    return new Promise((resolve, reject) => {
      const outcomes = new Array<Outcome>(queries.length);
      const group: Group = { outcomes, left: queries.length, onProgress, resolve, reject };
      for (const [at, query] of queries.entries()) {
        this.#pending.set(query.id, { query, group, at, attempts: 0, state: 'new' });
      }
      for (const { id } of queries) this.#replay(this.#pending.get(id)!);
      this.#wake();
    });
  }

  #replay(pending: Pending): void {
    while (pending.state !== 'settled') {
      const answer = this.#journal?.take(pending.query);
      if (answer === undefined) {
        this.#queue(pending);
        return;
      }
      this.counts.evaluations += 1;
      this.#take(pending, answer);
    }
  }

  #queue(pending: Pending): void {
    pending.state = 'ready';
    this.#ready.push(pending);
  }

  /** Hands out at most `count` queries. */
  ask(count: number): Query[] {
    const asked: Query[] = [];
    while (asked.length < count) {
      const pending = this.#ready[this.#first];
      if (!pending || (pending.state === 'ready' && this.left <= 0)) break;
      this.#first += 1;
      if (pending.state !== 'ready') continue;
      pending.state = 'in flight';
      this.#inFlight += 1;
      this.counts.evaluations += 1;
      asked.push(pending.query);
    }
    if (this.#first === this.#ready.length) {
      this.#ready = [];
      this.#first = 0;
    }
    if (this.isWaiting && this.#inFlight === 0 && this.left <= 0) {
      this.fail(new BudgetError(`The budget of ${this.#limit} evaluations is used up within a step`));
    }
    return asked;
  }

  /** Whether an answer to this query can be taken. */
  expects(id: string): boolean {
    const pending = this.#pending.get(id);
    return pending !== undefined && (pending.state === 'in flight' || pending.attempts > 0);
  }

  /**
   * Takes an answer, and writes it to the journal first.
   *
   * @throws InvalidArgumentError if the id is not that of a query that was asked and has no outcome, or the answer is none.
   */
  tell(id: string, answer: Answer): void {
    const pending = this.#pending.get(id);
    if (!pending || !this.expects(id)) {
      throw new InvalidArgumentError(
        `Expected the id of a query that was asked for and has no answer yet, received ${quote(id)}`,
      );
    }
    const checked = checkedAnswer(answer);
    this.#journal?.record(pending.query, checked);
    const wasInFlight = pending.state === 'in flight';
    if (wasInFlight) this.#inFlight -= 1;
    this.#take(pending, checked);
    if (pending.state !== 'settled' && wasInFlight) this.#queue(pending);
    this.#wake();
  }

  /** Counts an answer; without a loss, the query stays pending as long as it may be asked again. */
  #take(pending: Pending, answer: Answer): void {
    if (typeof answer === 'number') {
      this.#answered += 1;
      this.#settle(pending, { loss: answer });
      return;
    }
    this.counts.failed += 1;
    pending.attempts += 1;
    if ('infeasible' in answer || pending.attempts > this.#retries) this.#settle(pending, { reason: reasonOf(answer) });
  }

  #settle(pending: Pending, outcome: Outcome): void {
    const { query, group, at } = pending;
    this.#pending.delete(query.id);
    pending.state = 'settled';
    group.outcomes[at] = outcome;
    group.left -= 1;
    const total = group.outcomes.length;
    group.onProgress?.(total - group.left, total);
    if (group.left === 0) group.resolve(group.outcomes);
  }

  /** Gives up every query that has no outcome. */
  fail(error: unknown): void {
    const groups = new Set([...this.#pending.values()].map(({ group }) => group));
    this.#pending.clear();
    this.#ready = [];
    this.#first = 0;
    this.#inFlight = 0;
    for (const { reject } of groups) reject(error);
    this.#wake();
  }

  /** No more queries will come. */
  close(): void {
    this.#over = true;
    this.#wake();
  }

  /** Resolves when queries were posted, or there is another reason to look again. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}

function reasonOf(answer: NoAnswer): string {
  return 'failed' in answer ? answer.failed : answer.infeasible;
}
