import * as check from '../support/check.js';
import { checkInput } from './compile.js';
import type { Layer, Network } from './description.js';
import { batchNorm, conv2d, globalAveragePool, linear, optionA, relu, residual } from './description.js';

export interface ResNetOptions {
  /** Layers with weights: 6n + 2 for n blocks in each of the three stages; default 20. */
  depth?: number;
  /** Channels of the first stage, even; the later stages have two and four times as many. Default 16. */
  width?: number;
  /** Outputs; default 10. */
  classes?: number;
  /** Channels, rows and columns of an image; default [3, 32, 32]. */
  input?: [number, number, number];
}

/**
 * He et al.'s residual network for CIFAR (Deep Residual Learning for Image Recognition, 2016, section 4.2).
 *
 * A 3×3 convolution, three stages of n blocks with `width`, 2·`width` and 4·`width` channels of which the second and third
 * start with stride 2, a global average pool and a linear classifier. A block is
 * relu(shortcut(x) + bn2(conv2(relu(bn1(conv1(x)))))), its shortcut the identity, or option A where the shape changes.
 * Convolutions have no bias. Tensors are called as in PyTorch: `conv1.weight`, `layer2.0.bn1.running_mean`, `fc.bias`.
 *
 * @throws InvalidArgumentError if the depth is not 6n + 2, the width is odd, or an option is unknown.
 * @example
 * resnet({ depth: 20 });            // 269,722 parameters
 * resnet({ depth: 8, width: 4 });   // 5,006 parameters, for trying things out
 */
export function resnet(options: ResNetOptions = {}): Network {
  const {
    depth = 20,
    width = 16,
    classes = 10,
    input = [3, 32, 32],
  } = check.options<ResNetOptions>(options, 'resnet', ['depth', 'width', 'classes', 'input']);
  if (!Number.isSafeInteger(depth) || depth < 8 || depth % 6 !== 2) {
    throw check.expected('depth', '6n + 2 (8, 14, 20, 26, 32, 38, 44, 50, 56, …)', depth);
  }
  // Option A pads a quarter of a stage's channels on each side, which is half the stage's before it.
  if (!Number.isSafeInteger(width) || width < 2 || width % 2 !== 0) {
    throw check.expected('width', 'an even integer >= 2', width);
  }
  check.integer(classes, 'classes', 1);
  checkInput(input);

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
  return { name: `resnet${depth}`, input, layers };
}

/**
 * The ResNet-20 of the paper's CIFAR-10 experiments: `resnet` of depth 20 and width 16, 269,722 parameters.
 *
 * @example new Model(resnet20({ classes: 10 }), { seed: 1 })
 */
export function resnet20(options: Pick<ResNetOptions, 'classes' | 'input'> = {}): Network {
  return resnet(check.options<Pick<ResNetOptions, 'classes' | 'input'>>(options, 'resnet20', ['classes', 'input']));
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
