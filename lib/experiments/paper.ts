/**
 * The paper's settings that experiments share.
 *
 * @module
 */
import type { Optimizer } from '../optimizers.js';
import { sgd } from '../optimizers.js';
import { cosine } from '../schedules.js';

/** The smoothing parameter. */
export const MU = 5e-3;

/**
 * SGD with the settings of ResNet-20: momentum 0.9, weight decay 5e-4, and half a cosine after a warm-up of 3 epochs, or of a
 * tenth of a run of less than 30.
 */
export function paperSgd(rate: number, epochs: number): Optimizer {
  const warmupEpochs = Math.min(3, epochs / 10);
  return sgd({ lr: cosine({ peak: rate, warmupEpochs }), momentum: 0.9, weightDecay: 5e-4 });
}
