/**
 * A network as plain data: the input of `compile`, and the form of networks in the metadata of weights files. Maps are
 * C×H×W for each image; a vector of n features is a map of n×1×1.
 *
 * @module
 */
import * as v from 'valibot';

import type { ListSchema } from '../support/schema.js';
import { boolean, fraction, integer, leaf, list, positive, string } from '../support/schema.js';

// The native core's limits: its integers must hold every index and every count.
export const LARGEST_EXTENT: number = 2 ** 20;
export const LARGEST_KERNEL = 1024;

const isInteger = (value: unknown, low: number, high: number): boolean =>
  Number.isSafeInteger(value) && (value as number) >= low && (value as number) <= high;

const kernel = leaf<number | [number, number]>(
  'other',
  `a side or [rows, columns], each an integer from 1 to ${LARGEST_KERNEL}`,
  (value) => {
    const sides: unknown[] = Array.isArray(value) ? value : [value, value];
    return sides.length === 2 && sides.every((side) => isInteger(side, 1, LARGEST_KERNEL));
  },
);

export const conv2dLayer = v.strictObject({
  /** The kind of layer. */
  type: v.literal('conv2d'),
  /** The layer's name within its sequence; default: its position there. */
  name: v.optional(string),
  /** Output channels, an integer from 1 to 2²⁰. */
  channels: integer(1, LARGEST_EXTENT),
  /** Side of the square kernel, or [rows, columns], each an integer from 1 to 1024. */
  kernel,
  /** Step between windows in both directions, an integer from 1 to 2²⁰; default: 1. */
  stride: v.optional(integer(1, LARGEST_EXTENT), 1),
  /** Zeros added on each of the four sides, an integer from 0 to 1024; default: 0. */
  padding: v.optional(integer(0, LARGEST_KERNEL), 0),
  /** Whether a bias is added; default: true. */
  bias: v.optional(boolean, true),
});
/**
 * Convolution (cross-correlation) with zero padding, PyTorch's `Conv2d`:
 * y[o] = b[o] + Σ_c w[o, c] ⋆ x[c], for a map of ⌊(H + 2·padding − kernel)/stride⌋ + 1 rows, and columns likewise.
 *
 * Tensors: `weight`, channels × input channels × kernel rows × kernel columns, and `bias`, channels.
 */
export interface Conv2d extends v.InferInput<typeof conv2dLayer> {}

export const batchNormLayer = v.strictObject({
  /** The kind of layer. */
  type: v.literal('batchNorm'),
  /** The layer's name within its sequence; default: its position there. */
  name: v.optional(string),
  /** Added to the variance, > 0; default: 1e-5. */
  eps: v.optional(positive, 1e-5),
});
/**
 * Batch normalisation of each channel (Ioffe and Szegedy 2015), PyTorch's `BatchNorm2d`:
 * y = γ·(x − mean)/√(var + eps) + β. Training uses the mini-batch's mean and variance, evaluation the running ones; a
 * training pass moves the running ones a tenth of the way to the mini-batch's (momentum 0.1).
 *
 * Tensors: `weight` (γ) and `bias` (β), and the statistics `running_mean` and `running_var`, each with one number per channel.
 */
export interface BatchNorm extends v.InferInput<typeof batchNormLayer> {}

export const reluLayer = v.strictObject({
  /** The kind of layer. */
  type: v.literal('relu'),
});
/** y = max(x, 0). */
export interface Relu extends v.InferInput<typeof reluLayer> {}

export const leakyReluLayer = v.strictObject({
  /** The kind of layer. */
  type: v.literal('leakyRelu'),
  /** Slope below zero, in [0, 1); default: 0.01. */
  slope: v.optional(fraction, 0.01),
});
/** y = x where x > 0, elsewhere slope·x (Maas et al. 2013), PyTorch's `LeakyReLU`. */
export interface LeakyRelu extends v.InferInput<typeof leakyReluLayer> {}

export const tanhLayer = v.strictObject({
  /** The kind of layer. */
  type: v.literal('tanh'),
});
/** y = tanh(x) = (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ), PyTorch's `Tanh`. */
export interface Tanh extends v.InferInput<typeof tanhLayer> {}

const windows = {
  /** Side of the window, an integer >= 1 and no larger than the map. */
  kernel: integer(1),
  /** Step between windows, an integer from 1 to 2²⁰; default: the kernel, so that windows do not overlap. */
  stride: v.optional(integer(1, LARGEST_EXTENT)),
};

export const maxPoolLayer = v.strictObject({
  /** The kind of layer. */
  type: v.literal('maxPool'),
  ...windows,
});
/** The largest value of each square window without padding: ⌊(H − kernel)/stride⌋ + 1 rows, and columns likewise. */
export interface MaxPool extends v.InferInput<typeof maxPoolLayer> {}

export const averagePoolLayer = v.strictObject({
  /** The kind of layer. */
  type: v.literal('averagePool'),
  ...windows,
});
/**
 * The mean of each square window without padding, PyTorch's `AvgPool2d`: y[c, i, j] = Σ_{a, b < k} x[c, s·i + a, s·j + b] / k²
 * for kernel k and stride s, ⌊(H − kernel)/stride⌋ + 1 rows, and columns likewise.
 */
export interface AveragePool extends v.InferInput<typeof averagePoolLayer> {}

export const globalAveragePoolLayer = v.strictObject({
  /** The kind of layer. */
  type: v.literal('globalAveragePool'),
});
/** The mean of each channel's map: C×H×W → C×1×1. */
export interface GlobalAveragePool extends v.InferInput<typeof globalAveragePoolLayer> {}

export const flattenLayer = v.strictObject({
  /** The kind of layer. */
  type: v.literal('flatten'),
});
/** Channels, rows and columns in one vector, in that order: C×H×W → C·H·W×1×1. */
export interface Flatten extends v.InferInput<typeof flattenLayer> {}

export const linearLayer = v.strictObject({
  /** The kind of layer. */
  type: v.literal('linear'),
  /** The layer's name within its sequence; default: its position there. */
  name: v.optional(string),
  /** Outputs, an integer from 1 to 2²⁰. */
  features: integer(1, LARGEST_EXTENT),
  /** Whether a bias is added; default: true. */
  bias: v.optional(boolean, true),
});
/**
 * A fully connected layer, PyTorch's `Linear`: y = W·x + b, for an input of n×1×1.
 *
 * Tensors: `weight`, features × input features, and `bias`, features.
 */
export interface Linear extends v.InferInput<typeof linearLayer> {}

export const optionALayer = v.strictObject({
  /** The kind of layer. */
  type: v.literal('optionA'),
  /** Output channels, an integer from 1 to 2²⁰: as many as the input has, or an even number more. */
  channels: integer(1, LARGEST_EXTENT),
  /** Step between the rows and columns to copy, an integer from 1 to 2²⁰. */
  stride: integer(1, LARGEST_EXTENT),
});
/**
 * The parameter-free shortcut "option A" of He et al. (2016), section 4.2: it copies every stride-th row and column, from the
 * first on, and adds equally many channels of zeros before and after. ⌈H/stride⌉ rows, and columns likewise.
 */
export interface OptionA extends v.InferInput<typeof optionALayer> {}

/** Layers are checked where they are compiled, which knows their place in the network. */
const layersOf = leaf<Layer[]>(
  'other',
  'a non-empty array of layers',
  (value) => Array.isArray(value) && value.length > 0,
);

export const residualLayer = v.strictObject({
  /** The kind of layer. */
  type: v.literal('residual'),
  name: v.optional(string),
  body: layersOf,
  shortcut: v.optional(leaf<Layer[]>('other', 'an array of layers', Array.isArray)),
});
/**
 * body(x) + shortcut(x), both of the same shape. A ReLU after the sum is a layer after the block.
 *
 * As a PyTorch module does, the block gives its name to its layers: the layer `conv1` in the body of the block `layer1.0` is
 * `layer1.0.conv1`, and a layer without a name is named by its position, `layer1.0.body.0` or `layer1.0.shortcut.0`.
 */
export interface Residual {
  /** The kind of layer. */
  type: 'residual';
  /** The block's name within its sequence; default: its position there. */
  name?: string | undefined;
  /** At least one layer. */
  body: Layer[];
  /** Default: empty, the identity. */
  shortcut?: Layer[] | undefined;
}

/** A layer of a network, made by the function of its name. */
export type Layer =
  | Conv2d
  | BatchNorm
  | Relu
  | LeakyRelu
  | Tanh
  | MaxPool
  | AveragePool
  | GlobalAveragePool
  | Flatten
  | Linear
  | OptionA
  | Residual;

/** Channels, rows and columns of an image. */
export type ImageShape = readonly [channels: number, rows: number, columns: number];

export const imageShape: ListSchema<ImageShape> = list(
  integer(1, LARGEST_EXTENT),
  '[channels, rows, columns]',
  ({ length }) => length === 3,
);

export const networkSchema = v.strictObject({
  name: string,
  input: imageShape,
  layers: layersOf,
});
/**
 * A network: its layers, one after the other, on images of one shape. Plain data: JSON and back yields an equal network.
 */
export interface Network {
  /** A name for people; the library does not interpret it. */
  name: string;
  /** Channels, rows and columns of an image. */
  input: [number, number, number];
  /** At least one layer. */
  layers: Layer[];
}

/**
 * A convolution layer.
 *
 * @example conv2d({ name: 'conv1', channels: 16, kernel: 3, padding: 1, bias: false })
 */
export function conv2d(options: Omit<Conv2d, 'type'>): Conv2d {
  return { type: 'conv2d', ...options };
}

/**
 * A batch-normalisation layer.
 *
 * @example batchNorm({ name: 'bn1' })
 */
export function batchNorm(options: Omit<BatchNorm, 'type'> = {}): BatchNorm {
  return { type: 'batchNorm', ...options };
}

/** A rectifier. */
export function relu(): Relu {
  return { type: 'relu' };
}

/**
 * A rectifier that lets a fraction of negative values through.
 *
 * @example leakyRelu({ slope: 0.1 })
 */
export function leakyRelu(options: Omit<LeakyRelu, 'type'> = {}): LeakyRelu {
  return { type: 'leakyRelu', ...options };
}

/** A hyperbolic tangent. */
export function tanh(): Tanh {
  return { type: 'tanh' };
}

/**
 * A max pool.
 *
 * @example maxPool({ kernel: 2 })
 */
export function maxPool(options: Omit<MaxPool, 'type'>): MaxPool {
  return { type: 'maxPool', ...options };
}

/**
 * An average pool.
 *
 * @example averagePool({ kernel: 2 })
 */
export function averagePool(options: Omit<AveragePool, 'type'>): AveragePool {
  return { type: 'averagePool', ...options };
}

/** The mean over each channel's map. */
export function globalAveragePool(): GlobalAveragePool {
  return { type: 'globalAveragePool' };
}

/** The map as one vector. */
export function flatten(): Flatten {
  return { type: 'flatten' };
}

/**
 * A fully connected layer.
 *
 * @example linear({ name: 'fc', features: 10 })
 */
export function linear(options: Omit<Linear, 'type'>): Linear {
  return { type: 'linear', ...options };
}

/**
 * The parameter-free shortcut of He et al.'s CIFAR networks.
 *
 * @example optionA({ channels: 32, stride: 2 })
 */
export function optionA(options: Omit<OptionA, 'type'>): OptionA {
  return { type: 'optionA', ...options };
}

/**
 * The sum of two branches.
 *
 * @example residual({ name: 'block1', body: [conv2d({ channels: 16, kernel: 3, padding: 1 }), batchNorm()] })
 */
export function residual(options: Omit<Residual, 'type'>): Residual {
  return { type: 'residual', ...options };
}
