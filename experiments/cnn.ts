/**
 * The small CNNs on which the paper compares estimators, by their number of parameters.
 *
 * @module
 */
import type { Network } from 'deepzero';
import { cnn } from 'deepzero';

/** Of depths 1 to 5. */
export const CNN_SIZES: readonly number[] = [730, 3700, 6670, 9640, 12_610];

/** The index of a size in lists of figures by size. */
export const sizeIndex = (size: number): number => CNN_SIZES.indexOf(size);

/** The CNN with `size` parameters. */
export const cnnOf = (size: number): Network => cnn({ depth: sizeIndex(size) + 1 });
