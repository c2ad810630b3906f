/**
 * Where an estimator's queries wait for answers, whoever gives them, in any order.
 *
 * @module
 */
import { setMaxListeners } from 'node:events';

import { InvalidArgumentError, quote } from '../support/errors.js';
import type { Entry, Journal } from './journal.js';
import type { Outcomes } from './losses.js';
import type { Answer, Query } from './query.js';
import { checkedAnswer } from './query.js';

/** Evaluations that were paid for. */
export interface EvaluationCounts {
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
  readonly outcomes: (Answer | undefined)[];
  left: number;
  readonly waiting: Waiting;
  /** Aborts when nobody waits for the answers any more. */
  readonly end: AbortController;
  readonly resolve: (outcomes: Outcomes) => void;
  readonly reject: (error: unknown) => void;
}

/** A query that was in flight when it was given up. */
interface GivenUp {
  readonly query: Query;
  /** Whether the journal counts its evaluation. */
  isCounted: boolean;
}

/** How an estimator waits for queries. */
export interface Waiting {
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** So many of the first are asked again before the others, which are worth nothing without them. Default: 0. */
  readonly urgent?: number;
  /** Whether the others need not be asked any more, now that there is an outcome at place `at`. */
  readonly isLost?: (outcomes: Outcomes, at: number) => boolean;
}

export class Exchange {
  readonly counts: EvaluationCounts = { evaluations: 0, failed: 0 };
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
  /** Queries that were in flight when they were given up. */
  readonly #givenUp = new Map<string, GivenUp>();
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

  /** Whether queries are posted that have no outcome. */
  get isWaiting(): boolean {
    return this.#pending.size > 0;
  }

  /** Whether no query will come any more. */
  get isOver(): boolean {
    return this.#over;
  }

  /** Aborts when nobody waits any more for the answer to a query in flight. */
  signalOf({ id }: Query): AbortSignal {
    return this.#pending.get(id)!.group.end.signal;
  }

  /** Whether a query in flight failed before, and another failure would be final. */
  isLastAttempt({ id }: Query): boolean {
    const { attempts } = this.#pending.get(id)!;
    return attempts > 0 && attempts >= this.#retries;
  }

  /**
   * Waits for the outcomes of queries. Those in the journal have theirs at once. Where the queries turn out to be lost, the others
   * have none.
   *
   * @throws BudgetError if the evaluations left do not suffice; InvalidArgumentError if one of the queries is waited for already;
   *   Error if the exchange is over; FileError if the journal cannot be written.
   */
  post(queries: readonly Query[], waiting: Waiting = {}): Promise<Outcomes> {
    const ids = new Set<string>();
    for (const { id } of queries) {
      if (ids.has(id) || this.#pending.has(id)) {
        const how =
          'coordinates must be distinct, and an estimate of a step be awaited before the next one of that step begins';
        throw new InvalidArgumentError(`Query ${quote(id)} is being asked already: ${how}`);
      }
      ids.add(id);
    }
    if (this.#over) return Promise.reject(new Error('The run was closed'));
    const settled = new Promise<Outcomes>((resolve, reject) => {
      const outcomes = new Array<Answer | undefined>(queries.length).fill(undefined);
      const group: Group = { outcomes, left: queries.length, waiting, end: endOfCalls(), resolve, reject };
      const posted = queries.map((query, at): Pending => ({ query, group, at, attempts: 0, state: 'new' }));
      for (const pending of posted) this.#pending.set(pending.query.id, pending);
      for (const pending of posted) this.#replay(pending);
      this.wake();
    });
    return settled.then((outcomes) => {
      this.#countGivenUp(queries);
      return outcomes;
    });
  }

  #replay(pending: Pending): void {
    while (pending.state !== 'settled') {
      const entry = this.#journal?.take(pending.query);
      if (entry === undefined) {
        this.#queue(pending);
        return;
      }
      this.#count(entry);
      if (entry.answer !== undefined && !entry.isVoid) this.#take(pending, entry.answer);
    }
  }

  /** Counts what an earlier run paid for. */
  #count({ answer, isLate }: Entry): void {
    if (!isLate) this.counts.evaluations += 1;
    if (typeof answer === 'object') this.counts.failed += 1;
  }

  #queue(pending: Pending): void {
    const { group, at, attempts } = pending;
    pending.state = 'ready';
    if (attempts > 0 && at < (group.waiting.urgent ?? 0)) this.#ready.splice(this.#first, 0, pending);
    else this.#ready.push(pending);
  }

  /** Hands out at most `count` queries, which one estimator waits for together. */
  ask(count: number): Query[] {
    const asked: Query[] = [];
    let group: Group | undefined;
    while (asked.length < count) {
      const pending = this.#ready[this.#first];
      if (!pending) break;
      if (pending.state === 'ready') {
        group ??= pending.group;
        if (this.left <= 0 || pending.group !== group) break;
        pending.state = 'in flight';
        this.#inFlight += 1;
        this.counts.evaluations += 1;
        asked.push(pending.query);
      }
      this.#first += 1;
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
    return pending ? pending.state === 'in flight' || pending.attempts > 0 : this.#givenUp.has(id);
  }

  /**
   * Takes an answer, and writes it to the journal first. One to a query that was given up is only written there.
   *
   * @throws InvalidArgumentError if the id is not that of a query that was asked and has no outcome, or the answer is none;
   *   FileError if it cannot be written: then it can be told again.
   */
  tell(id: string, answer: Answer): void {
    const pending = this.#pending.get(id);
    const expected = this.expects(id) ? (pending ?? this.#givenUp.get(id)) : undefined;
    if (!expected) {
      throw new InvalidArgumentError(
        `Expected the id of a query that was asked for and has no answer yet, received ${quote(id)}`,
      );
    }
    const checked = checkedAnswer(answer);
    const wasInFlight = pending?.state === 'in flight';
    const isLate = 'isCounted' in expected ? expected.isCounted : !wasInFlight;
    this.#journal?.record(expected.query, checked, isLate);
    this.#givenUp.delete(id);
    if (typeof checked === 'object') this.counts.failed += 1;
    if (!pending) return;
    if (wasInFlight) this.#inFlight -= 1;
    this.#take(pending, checked);
    if (pending.state !== 'settled' && wasInFlight) this.#queue(pending);
    this.wake();
  }

  /** Without a loss, the query stays pending as long as it may be asked again. */
  #take(pending: Pending, answer: Answer): void {
    pending.attempts += 1;
    const isFinal = typeof answer === 'number' || 'infeasible' in answer;
    if (isFinal || pending.attempts > this.#retries) this.#settle(pending, answer);
  }

  #settle(pending: Pending, outcome: Answer): void {
    const { query, group, at } = pending;
    this.#pending.delete(query.id);
    pending.state = 'settled';
    group.outcomes[at] = outcome;
    group.left -= 1;
    const total = group.outcomes.length;
    group.waiting.onProgress?.(total - group.left, total);
    if (group.waiting.isLost?.(group.outcomes, at)) {
      for (const other of this.#pending.values()) if (other.group === group) this.#giveUp(other);
      group.left = 0;
      group.end.abort(new Error('The step was given up'));
    }
    if (group.left === 0) group.resolve(group.outcomes);
  }

  #giveUp(pending: Pending): void {
    const { id } = pending.query;
    // Of an earlier run, which paid for them before it gave up the query.
    for (let entry; (entry = this.#journal?.take(pending.query)) !== undefined;) this.#count(entry);
    if (pending.state === 'in flight') {
      this.#inFlight -= 1;
      this.#givenUp.set(id, { query: pending.query, isCounted: false });
    }
    pending.state = 'settled';
    this.#pending.delete(id);
  }

  /** Notes in the journal the evaluations of queries that are lost: they are paid for, whether their answers come or not. */
  #countGivenUp(queries: readonly Query[]): void {
    for (const { id } of queries) {
      const givenUp = this.#givenUp.get(id);
      if (!givenUp || givenUp.isCounted || this.#over) continue;
      this.#journal?.record(givenUp.query, undefined);
      givenUp.isCounted = true;
    }
  }

  /** Gives up every query that has no outcome. */
  fail(error: unknown): void {
    const groups = this.#groups();
    for (const pending of this.#pending.values()) this.#giveUp(pending);
    this.#ready = [];
    this.#first = 0;
    for (const { reject, end } of groups) {
      reject(error);
      end.abort(error instanceof Error ? error : new Error('Given up', { cause: error }));
    }
    this.wake();
  }

  /** No more queries will come. */
  close(): void {
    this.#over = true;
    for (const { end } of this.#groups()) end.abort(new Error('The run is over'));
    this.wake();
  }

  /** Those that have queries without an outcome. */
  #groups(): Set<Group> {
    return new Set(Array.from(this.#pending.values(), ({ group }) => group));
  }

  /** Resolves when queries were posted, or there is another reason to look again. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** Has those who wait for `changed` look again. */
  wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}

/** What ends calls in flight, any number of which listen. */
function endOfCalls(): AbortController {
  const end = new AbortController();
  setMaxListeners(0, end.signal);
  return end;
}
