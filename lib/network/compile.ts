import * as v from 'valibot';

import * as check from '../support/check.js';
import { leaf } from '../support/schema.js';
import { quote } from '../support/errors.js';
import type { NativeOperation } from '../native/addon.js';
import type {
  AveragePool,
  BatchNorm,
  Conv2d,
  Layer,
  Linear,
  MaxPool,
  Network,
  OptionA,
  Residual,
} from './description.js';

/** One tensor of trainable parameters, and where it lies in the flat parameter vector. */
export interface TensorInfo {
  /** As PyTorch calls it: `conv1.weight`, `bn1.bias`. */
  name: string;
  /** [output channels, input channels, rows, columns] or [outputs, inputs] for weights, one number a channel otherwise. */
  shape: number[];
  kind: 'weight' | 'bias' | 'gamma' | 'beta';
  /** The layer's full name: `layer1.0.conv1`. */
  layer: string;
  layerType: 'conv2d' | 'linear' | 'batchNorm';
  /** Index of its first number in the flat vector. */
  offset: number;
  /** How many numbers it has. */
  size: number;
  /** True for the weights of convolutions and linear layers; batch norm and biases are queried at every step. */
  maskable: boolean;
}

/** One tensor of running statistics, and where it lies in the flat vector of them. */
export interface StatisticInfo {
  /** As PyTorch calls it: `bn1.running_mean`, `bn1.running_var`. */
  name: string;
  shape: number[];
  offset: number;
  size: number;
}

/** What the native core runs, and what names and shapes its flat vectors have. */
export interface CompiledNetwork {
  operations: NativeOperation[];
  /** Channels, rows and columns of every value for one image: of the input, then of each operation's result. */
  shapes: Shape[];
  /** In the order of their offsets, PyTorch's: by layer, weight before bias. */
  parameters: TensorInfo[];
  /** By layer, mean before variance. */
  statistics: StatisticInfo[];
  parameterCount: number;
  statisticsCount: number;
  /** Numbers the network yields for one image. */
  outputs: number;
  /** Channels, rows and columns that the network yields for one image. */
  outputShape: Shape;
}

type Shape = [channels: number, rows: number, columns: number];
type Tensor = Pick<TensorInfo, 'kind' | 'layerType' | 'shape'>;

/** What one layer does: an operation, the shape it yields and the tensors it brings. */
interface Step {
  operation: NativeOperation;
  output: Shape;
  tensors?: Tensor[];
}

const TYPES = [
  'conv2d',
  'batchNorm',
  'relu',
  'maxPool',
  'averagePool',
  'globalAveragePool',
  'flatten',
  'linear',
  'optionA',
  'residual',
] as const satisfies readonly Layer['type'][];

// The native core's limits: what it computes with must fit its integers.
export const LARGEST_EXTENT: number = 2 ** 20;
const LARGEST_KERNEL = 1024;
const LARGEST_MAP = 2 ** 28;
const MOST_PARAMETERS = 2 ** 31 - 1;
/** Residual blocks within one another: what is made can also be read from a file. */
const MOST_NESTED = 100;

/**
 * Checks a network's description, infers every shape and names every tensor.
 *
 * A tensor is called by its layer's name and `weight`, `bias`, `running_mean` or `running_var`, as in PyTorch; a layer
 * without a name by its position, as in PyTorch's `Sequential`: `0.weight`, `3.body.1.bias`.
 *
 * @throws InvalidArgumentError on the first layer that does not fit, by its place and name:
 *   `layers.3 (conv2d "conv2"): Expected channels to be an integer from 1 to 1048576, received 0`.
 * @example compile(resnet20()).parameterCount // 269722
 */
export function compile(network: Network): CompiledNetwork {
  check.object(network, 'network');
  check.options<Network>(network, 'network', ['name', 'input', 'layers']);
  check.string(network.name, "the network's name");
  return new Compiler(checkInput(network.input)).finish(network.layers);
}

/** An image's shape as an option of a network. */
export const inputShape = v.optional(
  leaf<[number, number, number]>(
    'other',
    '[channels, rows, columns]',
    (value) => Array.isArray(value) && value.length === 3,
  ),
  [3, 32, 32],
);

/** An image's shape: three integers from 1. */
export function checkInput(input: unknown): Shape {
  if (!Array.isArray(input) || input.length !== 3) throw check.expected('input', '[channels, rows, columns]', input);
  const [channels, rows, columns] = input.map((extent, i) => check.integer(extent, `input[${i}]`, 1, LARGEST_EXTENT));
  return checkMap([channels!, rows!, columns!]);
}

/** Walks the layers in order; value 0 is the network's input and operation i yields value i + 1. */
class Compiler {
  readonly #operations: NativeOperation[] = [];
  readonly #parameters: TensorInfo[] = [];
  readonly #statistics: StatisticInfo[] = [];
  readonly #shapes: Shape[];
  readonly #placeOfLayer = new Map<string, string>();
  #parameterCount = 0;
  #statisticsCount = 0;
  /** Residual blocks around the current layer. */
  #nested = 0;

  constructor(input: Shape) {
    this.#shapes = [input];
  }

  finish(layers: Layer[]): CompiledNetwork {
    const outputShape = this.#shapes[this.#sequence(layers, 0, 'layers', '', '')]!;
    return {
      operations: this.#operations,
      shapes: this.#shapes,
      parameters: this.#parameters,
      statistics: this.#statistics,
      parameterCount: this.#parameterCount,
      statisticsCount: this.#statisticsCount,
      outputs: size(outputShape),
      outputShape,
    };
  }

  /** Layers at `place`, called `scope` + their name, or `scope` + `branch` + their position. Yields the last one's value. */
  #sequence(layers: Layer[], input: number, place: string, scope: string, branch: string): number {
    if (!Array.isArray(layers) || layers.length === 0) {
      throw check.expected(place, 'a non-empty array of layers', layers);
    }
    return layers.reduce((value, layer, i) => {
      const here = `${place}.${i}`;
      locate(here, () => check.oneOf((layer as Layer | null | undefined)?.type, 'type', TYPES));
      const own = 'name' in layer ? layer.name : undefined;
      if (own !== undefined) locate(here, () => check.string(own, 'name'));
      const name = scope + (own ?? `${branch}${i}`);
      const titled = `${here} (${layer.type}${own === undefined ? '' : ` ${quote(name)}`})`;
      return layer.type === 'residual'
        ? this.#residual(layer, value, here, titled, name)
        : locate(titled, () => this.#append(stepOf(layer, this.#shapes[value]!, value), name, titled));
    }, input);
  }

  #residual(layer: Residual, value: number, place: string, titled: string, name: string): number {
    const { body, shortcut = [] } = locate(titled, () =>
      check.options<Residual>(layer, layer.type, ['type', 'name', 'body', 'shortcut']),
    );
    if (++this.#nested > MOST_NESTED) {
      throw new check.InvalidArgumentError(`Expected residual blocks to be nested at most ${MOST_NESTED} deep`);
    }
    const straight = this.#sequence(body, value, `${place}.body`, `${name}.`, 'body.');
    const identity = Array.isArray(shortcut) && shortcut.length === 0;
    const around = identity ? value : this.#sequence(shortcut, value, `${place}.shortcut`, `${name}.`, 'shortcut.');
    this.#nested -= 1;
    return locate(titled, () => {
      const [output, other] = [this.#shapes[straight]!, this.#shapes[around]!];
      if (output.some((extent, i) => extent !== other[i])) {
        throw new check.InvalidArgumentError(
          `Expected body and ${identity ? 'input' : 'shortcut'} to have the same shape, received ${extents(output)} and ${extents(other)}`,
        );
      }
      return this.#append({ operation: { kind: 'add', inputs: [straight, around] }, output }, name, titled);
    });
  }

  /** Adds an operation with its tensors and returns the number of the value it yields. */
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
      throw check.expected('the number of parameters up to here', `at most ${MOST_PARAMETERS}`, this.#parameterCount);
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

  /** Tensors of two layers never share a name, because the layers do not. */
  #claim(layer: string, place: string): void {
    const taken = this.#placeOfLayer.get(layer);
    if (taken !== undefined) {
      throw new check.InvalidArgumentError(`Duplicate layer name ${JSON.stringify(layer)}: already used by ${taken}`);
    }
    this.#placeOfLayer.set(layer, place);
  }
}

/** What a layer other than a residual block makes of a map of shape `input`, which is value `value`. */
function stepOf(layer: Exclude<Layer, Residual>, input: Shape, value: number): Step {
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
      check.options<typeof layer>(layer, layer.type, ['type']);
      const [channels, ...kernel] = input;
      return { operation: { kind: 'averagePool', inputs, kernel, stride: 1 }, output: [channels, 1, 1] };
    }
    case 'relu':
    case 'flatten': {
      const kind = check.options<typeof layer>(layer, layer.type, ['type']).type;
      return { operation: { kind, inputs }, output: kind === 'relu' ? input : [size(input), 1, 1] };
    }
  }
}

function describeConv2d(layer: Conv2d, [inputChannels, rows, columns]: Shape, inputs: [number]): Step {
  const known = ['type', 'name', 'channels', 'kernel', 'stride', 'padding', 'bias'] as const;
  const {
    channels,
    kernel: side,
    stride = 1,
    padding = 0,
    bias = true,
  } = check.options<Conv2d>(layer, layer.type, known);
  check.integer(channels, 'channels', 1, LARGEST_EXTENT);
  check.integer(stride, 'stride', 1, LARGEST_EXTENT);
  check.integer(padding, 'padding', 0, LARGEST_KERNEL);
  check.boolean(bias, 'bias');
  const kernel = checkKernel(side);
  const padded: [number, number] = [rows + 2 * padding, columns + 2 * padding];
  if (kernel[0] > padded[0] || kernel[1] > padded[1]) {
    throw check.expected('kernel', `at most ${extents(padded)}, the map with its padding`, kernel);
  }
  return {
    operation: { kind: 'conv2d', inputs, channels, kernel, stride, padding, bias },
    output: [channels, windows(padded[0], kernel[0], stride), windows(padded[1], kernel[1], stride)],
    tensors: weightAndBias('conv2d', [channels, inputChannels, ...kernel], bias),
  };
}

function checkKernel(side: unknown): [number, number] {
  const kernel: unknown[] = Array.isArray(side) ? side : [side, side];
  if (kernel.length !== 2) throw check.expected('kernel', 'one side, or [rows, columns]', side);
  const [rows, columns] = kernel.map((extent) => check.integer(extent, 'kernel', 1, LARGEST_KERNEL));
  return [rows!, columns!];
}

function describeBatchNorm(layer: BatchNorm, input: Shape, inputs: [number]): Step {
  const { eps = 1e-5 } = check.options<BatchNorm>(layer, layer.type, ['type', 'name', 'eps']);
  check.positive(eps, 'eps');
  return {
    operation: { kind: 'batchNorm', inputs, eps },
    output: input,
    tensors: [
      { kind: 'gamma', layerType: 'batchNorm', shape: [input[0]] },
      { kind: 'beta', layerType: 'batchNorm', shape: [input[0]] },
    ],
  };
}

function describePool(layer: MaxPool | AveragePool, [channels, rows, columns]: Shape, inputs: [number]): Step {
  const { kernel, stride = kernel } = check.options<typeof layer>(layer, layer.type, ['type', 'kernel', 'stride']);
  check.integer(kernel, 'kernel', 1);
  check.integer(stride, 'stride', 1, LARGEST_EXTENT);
  if (kernel > Math.min(rows, columns)) {
    throw check.expected(
      'kernel',
      `at most ${Math.min(rows, columns)} on a map of ${extents([rows, columns])}`,
      kernel,
    );
  }
  return {
    operation:
      layer.type === 'maxPool'
        ? { kind: layer.type, inputs, kernel, stride }
        : { kind: layer.type, inputs, kernel: [kernel, kernel], stride },
    output: [channels, windows(rows, kernel, stride), windows(columns, kernel, stride)],
  };
}

function describeLinear(layer: Linear, input: Shape, inputs: [number]): Step {
  const { features, bias = true } = check.options<Linear>(layer, layer.type, ['type', 'name', 'features', 'bias']);
  check.integer(features, 'features', 1, LARGEST_EXTENT);
  check.boolean(bias, 'bias');
  if (input[1] !== 1 || input[2] !== 1) {
    throw new check.InvalidArgumentError(
      `Expected a flat input, received a map of ${extents(input)}: add a globalAveragePool or flatten before`,
    );
  }
  return {
    operation: { kind: 'linear', inputs, features, bias },
    output: [features, 1, 1],
    tensors: weightAndBias('linear', [features, input[0]], bias),
  };
}

function describeOptionA(layer: OptionA, [inputChannels, rows, columns]: Shape, inputs: [number]): Step {
  const { channels, stride } = check.options<OptionA>(layer, layer.type, ['type', 'channels', 'stride']);
  check.integer(channels, 'channels', 1, LARGEST_EXTENT);
  check.integer(stride, 'stride', 1, LARGEST_EXTENT);
  if (channels < inputChannels || (channels - inputChannels) % 2 !== 0) {
    throw check.expected('channels', `the input's ${inputChannels} or an even number more`, channels);
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

/** How many windows of `kernel` fit at steps of `stride`. */
function windows(extent: number, kernel: number, stride: number): number {
  return Math.floor((extent - kernel) / stride) + 1;
}

function checkMap(shape: Shape): Shape {
  if (Math.max(...shape) > LARGEST_EXTENT || size(shape) > LARGEST_MAP) {
    throw new check.InvalidArgumentError(
      `Expected a map of at most ${LARGEST_MAP} numbers and ${LARGEST_EXTENT} in any direction, received ${extents(shape)}`,
    );
  }
  return shape;
}

/** Runs `action` and puts the layer's place before the message of what it finds wrong. */
function locate<T>(place: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof check.InvalidArgumentError)) throw error;
    throw new check.InvalidArgumentError(`${place}: ${error.message}`);
  }
}

function size(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

function extents(shape: readonly number[]): string {
  return shape.join('×');
}
