import * as v from 'valibot';

import { integer, leaf, parseOptions } from '../support/schema.js';
import { inputShape } from './compile.js';
import type { Layer, Network } from './description.js';
import {
  batchNorm,
  conv2d,
  globalAveragePool,
  LARGEST_EXTENT,
  linear,
  optionA,
  relu,
  residual,
} from './description.js';

/** The depth of the deepest network of He et al. */
const MOST_LAYERS = 1202;

/** Option A pads with a quarter of a stage's channels on each side, so the width is even; the last stage has 4·width channels. */
const MOST_CHANNELS = LARGEST_EXTENT / 4;

const isInteger = (value: unknown, low: number, high: number): value is number =>
  Number.isSafeInteger(value) && (value as number) >= low && (value as number) <= high;

export const resnetOptions = v.strictObject({
  /** Convolutions and the linear layer: 6n + 2 for n blocks in each of the three stages, from 8 to 1202; default: 20. */
  depth: v.optional(
    leaf<number>(
      'number',
      `6n + 2 from 8 to ${MOST_LAYERS} (8, 14, 20, 26, 32, 38, 44, 50, 56, …)`,
      (value) => isInteger(value, 8, MOST_LAYERS) && value % 6 === 2,
    ),
    20,
  ),
  /** Channels of the first stage, even, from 2 to 2¹⁸; the later stages have two and four times as many. Default: 16. */
  width: v.optional(
    leaf<number>(
      'number',
      `an even integer from 2 to ${MOST_CHANNELS}`,
      (value) => isInteger(value, 2, MOST_CHANNELS) && value % 2 === 0,
    ),
    16,
  ),
  /** Outputs, an integer from 1 to 2²⁰; default: 10. */
  classes: v.optional(integer(1, LARGEST_EXTENT), 10),
  /** Channels, rows and columns of an image, each from 1 to 2²⁰; default: [3, 32, 32]. */
  input: inputShape,
});
/** The options of `resnet` and `resnet20`. */
export interface ResNetOptions extends v.InferInput<typeof resnetOptions> {}

const resnet20Options = v.strictObject({ classes: resnetOptions.entries.classes, input: resnetOptions.entries.input });

/**
 * He et al.'s residual network for CIFAR (Deep Residual Learning for Image Recognition, 2016, section 4.2).
 *
 * A 3×3 convolution, three stages of n blocks with `width`, 2·`width` and 4·`width` channels, a global average pool and a linear
 * classifier. The second and the third stage start with stride 2. A block is
 * relu(shortcut(x) + bn2(conv2(relu(bn1(conv1(x)))))), its shortcut the identity, or option A where the shape changes.
 * Convolutions have no bias. Tensors have PyTorch's names: `conv1.weight`, `layer2.0.bn1.running_mean`, `fc.bias`.
 *
 * @throws InvalidArgumentError if the depth is not 6n + 2, the width is odd, or an option is unknown.
 * @example
 * resnet({ depth: 20 });            // 269,722 parameters
 * resnet({ depth: 8, width: 4 });   // 5,006 parameters, for quick trials
 */
export function resnet(options: ResNetOptions = {}): Network {
  const { depth, width, classes, input } = parseOptions(resnetOptions, options, 'resnet');

  const blocks = (depth - 2) / 6;
  const layers: Layer[] = [...convolutionAndNorm(1, width, 1), relu()];
  for (const stage of [1, 2, 3]) {
    const channels = width * 2 ** (stage - 1);
    for (let i = 0; i < blocks; i++) {
      const reduces = stage > 1 && i === 0;
      layers.push(block(`layer${stage}.${i}`, channels, reduces), relu());
    }
  }
  layers.push(globalAveragePool(), linear({ name: 'fc', features: classes }));
  return { name: `resnet${depth}`, input: [...input], layers };
}

/**
 * The ResNet-20 of the paper's CIFAR-10 experiments: `resnet` of depth 20 and width 16, 269,722 parameters.
 *
 * @example new Model(resnet20({ classes: 10 }), { seed: 1 })
 */
export function resnet20(options: Pick<ResNetOptions, 'classes' | 'input'> = {}): Network {
  return resnet(parseOptions(resnet20Options, options, 'resnet20'));
}

function convolutionAndNorm(number: number, channels: number, stride: number): Layer[] {
  return [
    conv2d({ name: `conv${number}`, channels, kernel: 3, stride, padding: 1, bias: false }),
    batchNorm({ name: `bn${number}` }),
  ];
}

function block(name: string, channels: number, reduces: boolean): Layer {
  const stride = reduces ? 2 : 1;
  return residual({
    name,
    body: [...convolutionAndNorm(1, channels, stride), relu(), ...convolutionAndNorm(2, channels, 1)],
    shortcut: reduces ? [optionA({ channels, stride })] : [],
  });
}
