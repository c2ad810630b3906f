/**
 * The small CNNs on which the paper compares estimators, by their number of parameters.
 *
 * @module
 */
import { cnn } from '../lib/network/cnn.js';
import type { Network } from '../lib/network/description.js';

/** Of depths 1 to 5. */
export const CNN_SIZES: readonly number[] = [730, 3700, 6670, 9640, 12_610];

/** Where a size stands in lists of figures by size. */
export const sizeIndex = (size: number): number => CNN_SIZES.indexOf(size);

/** The CNN of so many parameters. */
export const cnnOf = (size: number): Network => cnn({ depth: sizeIndex(size) + 1 });
