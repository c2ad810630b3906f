/**
 * Networks and batches by options.
 *
 * @module
 */
import type { Batch, Dataset, Network } from 'deepzero';
import { cnn, InvalidArgumentError, resnet, resnet20, synthetic } from 'deepzero';

import type { Values } from './options.js';
import { choice, integer, number } from './options.js';

/** The most images that `synthetic` makes. */
export const MOST_IMAGES = 1_000_000;

export const networkOptions = {
  network: choice(
    'ResNet-20; another residual network; the small CNN of the paper (default: the CNN at depths 1 to 5 and resnet20)',
    ['resnet20', 'resnet', 'cnn'],
    undefined,
  ),
  depth: number(
    'layers with weights, 6n + 2, of resnet (default: 20); convolutions, 1 to 5, of cnn (default: 5)',
    integer(1),
    undefined,
  ),
  width: number(
    'channels of the first stage of resnet (default: 16), of every convolution of cnn (default: 18)',
    integer(1),
    undefined,
  ),
};

/** The network that the options name, if they name one. */
export function networkOf({ network, depth, width }: Values<typeof networkOptions>): Network | undefined {
  if (network === 'cnn') return cnn({ ...(depth !== undefined && { depth }), ...(width !== undefined && { channels: width }) }); // prettier-ignore
  if (network === 'resnet') return resnet({ ...(depth !== undefined && { depth }), ...(width !== undefined && { width }) }); // prettier-ignore
  for (const [name, value] of Object.entries({ depth, width })) {
    if (value !== undefined) throw new InvalidArgumentError(`--${name} requires --network resnet or cnn`);
  }
  return network === undefined ? undefined : resnet20();
}

/** The first images of a data set. */
export function firstBatch(dataset: Dataset, count: number): Batch {
  return dataset.batch(Uint32Array.from({ length: count }, (_, i) => i));
}

/** The first images of the generated set. */
export function syntheticBatch(count: number): Batch {
  return firstBatch(synthetic({ train: count, test: 1 }).train, count);
}
