/**
 * The step that `train` and `minimize` share: an estimate, checked, and an update, all or nothing.
 *
 * @module
 */
import type { EstimateContext, Estimator, GradientEstimate } from '../estimators/estimator.js';
import type { Objective } from '../objectives/objective.js';
import type { Reals } from '../support/reals.js';
import { arrayType } from '../support/reals.js';
import type { Optimizer, OptimizerState } from '../optimizers/optimizers.js';
import { checked, expected, finite, integer, isObject } from '../support/schema.js';

/** An update that is not made yet. */
export interface Update {
  readonly parameters: Reals;
  readonly optimizer: OptimizerState;
}

/** Of a step, for its log; 2-norms. */
export interface Norms {
  readonly gradientNorm: number;
  readonly updateNorm: number;
  /** By name, of the tensors that masks may leave coordinates out of: weights. */
  readonly gradientNorms: Readonly<Record<string, number>>;
}

/** An objective, an estimator and an optimizer with its state. */
export class Descent<O extends Objective> {
  readonly objective: O;
  readonly #estimator: Estimator;
  readonly #optimizer: Optimizer;
  #state: OptimizerState;

  constructor(objective: O, estimator: Estimator, optimizer: Optimizer) {
    this.objective = objective;
    this.#estimator = estimator;
    this.#optimizer = optimizer;
    const { parameters } = objective;
    this.#state = checkState(optimizer.init(parameters.length, arrayType(parameters)), parameters);
  }

  get state(): OptimizerState {
    return this.#state;
  }

  /** An estimate at the objective's parameters, checked since the estimator may be custom. */
  async estimate(sample: unknown, context: EstimateContext, estimator = this.#estimator): Promise<GradientEstimate> {
    const estimate: GradientEstimate = await estimator.estimate(this.objective, sample, context);
    checkObject(estimate, "the result of the estimator's estimate");
    checked(finite, estimate.loss, "the estimate's loss");
    checked(integer(), estimate.queries, "the estimate's queries");
    const { parameters } = this.objective;
    checkArray(estimate.gradient, arrayType(parameters), parameters.length, "the estimate's gradient");
    return estimate;
  }

  /** The update along an estimate, on copies. */
  update({ gradient }: GradientEstimate, lr: number): Update {
    const parameters = this.objective.parameters.slice();
    const optimizer = structuredClone(this.#state);
    this.#optimizer.update(parameters, gradient, optimizer, lr);
    this.objective.project?.(parameters);
    return { parameters, optimizer };
  }

  /** The norms of an estimate and of the update along it, before that is made. */
  norms({ gradient }: GradientEstimate, { parameters }: Update): Norms {
    const { tensors, parameters: from } = this.objective;
    const each = tensors.map(({ name, offset, size, maskable }) => {
      return { name, maskable, value: norm(gradient.subarray(offset, offset + size)) };
    });
    return {
      gradientNorm: norm(Float64Array.from(each, ({ value }) => value)),
      updateNorm: norm(parameters, from),
      gradientNorms: Object.fromEntries(
        each.filter(({ maskable }) => maskable).map(({ name, value }) => [name, value]),
      ),
    };
  }

  /** Makes an update. Nothing waits, and nothing throws. */
  commit({ parameters, optimizer }: Update): void {
    this.objective.parameters.set(parameters);
    this.#state = optimizer;
  }
}

/** The 2-norm of a vector, or of its difference from another. */
function norm(vector: Reals, from?: Reals): number {
  let squares = 0;
  if (from) for (let i = 0; i < vector.length; i++) squares += (vector[i]! - from[i]!) ** 2;
  else for (let i = 0; i < vector.length; i++) squares += vector[i]! ** 2;
  if (squares > 1e-300 && squares < Infinity) return Math.sqrt(squares);
  // Squares of very large or very small numbers in double precision leave its range.
  const at = (i: number): number => Math.abs(vector[i]! - (from ? from[i]! : 0));
  let largest = 0;
  for (let i = 0; i < vector.length; i++) largest = Math.max(largest, at(i));
  if (largest === 0) return 0;
  let scaled = 0;
  for (let i = 0; i < vector.length; i++) scaled += (at(i) / largest) ** 2;
  return largest * Math.sqrt(scaled);
}

export function checkObject<T>(value: T, what: string): T {
  if (isObject(value)) return value;
  throw expected(what, 'an object', value);
}

/** Refuses what is no array of that type and length. */
export function checkArray<T extends Reals>(
  value: unknown,
  type: new (count: number) => T,
  length: number,
  what: string,
): asserts value is T {
  if (value instanceof type && value.length === length) return;
  throw expected(what, `a ${type.name} of ${length}`, value);
}

/** A custom optimizer's state: a checkpoint holds its count of steps, and for each slot a number per parameter. */
function checkState(state: OptimizerState, parameters: Reals): OptimizerState {
  const { step, slots, ...others } = checkObject(state, "the optimizer's state") as Partial<OptimizerState>;
  checked(integer(), step, "the optimizer's state.step");
  for (const [name, other] of Object.entries(others)) {
    throw expected(`the optimizer's state.${name}`, 'absent, since a checkpoint holds only step and slots', other);
  }
  for (const [name, slot] of Object.entries(checkObject(slots, "the optimizer's state.slots")!)) {
    checkArray(slot, arrayType(parameters), parameters.length, `the optimizer's state.slots.${name}`);
  }
  return state;
}
