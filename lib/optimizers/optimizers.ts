import * as v from 'valibot';

import type { Reals, RealsType } from '../support/reals.js';
import {
  boolean,
  checked,
  expected,
  expectedOption,
  fraction,
  nonNegative,
  parseOptions,
  positive,
} from '../support/schema.js';
import type { Schedule } from './schedules.js';
import { asSchedule, rate } from './schedules.js';

/** An optimizer's state between steps; a checkpoint holds all of it. */
export interface OptimizerState {
  /** Updates done. */
  step: number;
  /** Arrays of `parameterCount` numbers by name, in the precision of the parameters. */
  slots: Record<string, Reals>;
}

/** A rule that updates parameters by an estimated gradient. It holds no state; `OptimizerState` does. */
export interface Optimizer {
  /** Kind and options as JSON: a run resumes only with an equal config. */
  readonly config: object;
  /** The learning rate's schedule. */
  readonly lr: Schedule;
  /** The state before the first update: all zero; for parameters in double precision, `type` is Float64Array. */
  init(parameterCount: number, type?: RealsType): OptimizerState;
  /**
   * One update, in place, of `parameters` and `state`. The gradient is dense, as long as the parameters, and zero where it
   * was not estimated; `lr` is the learning rate of this step.
   *
   * @throws InvalidArgumentError if a length differs from the parameters', or `lr` is negative or not finite.
   */
  update(parameters: Reals, gradient: Reals, state: OptimizerState, lr: number): void;
}

export const sgdOptions = v.strictObject({
  /** Learning rate, a number > 0 or a schedule. */
  lr: rate,
  /** In [0, 1); default: 0. */
  momentum: v.optional(fraction, 0),
  /** Whether to use Nesterov's momentum, which requires a momentum above 0; default: false. */
  nesterov: v.optional(boolean, false),
  /** Strength of the L2 penalty (weightDecay/2)·‖θ‖², >= 0; default: 0. */
  weightDecay: v.optional(nonNegative, 0),
});
/** The options of `sgd`. */
export interface SgdOptions extends v.InferInput<typeof sgdOptions> {}

export const adamOptions = v.strictObject({
  /** Learning rate, a number > 0 or a schedule. */
  lr: rate,
  /** Decay of the first moment, in [0, 1); default: 0.9. */
  beta1: v.optional(fraction, 0.9),
  /** Decay of the second moment, in [0, 1); default: 0.999. */
  beta2: v.optional(fraction, 0.999),
  /** Added to the root of the second moment, > 0; default: 1e-8. */
  eps: v.optional(positive, 1e-8),
  /** Strength of the L2 penalty (weightDecay/2)·‖θ‖², >= 0; default: 0. */
  weightDecay: v.optional(nonNegative, 0),
});
/** The options of `adam`. */
export interface AdamOptions extends v.InferInput<typeof adamOptions> {}

/**
 * Stochastic gradient descent, PyTorch's `torch.optim.SGD` with dampening 0:
 *
 *     g ← ĝ + weightDecay·θ
 *     v ← momentum·v + g
 *     θ ← θ − lr·v,  or with Nesterov's momentum  θ ← θ − lr·(g + momentum·v).
 *
 * Weight decay and momentum act on every parameter at every step, also where the gradient was not estimated: in the paper's
 * algorithm 1 the gradient is sparse and the weights are dense. Parameters and velocity of a network are float32; updates are computed
 * in double precision.
 *
 * @throws InvalidArgumentError if an option is out of range or unknown.
 * @example sgd({ lr: cosine({ peak: 0.1, warmupEpochs: 3 }), momentum: 0.9, weightDecay: 5e-4 })
 */
export function sgd(options: SgdOptions): Optimizer {
  const { lr, momentum, nesterov, weightDecay } = parseOptions(sgdOptions, options, 'sgd');
  const schedule = asSchedule(lr);
  if (nesterov && momentum === 0) throw expectedOption('momentum', '> 0 for nesterov', String(momentum));
  return {
    config: { kind: 'sgd', lr: schedule.config, momentum, nesterov, weightDecay },
    init: startingAtZero('momentum'),
    lr: schedule,
    update(parameters, gradient, state, lrNow) {
      checkUpdate(parameters, gradient, lrNow);
      const velocity = slot(state, 'momentum', parameters.length);
      state.step += 1;
      for (let i = 0; i < parameters.length; i++) {
        const g = gradient[i]! + weightDecay * parameters[i]!;
        const v = momentum * velocity[i]! + g;
        velocity[i] = v;
        parameters[i]! -= lrNow * (nesterov ? g + momentum * v : v);
      }
    },
  };
}

/**
 * Adam (Kingma and Ba 2015, algorithm 1), PyTorch's `torch.optim.Adam`: weight decay is an L2 penalty on the loss, not
 * AdamW's decoupled one. At update t = 1, 2, …
 *
 *     g ← ĝ + weightDecay·θ
 *     m ← beta1·m + (1 − beta1)·g
 *     v ← beta2·v + (1 − beta2)·g²
 *     θ ← θ − lr·(m/(1 − beta1ᵗ))/(√(v/(1 − beta2ᵗ)) + eps).
 *
 * A parameter whose gradient was not estimated keeps moving by its decaying m. Parameters and moments are float32; updates are
 * computed in double precision.
 *
 * @throws InvalidArgumentError if an option is out of range or unknown.
 * @example adam({ lr: 1e-3 })
 */
export function adam(options: AdamOptions): Optimizer {
  const { lr, beta1, beta2, eps, weightDecay } = parseOptions(adamOptions, options, 'adam');
  const schedule = asSchedule(lr);
  return {
    config: { kind: 'adam', lr: schedule.config, beta1, beta2, eps, weightDecay },
    init: startingAtZero('m', 'v'),
    lr: schedule,
    update(parameters, gradient, state, lrNow) {
      checkUpdate(parameters, gradient, lrNow);
      const first = slot(state, 'm', parameters.length);
      const second = slot(state, 'v', parameters.length);
      state.step += 1;
      const size = lrNow / (1 - beta1 ** state.step);
      const correction = 1 / Math.sqrt(1 - beta2 ** state.step);
      for (let i = 0; i < parameters.length; i++) {
        const g = gradient[i]! + weightDecay * parameters[i]!;
        const m = beta1 * first[i]! + (1 - beta1) * g;
        const v = beta2 * second[i]! + (1 - beta2) * g * g;
        first[i] = m;
        second[i] = v;
        parameters[i]! -= (size * m) / (Math.sqrt(v) * correction + eps);
      }
    },
  };
}

function startingAtZero(...slots: string[]): Optimizer['init'] {
  return (parameterCount, type = Float32Array) => ({
    step: 0,
    slots: Object.fromEntries(slots.map((name) => [name, new type(parameterCount)])),
  });
}

function checkUpdate(parameters: Reals, gradient: Reals, lr: number): void {
  const count = parameters.length;
  if (gradient.length !== count) throw expected("the gradient's length", `the parameters', ${count}`, gradient.length);
  checked(nonNegative, lr, 'lr');
}

function slot(state: OptimizerState, name: string, count: number): Reals {
  const array = state.slots[name];
  if (array?.length !== count) {
    throw expected(`the length of the optimizer's ${name}`, `the parameters', ${count}`, array?.length);
  }
  return array;
}
