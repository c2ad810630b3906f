import * as v from 'valibot';

import { InvalidArgumentError, quote } from '../support/errors.js';
import { checked, expected, isObject, oneOf, parseOptions, string } from '../support/schema.js';
import type { NativeOperation } from '../native/addon.js';
import type {
  AveragePool,
  BatchNorm,
  Conv2d,
  ImageShape,
  Layer,
  Linear,
  MaxPool,
  Network,
  OptionA,
  Residual,
} from './description.js';
import {
  averagePoolLayer,
  batchNormLayer,
  conv2dLayer,
  flattenLayer,
  globalAveragePoolLayer,
  imageShape,
  LARGEST_EXTENT,
  leakyReluLayer,
  linearLayer,
  maxPoolLayer,
  networkSchema,
  optionALayer,
  reluLayer,
  residualLayer,
  tanhLayer,
} from './description.js';

/** One tensor of trainable parameters, and its place in the flat parameter vector. */
export interface TensorInfo {
  /** PyTorch's name: `conv1.weight`, `bn1.bias`. */
  name: string;
  /** [output channels, input channels, rows, columns] or [outputs, inputs] for weights, one number per channel otherwise. */
  shape: number[];
  /** Its part in the layer; `gamma` and `beta` are the factor and the shift of a batch norm. */
  kind: 'weight' | 'bias' | 'gamma' | 'beta';
  /** The layer's full name: `layer1.0.conv1`. */
  layer: string;
  /** The kind of the layer. */
  layerType: 'conv2d' | 'linear' | 'batchNorm';
  /** Index of its first number in the flat vector. */
  offset: number;
  /** Number of its values. */
  size: number;
  /** True for the weights of convolutions and linear layers. Masks never leave out batch norm and biases. */
  maskable: boolean;
}

/** One tensor of running statistics, and its place in the flat vector of running statistics. */
export interface StatisticInfo {
  /** PyTorch's name: `bn1.running_mean`, `bn1.running_var`. */
  name: string;
  /** One number per channel. */
  shape: number[];
  /** Index of its first number in the flat vector. */
  offset: number;
  /** Number of its values. */
  size: number;
}

/** The named tensors and the flat vectors of a network, and the shape of its output. */
export interface CompiledNetwork {
  /** In the order of their offsets, PyTorch's: by layer, weight before bias. */
  parameters: TensorInfo[];
  /** By layer, mean before variance. */
  statistics: StatisticInfo[];
  /** Numbers in the flat vector of parameters. */
  parameterCount: number;
  /** Numbers in the flat vector of statistics. */
  statisticsCount: number;
  /** Numbers in the output for one image. */
  outputs: number;
  /** Channels, rows and columns of the output for one image. */
  outputShape: ImageShape;
}

/** The operations of a network, for the native core. */
export interface Program {
  operations: NativeOperation[];
  /** Channels, rows and columns of every value for one image: of the input, then of each operation's result. */
  shapes: ImageShape[];
}

type Tensor = Pick<TensorInfo, 'kind' | 'layerType' | 'shape'>;

/** A layer as an operation, with the shape of its result and its tensors. */
interface Step {
  operation: NativeOperation;
  output: ImageShape;
  tensors?: Tensor[];
}

const LARGEST_MAP = 2 ** 28;
const MOST_PARAMETERS = 2 ** 31 - 1;
/** Levels of nested residual blocks: a network within this limit can also be read from a file. */
const MOST_NESTED = 100;

/**
 * Checks a network's description, infers every shape and names every tensor.
 *
 * A tensor's name is its layer's name and `weight`, `bias`, `running_mean` or `running_var`, as in PyTorch. A layer without a
 * name goes by its position, as in PyTorch's `Sequential`: `0.weight`, `3.body.1.bias`.
 *
 * @throws InvalidArgumentError on the first layer that does not fit, by its place and name:
 *   `layers.3 (conv2d "conv2"): Expected channels to be an integer from 1 to 1048576, received 0`.
 * @example compile(resnet20()).parameterCount // 269722
 */
export function compile(network: Network): CompiledNetwork {
  return compiler(network).compiled;
}

/** The operations of a network. @throws InvalidArgumentError as `compile` does. */
export function programOf(network: Network): Program {
  return compiler(network).program;
}

function compiler(network: Network): Compiler {
  if (!isObject(network)) throw expected('network', 'an object', network);
  const { input, layers } = parseOptions(networkSchema, network, 'network');
  return new Compiler(checkMap(input), layers);
}

/** An image's shape as an option of a network. */
export const inputShape = v.optional(imageShape, [3, 32, 32]);

const layerType = oneOf([
  'conv2d',
  'batchNorm',
  'relu',
  'leakyRelu',
  'tanh',
  'maxPool',
  'averagePool',
  'globalAveragePool',
  'flatten',
  'linear',
  'optionA',
  'residual',
] as const satisfies readonly Layer['type'][]);

/** Walks the layers in order; value 0 is the network's input and the result of operation i is value i + 1. */
class Compiler {
  readonly #operations: NativeOperation[] = [];
  readonly #parameters: TensorInfo[] = [];
  readonly #statistics: StatisticInfo[] = [];
  readonly #shapes: ImageShape[];
  readonly #placeOfLayer = new Map<string, string>();
  #parameterCount = 0;
  #statisticsCount = 0;
  /** Number of residual blocks around the current layer. */
  #nested = 0;

  readonly #outputShape: ImageShape;

  constructor(input: ImageShape, layers: readonly Layer[]) {
    this.#shapes = [input];
    this.#outputShape = this.#shapes[this.#sequence(layers, 0, 'layers', '', '')]!;
  }

  get program(): Program {
    return { operations: this.#operations, shapes: this.#shapes };
  }

  get compiled(): CompiledNetwork {
    return {
      parameters: this.#parameters,
      statistics: this.#statistics,
      parameterCount: this.#parameterCount,
      statisticsCount: this.#statisticsCount,
      outputs: size(this.#outputShape),
      outputShape: this.#outputShape,
    };
  }

  /**
   * Appends the layers at `place`; each one's full name is `scope` + its name, or `scope` + `branch` + its position.
   *
   * @returns the number of the last layer's value.
   */
  #sequence(layers: readonly Layer[], input: number, place: string, scope: string, branch: string): number {
    return layers.reduce((value, layer, i) => {
      const here = `${place}.${i}`;
      locate(here, () => checked(layerType, (layer as Layer | null | undefined)?.type, 'type'));
      const own = 'name' in layer ? layer.name : undefined;
      if (own !== undefined) locate(here, () => checked(string, own, 'name'));
      const name = scope + (own ?? `${branch}${i}`);
      const titled = `${here} (${layer.type}${own === undefined ? '' : ` ${quote(name)}`})`;
      return layer.type === 'residual'
        ? this.#residual(layer, value, here, titled, name)
        : locate(titled, () => this.#append(stepOf(layer, this.#shapes[value]!, value), name, titled));
    }, input);
  }

  #residual(layer: Residual, value: number, place: string, titled: string, name: string): number {
    const { body, shortcut = [] } = locate(titled, () => parseOptions(residualLayer, layer, layer.type));
    if (++this.#nested > MOST_NESTED) {
      throw new InvalidArgumentError(`Expected residual blocks to be nested at most ${MOST_NESTED} deep`);
    }
    const straight = this.#sequence(body, value, `${place}.body`, `${name}.`, 'body.');
    const identity = shortcut.length === 0;
    const around = identity ? value : this.#sequence(shortcut, value, `${place}.shortcut`, `${name}.`, 'shortcut.');
    this.#nested -= 1;
    return locate(titled, () => {
      const [output, other] = [this.#shapes[straight]!, this.#shapes[around]!];
      if (output.some((extent, i) => extent !== other[i])) {
        throw new InvalidArgumentError(
          `Expected body and ${identity ? 'input' : 'shortcut'} to have the same shape, received ${extents(output)} and ${extents(other)}`,
        );
      }
      return this.#append({ operation: { kind: 'add', inputs: [straight, around] }, output }, name, titled);
    });
  }

  /** Adds an operation with its tensors. @returns the number of its result. */
  #append({ operation, output, tensors = [] }: Step, layer: string, place: string): number {
    if (tensors.length > 0) this.#claim(layer, place);
    for (const { kind, layerType, shape } of tensors) {
      const isWeight = kind === 'weight' || kind === 'gamma';
      const info = { name: `${layer}.${isWeight ? 'weight' : 'bias'}`, shape, kind, layer, layerType };
      const extent = { offset: this.#parameterCount, size: size(shape) };
      this.#parameters.push({ ...info, ...extent, maskable: kind === 'weight' });
      this.#parameterCount += extent.size;
    }
    if (this.#parameterCount > MOST_PARAMETERS) {
      throw expected('the number of parameters up to here', `at most ${MOST_PARAMETERS}`, this.#parameterCount);
    }
    if (operation.kind === 'batchNorm') {
      const [channels] = output;
      for (const name of [`${layer}.running_mean`, `${layer}.running_var`]) {
        this.#statistics.push({ name, shape: [channels], offset: this.#statisticsCount, size: channels });
        this.#statisticsCount += channels;
      }
    }
    this.#operations.push(operation);
    this.#shapes.push(checkMap(output));
    return this.#operations.length;
  }

  /** Refuses a layer's name that another layer has, so that no two tensors share a name. */
  #claim(layer: string, place: string): void {
    const taken = this.#placeOfLayer.get(layer);
    if (taken !== undefined) {
      throw new InvalidArgumentError(`Duplicate layer name ${quote(layer)}: already used by ${taken}`);
    }
    this.#placeOfLayer.set(layer, place);
  }
}

/** A layer other than a residual block, applied to value number `value` of shape `input`. */
function stepOf(layer: Exclude<Layer, Residual>, input: ImageShape, value: number): Step {
  const inputs: [number] = [value];
  switch (layer.type) {
    case 'conv2d':
      return describeConv2d(layer, input, inputs);
    case 'batchNorm':
      return describeBatchNorm(layer, input, inputs);
    case 'maxPool':
    case 'averagePool':
      return describePool(layer, input, inputs);
    case 'linear':
      return describeLinear(layer, input, inputs);
    case 'optionA':
      return describeOptionA(layer, input, inputs);
    case 'globalAveragePool': {
      parseOptions(globalAveragePoolLayer, layer, layer.type);
      const [channels, ...kernel] = input;
      return { operation: { kind: 'averagePool', inputs, kernel, stride: 1 }, output: [channels, 1, 1] };
    }
    case 'relu':
      parseOptions(reluLayer, layer, layer.type);
      return { operation: { kind: 'relu', inputs }, output: input };
    case 'leakyRelu': {
      const { slope } = parseOptions(leakyReluLayer, layer, layer.type);
      return { operation: { kind: 'leakyRelu', inputs, slope }, output: input };
    }
    case 'tanh':
      parseOptions(tanhLayer, layer, layer.type);
      return { operation: { kind: 'tanh', inputs }, output: input };
    case 'flatten':
      parseOptions(flattenLayer, layer, layer.type);
      return { operation: { kind: 'flatten', inputs }, output: [size(input), 1, 1] };
  }
}

function describeConv2d(layer: Conv2d, [inputChannels, rows, columns]: ImageShape, inputs: [number]): Step {
  const { channels, kernel: side, stride, padding, bias } = parseOptions(conv2dLayer, layer, layer.type);
  const kernel: [number, number] = typeof side === 'number' ? [side, side] : [...side];
  const padded: [number, number] = [rows + 2 * padding, columns + 2 * padding];
  if (kernel[0] > padded[0] || kernel[1] > padded[1]) {
    throw expected('kernel', `at most ${extents(padded)}, the map with its padding`, kernel);
  }
  return {
    operation: { kind: 'conv2d', inputs, channels, kernel, stride, padding, bias },
    output: [channels, windows(padded[0], kernel[0], stride), windows(padded[1], kernel[1], stride)],
    tensors: weightAndBias('conv2d', [channels, inputChannels, ...kernel], bias),
  };
}

function describeBatchNorm(layer: BatchNorm, input: ImageShape, inputs: [number]): Step {
  const { eps } = parseOptions(batchNormLayer, layer, layer.type);
  return {
    operation: { kind: 'batchNorm', inputs, eps },
    output: input,
    tensors: [
      { kind: 'gamma', layerType: 'batchNorm', shape: [input[0]] },
      { kind: 'beta', layerType: 'batchNorm', shape: [input[0]] },
    ],
  };
}

function describePool(layer: MaxPool | AveragePool, [channels, rows, columns]: ImageShape, inputs: [number]): Step {
  const schema = layer.type === 'maxPool' ? maxPoolLayer : averagePoolLayer;
  const { kernel, stride = kernel } = parseOptions(schema, layer, layer.type);
  const side = Math.min(rows, columns);
  if (kernel > side) throw expected('kernel', `at most ${side} on a map of ${extents([rows, columns])}`, kernel);
  return {
    operation:
      layer.type === 'maxPool'
        ? { kind: layer.type, inputs, kernel, stride }
        : { kind: layer.type, inputs, kernel: [kernel, kernel], stride },
    output: [channels, windows(rows, kernel, stride), windows(columns, kernel, stride)],
  };
}

function describeLinear(layer: Linear, input: ImageShape, inputs: [number]): Step {
  const { features, bias } = parseOptions(linearLayer, layer, layer.type);
  if (input[1] !== 1 || input[2] !== 1) {
    throw new InvalidArgumentError(
      `Expected a flat input, received a map of ${extents(input)}: add a globalAveragePool or flatten before`,
    );
  }
  return {
    operation: { kind: 'linear', inputs, features, bias },
    output: [features, 1, 1],
    tensors: weightAndBias('linear', [features, input[0]], bias),
  };
}

function describeOptionA(layer: OptionA, [inputChannels, rows, columns]: ImageShape, inputs: [number]): Step {
  const { channels, stride } = parseOptions(optionALayer, layer, layer.type);
  if (channels < inputChannels || (channels - inputChannels) % 2 !== 0) {
    throw expected('channels', `the input's ${inputChannels} or an even number more`, channels);
  }
  return {
    operation: { kind: 'optionA', inputs, channels, stride },
    output: [channels, Math.ceil(rows / stride), Math.ceil(columns / stride)],
  };
}

function weightAndBias(layerType: 'conv2d' | 'linear', shape: [number, ...number[]], bias: boolean): Tensor[] {
  const weight: Tensor = { kind: 'weight', layerType, shape };
  return bias ? [weight, { kind: 'bias', layerType, shape: [shape[0]] }] : [weight];
}

/** The number of windows of length `kernel` at steps of `stride`. */
function windows(extent: number, kernel: number, stride: number): number {
  return Math.floor((extent - kernel) / stride) + 1;
}

function checkMap(shape: ImageShape): ImageShape {
  if (Math.max(...shape) > LARGEST_EXTENT || size(shape) > LARGEST_MAP) {
    throw new InvalidArgumentError(
      `Expected a map of at most ${LARGEST_MAP} numbers and ${LARGEST_EXTENT} in any direction, received ${extents(shape)}`,
    );
  }
  return shape;
}

/** Runs `action`, and names the layer's place in its errors. */
function locate<T>(place: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw new InvalidArgumentError(`${place}: ${error.message}`);
  }
}

function size(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

function extents(shape: readonly number[]): string {
  return shape.join('×');
}
