/**
 * A run over a black box, whoever answers its queries.
 *
 * @module
 */
import type * as v from 'valibot';

import type { EvaluationCounts, Exchange } from '../objectives/exchange.js';
import { BudgetError } from '../objectives/exchange.js';
import { BlackBox, RefusedStepError } from '../objectives/black-box.js';
import type { Answer, Query } from '../objectives/query.js';
import type { StartPoint } from '../objectives/space.js';
import { InvalidArgumentError } from '../support/errors.js';
import * as schema from '../support/schema.js';
import { after } from '../support/duration.js';
import { Descent } from './descent.js';
import { checkParts } from './options.js';
import { SearchRecord } from './record/search-record.js';
import type { MinimizeResult, SearchOptions, StopReason } from './search-options.js';
import { lengthOf, searchOptions, signalToNoise, STATES } from './search-options.js';

/** Where a run is. */
export interface SearchState extends EvaluationCounts {
  /** Steps made, steps back included. */
  step: number;
  /** The point, a copy. */
  x: Float64Array;
  /** The smallest loss of a point that a step started from; undefined before the first. */
  loss: number | undefined;
  /** Whether the run waits for answers. */
  waiting: boolean;
}

/** Ends a run. */
class Stop extends Error {
  readonly stopped: StopReason;
  constructor(stopped: StopReason, message: string) {
    super(message);
    this.stopped = stopped;
  }
}

/**
 * A run over a black box by ask and tell: for losses that come from elsewhere, in any order.
 *
 * @example
 * const search = await Search.open([0, 0], { estimator: cge({ mu: 1e-3 }), optimizer: sgd({ lr: 0.1 }), budget: { steps: 50 } });
 * for (let queries; (queries = await search.ask(8)).length > 0;) {
 *   for (const query of queries) search.tell(query.id, loss(query.point()));
 * }
 * console.log(await search.result);
 * search.close();
 */
export class Search {
  /** @internal */
  readonly exchange: Exchange;
  /** The end of the run. The journal takes answers, and is locked, until `close`. */
  readonly result: Promise<MinimizeResult>;
  readonly #box: BlackBox;
  readonly #options: v.InferOutput<typeof searchOptions>;
  readonly #descent: Descent<BlackBox>;
  readonly #queriesPerStep: number;
  readonly #record: SearchRecord | undefined;
  /** Steps made, steps back included. */
  #steps = 0;
  /** The schedule's position. */
  #updates = 0;
  #best: { x: Float64Array; loss: number } | undefined;
  /** The last point with an estimate. */
  #feasible: Float64Array | undefined;
  #isOpen = true;

  private constructor(
    box: BlackBox,
    options: v.InferOutput<typeof searchOptions>,
    queriesPerStep: number,
    record: SearchRecord | undefined,
  ) {
    this.#box = box;
    this.#options = options;
    this.exchange = box.exchange;
    this.#descent = new Descent(box, options.estimator, options.optimizer);
    this.#queriesPerStep = queriesPerStep;
    this.#record = record;
    this.result = this.#run();
    // Whoever asks and tells may await it later.
    this.result.catch(() => undefined);
  }

  /** @throws InvalidArgumentError if an option is out of range or unknown; FileError if the journal is of another run. */
  static async open(x0: StartPoint, options: SearchOptions): Promise<Search> {
    const parsed = schema.parseOptions(searchOptions, options, 'Search.open');
    const { bounds, resolution, repeats, retries, mayFail, estimator, optimizer, seed, folder } = parsed;
    if (folder && parsed.journal !== undefined) {
      throw new InvalidArgumentError('Expected either journal or folder, received both');
    }
    const journal = folder ? folder.journal : parsed.journal;
    const { evaluations, seconds, steps } = parsed.budget;
    if (evaluations === undefined && seconds === undefined && steps === undefined) {
      throw schema.expectedOption('budget', 'one of evaluations, seconds and steps at least', '{}');
    }
    checkParts(estimator, optimizer);
    const config = { estimator: estimator.config, optimizer: optimizer.config, seed };
    const own = { bounds, resolution, repeats, retries, mayFail };
    const known = folder ? await SearchRecord.knownIn(folder) : 0;
    const box = await BlackBox.open(x0, own, {
      evaluations: evaluations ?? Infinity,
      journal: journal === undefined ? undefined : { file: journal, config },
    });
    let record: SearchRecord | undefined;
    try {
      const queriesPerStep =
        repeats * schema.checked(schema.integer(1), estimator.queriesPerStep(box), "the estimator's queriesPerStep");
      const least = queriesPerStep + repeats;
      if (evaluations !== undefined && evaluations < least) {
        const why = `at least ${least}, of a step and of the loss at its end`;
        throw schema.expectedOption('budget.evaluations', why, String(evaluations));
      }
      // The last evaluations are those of the loss at the end.
      const forSteps = { ...parsed.budget, evaluations: (evaluations ?? Infinity) - repeats };
      const totalSteps = lengthOf(forSteps, queriesPerStep);
      record =
        folder &&
        (await SearchRecord.open(
          folder,
          {
            ...{ totalSteps, queriesPerStep, tensors: box.tensors, counts: box.exchange.counts },
            config: { ...box.config, ...config, budget: parsed.budget },
            maskAt: (step) => estimator.coordinates?.(box, { seed, step, epoch: step }),
          },
          known,
        ));
      return new Search(box, parsed, queriesPerStep, record);
    } catch (error) {
      box.close();
      await record?.close({ state: 'failed', message: error instanceof Error ? error.message : String(error) });
      throw error;
    }
  }

  /**
   * At most `count` queries to answer. Waits while the run computes, not for answers: an empty list means that queries in flight
   * must be answered first, or that the run is over.
   */
  async ask(count = 1): Promise<Query[]> {
    for (;;) {
      const queries = this.exchange.ask(schema.checked(schema.integer(1), count, 'count'));
      if (queries.length > 0 || this.exchange.isWaiting || this.exchange.isOver) return queries;
      await this.exchange.changed();
    }
  }

  /**
   * Answers a query: a loss, `{ failed: reason }`, which is asked for again as often as `retries` says, or
   * `{ infeasible: reason }`. Answers may come in any order; the result has the same bits.
   *
   * @throws InvalidArgumentError if the id is none that was asked for, or has its answer; FileError if the journal cannot be
   *   written: the answer is then not taken, and can be told again.
   */
  tell(id: string, answer: Answer): void {
    if (typeof (id as unknown) === 'object') {
      throw new InvalidArgumentError(
        'Expected an id: the estimators here cannot use losses of points that they did not ask for',
      );
    }
    this.exchange.tell(id, answer);
  }

  /** Where the run is. */
  state(): SearchState {
    const { evaluations, failed } = this.exchange.counts;
    const { exchange } = this;
    const [x, loss] = [this.#box.seen(this.#box.parameters), this.#best?.loss];
    return { step: this.#steps, x, loss, evaluations, failed, waiting: exchange.isWaiting };
  }

  /** Gives up what is in progress and closes the journal. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.exchange.fail(new Error('The run was closed'));
    this.#box.close();
  }

  /** The same as `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  async #run(): Promise<MinimizeResult> {
    const { budget: most, signal } = this.#options;
    const stop = new AbortController();
    const onAbort = (): void => {
      stop.abort(new Stop('signal', 'The signal was aborted'));
    };
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    const { seconds = Infinity } = most;
    const cancel = after(seconds, () => {
      stop.abort(new Stop('budget', `The budget of ${seconds} s is used up`));
    });
    try {
      const { stopped, message } = await this.#descend(stop.signal);
      const { evaluations, failed } = this.exchange.counts;
      const best = this.#best ?? { x: this.#box.seen(this.#box.parameters), loss: NaN };
      await this.#record?.close({ state: STATES[stopped], message });
      return { ...best, evaluations, steps: this.#steps, failed, stopped, message };
    } catch (error) {
      const state = this.#isOpen ? 'failed' : 'stopped';
      await this.#record?.close({ state, message: error instanceof Error ? error.message : String(error) });
      throw error;
    } finally {
      cancel();
      signal?.removeEventListener('abort', onAbort);
      this.exchange.close();
    }
  }

  /** Makes steps until there is a reason to stop. */
  async #descend(signal: AbortSignal): Promise<Pick<Stop, 'stopped' | 'message'>> {
    try {
      for (;;) {
        this.#checkBudget(signal);
        const reason = await this.#step(signal);
        if (reason) return await this.#measureEnd(reason, signal);
      }
    } catch (error) {
      if (error instanceof Stop) {
        return error.stopped === 'budget' && !signal.aborted ? this.#measureEnd(error, signal) : error;
      }
      if (error instanceof BudgetError) return { stopped: 'budget', message: error.message };
      if (error instanceof RefusedStepError) {
        this.#box.refuse(this.#steps);
        if (this.#feasible) return this.#refused(error.message);
      }
      throw error;
    }
  }

  #refused(why: string): Stop {
    return new Stop('failures', `Step ${this.#steps} was refused: ${why}`);
  }

  #checkBudget(signal: AbortSignal): void {
    signal.throwIfAborted();
    const { steps = Infinity, evaluations } = this.#options.budget;
    if (this.#steps >= steps) throw new Stop('budget', `The budget of ${steps} steps is used up`);
    if (this.exchange.left < this.#queriesPerStep + this.#options.repeats) {
      throw new Stop('budget', `The budget of ${evaluations!} evaluations does not suffice for another step`);
    }
  }

  /** @returns why the run ends after this step, if it does. */
  async #step(signal: AbortSignal): Promise<Stop | undefined> {
    const { seed, optimizer, tolerance = -1, onStep } = this.#options;
    const step = this.#steps;
    const context = { seed, step, epoch: step, signal };
    // Before anything is paid for.
    const lr = optimizer.lr.at({
      step: this.#updates,
      stepsPerEpoch: 1,
      epochs: lengthOf(this.#options.budget, this.#queriesPerStep),
    });
    schema.checked(schema.nonNegative, lr, "the schedule's learning rate");
    if (this.#record) await this.#record.begin(step);
    const estimate = await this.#descent.estimate(this.#sampleOf(step), context).catch((error: unknown) => {
      if (error instanceof RefusedStepError && error.isInfeasible && this.#retreat()) return undefined;
      throw error;
    });
    if (!estimate) {
      this.#steps += 1;
      return undefined;
    }
    this.#feasible = this.#box.parameters.slice();
    this.#keep(estimate.loss);
    const reached = this.#reached(estimate.loss);
    if (reached) return reached;
    const update = this.#descent.update(estimate, lr);
    const wrong = update.parameters.findIndex((value) => !Number.isFinite(value));
    if (wrong >= 0) {
      const value = update.parameters[wrong]!;
      throw this.#refused(`parameter ${wrong} would be ${value}; lower the learning rate`);
    }
    const moved = this.#box.parameters.reduce(
      (most, value, i) => Math.max(most, Math.abs(value - update.parameters[i]!)),
      0,
    );
    const norms = this.#record && this.#descent.norms(estimate, update);
    this.#descent.commit(update);
    this.#steps += 1;
    this.#updates += 1;
    if (norms) await this.#record.add({ loss: estimate.loss, lr, failed: estimate.failed ?? 0, norms });
    const { evaluations, failed } = this.exchange.counts;
    onStep?.({
      ...{ step, loss: estimate.loss, lr, x: this.#box.parameters.slice(), evaluations, failed },
      unanswered: estimate.failed ?? 0,
      ...(estimate.variances && { signalToNoise: signalToNoise(this.#box.tensors, estimate) }),
    });
    return moved <= tolerance
      ? new Stop('converged', `Step ${step} moved no parameter by more than ${tolerance}`)
      : undefined;
  }

  /** Goes half of the way back to the last point with an estimate. @returns whether that is another point. */
  #retreat(): boolean {
    const { parameters } = this.#box;
    const from = this.#feasible;
    if (!from) return false;
    const half = parameters.map((value, i) => from[i]! + (value - from[i]!) / 2);
    this.#box.project(half);
    if (half.every((value, i) => value === parameters[i])) return false;
    parameters.set(half);
    return true;
  }

  /** The loss at the point where the run ends. */
  async #measureEnd(reason: Stop, signal: AbortSignal): Promise<Stop> {
    if (reason.stopped === 'target' || this.exchange.left < this.#options.repeats) return reason;
    try {
      const { parameters } = this.#box;
      const { loss } = await this.#box.lossAt(this.#sampleOf(this.#steps), parameters, { step: this.#steps, signal });
      this.#keep(loss);
      return this.#reached(loss) ?? reason;
    } catch (error) {
      if (error instanceof RefusedStepError || error instanceof BudgetError || error instanceof Stop) return reason;
      throw error;
    }
  }

  #reached(loss: number): Stop | undefined {
    const { target = -Infinity } = this.#options;
    return loss <= target ? new Stop('target', `The loss ${loss} is at most the target ${target}`) : undefined;
  }

  #keep(loss: number): void {
    if (this.#best && !(loss < this.#best.loss)) return;
    this.#best = { x: this.#box.seen(this.#box.parameters), loss };
  }

  #sampleOf(step: number): unknown {
    return this.#options.sample ? this.#options.sample(step) : step;
  }
}
