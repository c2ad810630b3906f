import * as check from '../support/check.js';
import { checkInput } from './compile.js';
import type { Layer, Network } from './description.js';
import { batchNorm, conv2d, globalAveragePool, linear, maxPool, relu } from './description.js';

export interface CnnOptions {
  /** Convolutions; each halves the map, so at most 5 for 32×32 images. Default 5. */
  depth?: number;
  /** Output channels of every convolution; default 18. */
  channels?: number;
  /** Outputs; default 10. */
  classes?: number;
  /** Channels, rows and columns of an image; default [3, 32, 32]. */
  input?: [number, number, number];
}

/**
 * The small network on which the paper compares RGE with CGE (DeepZero, 2024, figure 1).
 *
 * `depth` times a 3×3 convolution with bias and padding 1, batch norm, ReLU and a 2×2 max pool; then a global average pool
 * and a linear classifier. With 18 channels and 10 classes, depths 1 to 5 have 730, 3,700, 6,670, 9,640 and 12,610
 * parameters. Tensors are called as in a PyTorch module of an `nn.Sequential` `conv_layers` and a linear `fc`, which counts
 * ReLU and pool too: `conv_layers.0.weight`, `conv_layers.1.running_mean`, `conv_layers.4.weight`, `fc.bias`.
 *
 * @throws InvalidArgumentError if an option is out of range or unknown.
 * @example cnn({ depth: 3 })
 */
export function cnn(options: CnnOptions = {}): Network {
  const {
    depth = 5,
    channels = 18,
    classes = 10,
    input = [3, 32, 32],
  } = check.options<CnnOptions>(options, 'cnn', ['depth', 'channels', 'classes', 'input']);
  const [, rows, columns] = checkInput(input);
  check.integer(depth, 'depth', 1, Math.floor(Math.log2(Math.min(rows, columns))));
  check.integer(channels, 'channels', 1);
  check.integer(classes, 'classes', 1);

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
  return { name: `cnn${depth}`, input, layers };
}
