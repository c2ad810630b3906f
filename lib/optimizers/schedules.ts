import * as v from 'valibot';

import { checked, decayFactor, expectedOption, leaf, nonNegative, parseOptions, positive } from '../support/schema.js';

/** The position in training of a learning rate. */
export interface Position {
  /** Steps done before this one in the whole run: 0 at the first. */
  step: number;
  /** Steps in an epoch. */
  stepsPerEpoch: number;
  /** Epochs of the whole run, not necessarily whole. */
  epochs: number;
}

/** A learning rate as a function of the position alone, so that a schedule has no state to save in a checkpoint. */
export interface Schedule {
  /** Kind and options as JSON: a run resumes only with an equal config. */
  readonly config: object;
  /** The learning rate of a step. */
  at(position: Position): number;
}

/** A learning rate as an option. */
export const rate = leaf<number | Schedule>('other', 'a finite number > 0 or a schedule', (value) => {
  const { config, at } = Object(value) as Partial<Schedule>;
  return typeof value === 'number'
    ? value > 0 && value < Infinity
    : typeof config === 'object' && typeof at === 'function';
});

export const cosineOptions = v.strictObject({
  /** The rate at the end of the warm-up, > 0. */
  peak: positive,
  /** Epochs of linear warm-up, >= 0, not necessarily whole; default: 0. */
  warmupEpochs: v.optional(nonNegative, 0),
  /** The rate at the end of the run, from 0 to `peak`, >= 0; default: 0. */
  floor: v.optional(nonNegative, 0),
});
/** The options of `cosine`. */
export interface CosineOptions extends v.InferInput<typeof cosineOptions> {}

export const stepOptions = v.strictObject({
  /** The rate at the start, > 0. */
  initial: positive,
  /** Epochs between decays, > 0. */
  every: positive,
  /** The factor of the rate at each decay, > 0 and <= 1; default: 0.1. */
  factor: v.optional(decayFactor, 0.1),
  /** Epochs of linear warm-up, >= 0, not necessarily whole; default: 0. */
  warmupEpochs: v.optional(nonNegative, 0),
});
/** The options of `step`. */
export interface StepOptions extends v.InferInput<typeof stepOptions> {}

/**
 * The same learning rate at every step. A plain number means the same wherever a schedule is expected.
 *
 * @example constant(0.01)
 */
export function constant(lr: number): Schedule {
  checked(positive, lr, 'lr');
  return { config: { kind: 'constant', lr }, at: () => lr };
}

/**
 * Linear warm-up, then half a cosine (Loshchilov and Hutter 2017, equation 5, without restarts).
 *
 * With w = warmupEpochs·stepsPerEpoch and n = epochs·stepsPerEpoch, step t = 0, 1, … has the rate
 *
 *     floor                                                      for t >= n, and before
 *     peak·min(1, (t + 1)/w)                                     for t < w,
 *     floor + (peak − floor)·(1 + cos(π·(t − w)/(n − w)))/2      from then on.
 *
 * The paper trains for 50 epochs with a rate of 0.1, 3 warm-up epochs, then cosine. It does not specify that the rate changes at
 * every step instead of every epoch, nor that it starts at peak/w. In a run no longer than its warm-up the rate only rises.
 *
 * @example cosine({ peak: 0.1, warmupEpochs: 3 })
 */
export function cosine(options: CosineOptions): Schedule {
  const { peak, warmupEpochs, floor } = parseOptions(cosineOptions, options, 'cosine');
  if (floor > peak) throw expectedOption('floor', `at most peak, ${peak}`, String(floor));
  return {
    config: { kind: 'cosine', peak, warmupEpochs, floor },
    at: ({ step, stepsPerEpoch, epochs }) => {
      const [warmup, end] = [warmupEpochs * stepsPerEpoch, epochs * stepsPerEpoch];
      if (step >= end) return floor;
      if (step < warmup) return peak * rampAt(step, warmup);
      const progress = (step - warmup) / (end - warmup);
      return floor + ((peak - floor) * (1 + Math.cos(Math.PI * progress))) / 2;
    },
  };
}

/**
 * Linear warm-up, and a decay by `factor` every `every` epochs: PyTorch's `StepLR` times a warm-up factor.
 *
 * With w = warmupEpochs·stepsPerEpoch, step t = 0, 1, … has the rate
 *
 *     initial·factor^⌊t/(every·stepsPerEpoch)⌋·min(1, (t + 1)/w).
 *
 * Decays are counted from the start of the run, not from the end of the warm-up. A quotient less than 1e-9 below a whole number,
 * such as rounding may cause for every = epochs/3, is treated as this number.
 *
 * @example step({ initial: 0.1, every: 20, factor: 0.1 })
 */
export function step(options: StepOptions): Schedule {
  const { initial, every, factor, warmupEpochs } = parseOptions(stepOptions, options, 'step');
  return {
    config: { kind: 'step', initial, every, factor, warmupEpochs },
    at: ({ step: done, stepsPerEpoch }) =>
      initial *
      factor ** Math.floor(done / (every * stepsPerEpoch) + 1e-9) *
      rampAt(done, warmupEpochs * stepsPerEpoch),
  };
}

/** The schedule itself, or the constant schedule of a plain number. */
export function asSchedule(lr: number | Schedule): Schedule {
  return typeof lr === 'number' ? constant(lr) : (checked(rate, lr, 'lr') as Schedule);
}

/** The warm-up factor: rises to 1 at the last step of the warm-up; 1 after it and without warm-up. */
function rampAt(step: number, warmup: number): number {
  return step < warmup ? Math.min(1, (step + 1) / warmup) : 1;
}
