import * as v from 'valibot';

import { expectedOption, integer, parseOptions } from '../support/schema.js';
import { inputShape } from './compile.js';
import type { Layer, Network } from './description.js';
import { batchNorm, conv2d, globalAveragePool, LARGEST_EXTENT, linear, maxPool, relu } from './description.js';

export const cnnOptions = v.strictObject({
  /** Convolutions, an integer >= 1. Each max pool after one halves the map, so at most 5 for 32×32 images. Default: 5. */
  depth: v.optional(integer(1), 5),
  /** Output channels of every convolution, an integer from 1 to 2²⁰; default: 18. */
  channels: v.optional(integer(1, LARGEST_EXTENT), 18),
  /** Outputs, an integer from 1 to 2²⁰; default: 10. */
  classes: v.optional(integer(1, LARGEST_EXTENT), 10),
  /** Channels, rows and columns of an image, each from 1 to 2²⁰; default: [3, 32, 32]. */
  input: inputShape,
});
/** The options of `cnn`. */
export interface CnnOptions extends v.InferInput<typeof cnnOptions> {}

/**
 * The small network of the paper's comparison of RGE with CGE (DeepZero, 2024, figure 1).
 *
 * `depth` times a 3×3 convolution with bias and padding 1, batch norm, ReLU and a 2×2 max pool; then a global average pool
 * and a linear classifier. With 18 channels and 10 classes, depths 1 to 5 have 730, 3,700, 6,670, 9,640 and 12,610
 * parameters. Tensors have the names of a PyTorch module with an `nn.Sequential` named `conv_layers`, whose numbering includes
 * ReLU and pool, and a linear layer named `fc`: `conv_layers.0.weight`, `conv_layers.1.running_mean`, `conv_layers.4.weight`, `fc.bias`.
 *
 * @throws InvalidArgumentError if an option is out of range or unknown.
 * @example cnn({ depth: 3 })
 */
export function cnn(options: CnnOptions = {}): Network {
  const { depth, channels, classes, input } = parseOptions(cnnOptions, options, 'cnn');
  const [, rows, columns] = input;
  const most = Math.floor(Math.log2(Math.min(rows, columns)));
  if (depth > most) throw expectedOption('depth', `an integer from 1 to ${most}`, String(depth));

  const layers: Layer[] = [];
  for (let i = 0; i < depth; i++) {
    layers.push(
      conv2d({ name: `conv_layers.${4 * i}`, channels, kernel: 3, padding: 1 }),
      batchNorm({ name: `conv_layers.${4 * i + 1}` }),
      relu(),
      maxPool({ kernel: 2 }),
    );
  }
  layers.push(globalAveragePool(), linear({ name: 'fc', features: classes }));
  return { name: `cnn${depth}`, input: [...input], layers };
}
