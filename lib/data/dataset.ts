/**
 * Data sets: images addressed by index and handed out as normalised float batches.
 *
 * @module
 */
import * as v from 'valibot';

import { digest } from '../support/digest.js';
import { InvalidArgumentError } from '../support/errors.js';
import { checked, expected, instance, integer, parseOptions, seed, string } from '../support/schema.js';
import { imageShape } from '../network/description.js';
import { drawPlacement, IN_PLACE, placeImage, type Augmentation, type PixelSource } from './augment.js';
import { names, normalization } from './options.js';

export type { Augmentation } from './augment.js';

/** A mini-batch: `images` is NCHW, `count` images; with `labels` (classes) or `targets` (`count` rows). */
export interface Batch {
  /** count×C×H×W numbers. */
  images: Float32Array;
  /** Number of images. */
  count: number;
  /** One class for each image. */
  labels?: Int32Array;
  /** For each image as many numbers as the network has outputs; rollouts: steps × values. */
  targets?: Float32Array;
}

/** The data that training and evaluation take. Implement it for other sources than arrays. */
export interface Dataset {
  /** In logs and messages. */
  readonly name: string;
  /** Number of images. */
  readonly count: number;
  /** Channels, height, width. */
  readonly shape: readonly [number, number, number];
  /** Number of classes, where there are labels. */
  readonly classes?: number;
  /** One class per image, for drawing the same number of every class. */
  readonly labels?: Uint8Array;
  /** Fixes the content, as JSON, with name and count: a run resumes only on a data set of equal identity. */
  readonly identity?: object;
  /** Gathers images by index; with `augmentation` each is cropped and flipped at random. */
  batch(indices: Uint32Array, augmentation?: Augmentation): Batch;
}

/** A data set's name, count and identity, for results that depend on it. */
export const describeDataset = ({ name, count, identity }: Dataset): object => ({ name, count, ...identity });

/** The first images of a data set. */
export const firstBatch = (dataset: Dataset, count: number): Batch =>
  dataset.batch(Uint32Array.from({ length: count }, (_, i) => i));

/** The options of `ImageDataset`. */
export interface ImageDatasetOptions {
  /** In logs and messages. */
  name: string;
  /** count×C×H×W bytes, 0 to 255. */
  images: Uint8Array;
  /** One class number per image. */
  labels: Uint8Array;
  /** Channels, height, width. */
  shape: readonly [number, number, number];
  /** One name for each class, in the order of the labels. */
  classNames: readonly string[];
  /** Per channel, of pixel values scaled to 0 … 1. */
  mean: readonly number[];
  /** Per channel, of pixel values scaled to 0 … 1. */
  std: readonly number[];
}

const bytes = instance(Uint8Array, 'a Uint8Array');
const floats = instance(Float32Array, 'a Float32Array');

/** `channels` comes from the shape, which is checked before the entries that depend on it. */
function imageDatasetOptions(channels: number) {
  const entries = { name: string, images: bytes, labels: bytes, shape: imageShape, classNames: names };
  return v.strictObject({ ...entries, ...normalization(channels) });
}

const tensorDatasetOptions = v.strictObject({
  name: v.optional(string, 'tensors'),
  images: floats,
  shape: imageShape,
  labels: v.optional(bytes),
  classes: v.optional(integer(1)),
  targets: v.optional(floats),
});

/** Values in one image. */
function imageSize(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function checkIndices(indices: Uint32Array, count: number): void {
  if (!(indices instanceof Uint32Array)) throw expected('indices', 'a Uint32Array', indices);
  const wrong = indices.findIndex((index) => index >= count);
  if (wrong >= 0) throw expected(`indices[${wrong}]`, `< ${count}, the data set's size`, indices[wrong]);
}

function checkLabels(labels: Uint8Array, classes: number): void {
  const wrong = labels.findIndex((label) => label >= classes);
  if (wrong >= 0) throw expected(`labels[${wrong}]`, `< ${classes}, the number of classes`, labels[wrong]);
}

/** (v/255 − mean) / std of every byte v, per channel. */
function normalisationTable(mean: readonly number[], std: readonly number[]): Float32Array {
  return Float32Array.from({ length: mean.length * 256 }, (_, i) => {
    const channel = i >> 8;
    return ((i & 255) / 255 - mean[channel]!) / std[channel]!;
  });
}

/**
 * Images of bytes with class labels. A batch holds (pixel/255 − mean) / std per channel.
 *
 * @example new ImageDataset({ name: 'mine', images, labels, shape: [3, 32, 32], classNames, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] })
 * @throws InvalidArgumentError if sizes disagree, a label has no class name, or a standard deviation is not > 0.
 */
export class ImageDataset implements Dataset {
  /** In logs and messages. */
  readonly name: string;
  readonly count: number;
  readonly shape: readonly [number, number, number];
  /** Number of classes. */
  readonly classes: number;
  /** One name for each class. */
  readonly classNames: readonly string[];
  /** count×C×H×W bytes. */
  readonly images: Uint8Array;
  readonly labels: Uint8Array;
  /** Per channel, of pixel values scaled to 0 … 1. */
  readonly mean: readonly number[];
  /** Per channel, of pixel values scaled to 0 … 1. */
  readonly std: readonly number[];
  readonly #imageSize: number;
  readonly #source: PixelSource;
  #digest: string | undefined;

  constructor(options: ImageDatasetOptions) {
    const channels = (Object(options) as Partial<ImageDatasetOptions>).shape?.[0];
    const { name, images, labels, shape, classNames, mean, std } = parseOptions(
      imageDatasetOptions(channels ?? 1),
      options,
      'ImageDataset',
    );
    const size = imageSize(shape);
    if (images.length !== labels.length * size) {
      throw expected('the length of images', `${labels.length} × ${size}, from labels and shape`, images.length);
    }
    checkLabels(labels, classNames.length);
    this.name = name;
    this.count = labels.length;
    this.shape = shape;
    this.classes = classNames.length;
    this.classNames = classNames;
    this.images = images;
    this.labels = labels;
    this.mean = mean;
    this.std = std;
    this.#imageSize = size;
    this.#source = { pixels: images, shape, table: normalisationTable(mean, std) };
  }

  /** Shape, normalisation and a digest of pixels and labels, made when first asked for. */
  get identity(): object {
    const { shape, mean, std } = this;
    return { shape, mean, std, content: (this.#digest ??= digest(this.images, this.labels)) };
  }

  /** The same images under another normalisation; pixels are shared. */
  withNormalization(mean: readonly number[], std: readonly number[]): ImageDataset {
    return new ImageDataset({ ...this.#options(), mean, std });
  }

  /** The first `count` images; pixels are shared. */
  subset(count: number): ImageDataset {
    checked(integer(1, this.count), count, 'count');
    const images = this.images.subarray(0, count * this.#imageSize);
    return new ImageDataset({ ...this.#options(), images, labels: this.labels.subarray(0, count) });
  }

  /** A copy of the images with these indices, in that order. */
  take(indices: Uint32Array): ImageDataset {
    checkIndices(indices, this.count);
    const size = this.#imageSize;
    const images = new Uint8Array(indices.length * size);
    indices.forEach((index, i) => {
      images.set(this.images.subarray(index * size, (index + 1) * size), i * size);
    });
    const labels = Uint8Array.from(indices, (index) => this.labels[index]!);
    return new ImageDataset({ ...this.#options(), images, labels });
  }

  batch(indices: Uint32Array, augmentation?: Augmentation): Batch {
    checkIndices(indices, this.count);
    if (augmentation) {
      checked(seed, augmentation.seed, 'seed');
      checked(integer(0, 0xffff_ffff), augmentation.epoch, 'epoch');
    }
    const images = new Float32Array(indices.length * this.#imageSize);
    indices.forEach((index, slot) => {
      const placement = augmentation ? drawPlacement(augmentation, index) : IN_PLACE;
      placeImage(this.#source, index, placement, images, slot);
    });
    return { images, count: indices.length, labels: Int32Array.from(indices, (index) => this.labels[index]!) };
  }

  #options(): ImageDatasetOptions {
    const { name, images, labels, shape, classNames, mean, std } = this;
    return { name, images, labels, shape, classNames, mean, std };
  }
}

/** The options of `TensorDataset`. */
export interface TensorDatasetOptions {
  /** Default `tensors`. */
  name?: string;
  /** count×C×H×W values, given to the network as they are. */
  images: Float32Array;
  /** Channels, height, width. */
  shape: readonly [number, number, number];
  /** One class number per image; either these or `targets`. */
  labels?: Uint8Array;
  /** Number of classes; default the largest label + 1. */
  classes?: number;
  /** One row per image, for the squared and absolute losses. */
  targets?: Float32Array;
}

/**
 * Float inputs with class labels, with targets for regression, or with neither for losses that need none. Takes no augmentation.
 *
 * @example new TensorDataset({ images: inputs, shape: [1, 8, 8], targets: outputs })
 * @throws InvalidArgumentError if sizes disagree, or both labels and targets are given.
 */
export class TensorDataset implements Dataset {
  readonly name: string;
  readonly count: number;
  readonly shape: readonly [number, number, number];
  /** count×C×H×W numbers. */
  readonly images: Float32Array;
  readonly classes?: number;
  readonly labels?: Uint8Array;
  /** For each image a row of targets. */
  readonly targets?: Float32Array;
  readonly #imageSize: number;
  #digest: string | undefined;

  constructor(options: TensorDatasetOptions) {
    const { name, images, shape, labels, classes, targets } = parseOptions(
      tensorDatasetOptions,
      options,
      'TensorDataset',
    );
    const size = imageSize(shape);
    if (images.length % size !== 0) {
      throw expected('the length of images', `a multiple of ${size}, from shape`, images.length);
    }
    if (labels && targets) throw new InvalidArgumentError('Expected at most one of labels and targets');
    this.name = name;
    this.count = images.length / size;
    this.shape = shape;
    this.images = images;
    this.#imageSize = size;
    if (labels) {
      if (labels.length !== this.count) throw expected('the length of labels', `${this.count}`, labels.length);
      this.labels = labels;
      this.classes = classes ?? labels.reduce((most, label) => Math.max(most, label + 1), 1);
      checkLabels(labels, this.classes);
    }
    if (targets) {
      if (targets.length === 0 || targets.length % this.count !== 0) {
        throw expected('the length of targets', `a multiple of ${this.count}, one row per image`, targets.length);
      }
      this.targets = targets;
    }
  }

  /** Shape and a digest of images and labels or targets, made when first asked for. */
  get identity(): object {
    return { shape: this.shape, content: (this.#digest ??= digest(this.images, this.labels, this.targets)) };
  }

  batch(indices: Uint32Array, augmentation?: Augmentation): Batch {
    checkIndices(indices, this.count);
    if (augmentation) throw expected('augmentation', `absent for the data set ${this.name}`, augmentation);
    const { labels, targets } = this;
    const batch: Batch = { images: gatherRows(this.images, this.#imageSize, indices), count: indices.length };
    if (labels) batch.labels = Int32Array.from(indices, (index) => labels[index]!);
    if (targets) batch.targets = gatherRows(targets, targets.length / this.count, indices);
    return batch;
  }
}

function gatherRows(rows: Float32Array, size: number, indices: Uint32Array): Float32Array {
  const gathered = new Float32Array(indices.length * size);
  indices.forEach((index, slot) => {
    gathered.set(rows.subarray(index * size, (index + 1) * size), slot * size);
  });
  return gathered;
}
