/**
 * The small CNNs on which the paper compares estimators, by their number of parameters.
 *
 * @module
 */
import { cnn } from '../network/cnn.js';
import type { Network } from '../network/description.js';
import type { Optimizer } from '../optimizers.js';
import { sgd } from '../optimizers.js';
import { cosine } from '../schedules.js';

/** Of depths 1 to 5. */
export const CNN_SIZES: readonly number[] = [730, 3700, 6670, 9640, 12_610];

/** The paper's smoothing parameter. */
export const MU = 5e-3;

/** Where a size stands in lists of figures by size. */
export const indexOf = (size: number): number => CNN_SIZES.indexOf(size);

/** The CNN of so many parameters. */
export const cnnOf = (size: number): Network => cnn({ depth: indexOf(size) + 1 });

/**
 * SGD with the paper's settings of ResNet-20: momentum 0.9, weight decay 5e-4, and half a cosine after a warm-up of 3 epochs, or
 * of a tenth of a run of less than 30.
 */
export function paperSgd(rate: number, epochs: number): Optimizer {
  const warmupEpochs = Math.min(3, epochs / 10);
  return sgd({ lr: cosine({ peak: rate, warmupEpochs }), momentum: 0.9, weightDecay: 5e-4 });
}
