/**
 * The paper's settings: the defaults of the library and the command, and the settings of the experiments.
 *
 * @module
 */
import type { Optimizer } from './optimizers/optimizers.js';
import { sgd as makeSgd } from './optimizers/optimizers.js';
import { cosine } from './optimizers/schedules.js';

/** The smoothing parameter. */
export const MU = 5e-3;

/** Images per step. */
export const BATCH_SIZE = 256;

/** ZO-GraSP's random directions. */
export const GRASP_QUERIES = 192;
/** ZO-GraSP's images of each class. */
export const SAMPLES_PER_CLASS = 25;

/** SGD's momentum. */
export const MOMENTUM = 0.9;
/** Strength of the L2 penalty. */
export const WEIGHT_DECAY = 5e-4;

/** The paper's 3 warm-up epochs, but at most a tenth of the run. */
export const warmupOf = (epochs: number): number => Math.min(3, epochs / 10);

/** SGD with the settings for ResNet-20: warm-up, then half a cosine. */
export function sgd(rate: number, epochs: number): Optimizer {
  const lr = cosine({ peak: rate, warmupEpochs: warmupOf(epochs) });
  return makeSgd({ lr, momentum: MOMENTUM, weightDecay: WEIGHT_DECAY });
}
