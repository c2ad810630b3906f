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

/** Images of a step. */
export const BATCH_SIZE = 256;

/** ZO-GraSP's random directions, and the images of each class that it sees. */
export const GRASP_QUERIES = 192;
export const SAMPLES_PER_CLASS = 25;

export const MOMENTUM = 0.9;
export const WEIGHT_DECAY = 5e-4;

/** The paper's 3 epochs would swallow a short run, of which a tenth it is at most. */
export const warmupOf = (epochs: number): number => Math.min(3, epochs / 10);

/** SGD with the settings of ResNet-20, and half a cosine after the warm-up. */
export function sgd(rate: number, epochs: number): Optimizer {
  const lr = cosine({ peak: rate, warmupEpochs: warmupOf(epochs) });
  return makeSgd({ lr, momentum: MOMENTUM, weightDecay: WEIGHT_DECAY });
}
