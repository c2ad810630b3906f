/**
 * A network as plain data: what `compile` reads, what a weights file carries in its metadata, and what users write.
 * Maps are C×H×W for each image; a vector of n features is a map of n×1×1.
 *
 * @module
 */

/**
 * Convolution (cross-correlation) with zero padding, PyTorch's `Conv2d`:
 * y[o] = b[o] + Σ_c w[o, c] ⋆ x[c], for a map of ⌊(H + 2·padding − kernel)/stride⌋ + 1 rows, and columns likewise.
 *
 * Tensors: `weight`, channels × input channels × kernel rows × kernel columns, and `bias`, channels.
 */
export interface Conv2d {
  type: 'conv2d';
  /** The layer's name within its sequence; its position there when absent. */
  name?: string;
  /** Output channels, at least 1. */
  channels: number;
  /** Side of the square kernel, or rows and columns, each from 1 to 1024. */
  kernel: number | [number, number];
  /** Step between windows in both directions, at least 1; default 1. */
  stride?: number;
  /** Zeros added on each of the four sides, from 0 to 1024; default 0. */
  padding?: number;
  /** Whether a bias is added; default true. */
  bias?: boolean;
}

/**
 * Batch normalisation of each channel (Ioffe and Szegedy 2015), PyTorch's `BatchNorm2d`:
 * y = γ·(x − mean)/√(var + eps) + β. Mean and variance are the mini-batch's in training, the running ones in evaluation;
 * a training pass moves the running ones a tenth of the way (momentum 0.1).
 *
 * Tensors: `weight` (γ) and `bias` (β), and the statistics `running_mean` and `running_var`, one number a channel each.
 */
export interface BatchNorm {
  type: 'batchNorm';
  /** The layer's name within its sequence; its position there when absent. */
  name?: string;
  /** Added to the variance, > 0; default 1e-5. */
  eps?: number;
}

/** y = max(x, 0). */
export interface Relu {
  type: 'relu';
}

/** The largest value of each square window without padding: ⌊(H − kernel)/stride⌋ + 1 rows, and columns likewise. */
export interface MaxPool {
  type: 'maxPool';
  /** Side of the window, at least 1 and no larger than the map. */
  kernel: number;
  /** Step between windows, at least 1; default: the kernel, so that windows do not overlap. */
  stride?: number;
}

/**
 * The mean of each square window without padding, PyTorch's `AvgPool2d`: y[c, i, j] = Σ_{a, b < k} x[c, s·i + a, s·j + b] / k²
 * for kernel k and stride s, ⌊(H − kernel)/stride⌋ + 1 rows, and columns likewise.
 */
export interface AveragePool {
  type: 'averagePool';
  /** Side of the window, at least 1 and no larger than the map. */
  kernel: number;
  /** Step between windows, at least 1; default: the kernel, so that windows do not overlap. */
  stride?: number;
}

/** The mean of each channel's map: C×H×W → C×1×1. */
export interface GlobalAveragePool {
  type: 'globalAveragePool';
}

/** Channels, rows and columns in one vector, in that order: C×H×W → C·H·W×1×1. */
export interface Flatten {
  type: 'flatten';
}

/**
 * A fully connected layer, PyTorch's `Linear`: y = W·x + b, for an input of n×1×1.
 *
 * Tensors: `weight`, features × input features, and `bias`, features.
 */
export interface Linear {
  type: 'linear';
  /** The layer's name within its sequence; its position there when absent. */
  name?: string;
  /** Outputs, at least 1. */
  features: number;
  /** Whether a bias is added; default true. */
  bias?: boolean;
}

/**
 * The parameter-free shortcut "option A" of He et al. (2016), section 4.2: every stride-th row and column, from the first,
 * between equally many channels of zeros on both sides. ⌈H/stride⌉ rows, and columns likewise.
 */
export interface OptionA {
  type: 'optionA';
  /** Output channels: the input's and an even number (0 included) more. */
  channels: number;
  /** Step between the rows and columns kept, at least 1. */
  stride: number;
}

/**
 * body(x) + shortcut(x), both of the same shape. It has no ReLU of its own: put one after it.
 *
 * It is a scope too, as a PyTorch module is: the layer `conv1` in the body of the block `layer1.0` is `layer1.0.conv1`, and
 * an unnamed one is called by its position, `layer1.0.body.0` or `layer1.0.shortcut.0`.
 */
export interface Residual {
  type: 'residual';
  /** The block's name within its sequence; its position there when absent. */
  name?: string;
  /** At least one layer. */
  body: Layer[];
  /** Empty or absent: the identity. */
  shortcut?: Layer[];
}

export type Layer =
  Conv2d | BatchNorm | Relu | MaxPool | AveragePool | GlobalAveragePool | Flatten | Linear | OptionA | Residual;

/** A network: its layers, one after the other, on images of one shape. Plain data, equal after a trip through JSON. */
export interface Network {
  /** What people call it; it has no meaning to the library. */
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
