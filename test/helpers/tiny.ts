/**
 * Networks and data small enough to train within a test.
 *
 * @module
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ImageDataset, TensorDataset } from '../../lib/data/dataset.js';
import type { Context } from '../../experiments/support/trial.js';
import type { Batch, Dataset } from '../../lib/data/dataset.js';
import type { Reals } from '../../lib/support/reals.js';
import type { Network } from '../../lib/network/description.js';
import {
  batchNorm,
  conv2d,
  flatten,
  globalAveragePool,
  linear,
  maxPool,
  relu,
  residual,
} from '../../lib/network/description.js';
import { Random } from '../../lib/native/random.js';

export const CLASSES = 3;

/** Convolution, batch norm, pool, classifier on 2×8×8 images: 76 + 8 + 15 = 99 parameters. */
export function tinyNetwork(): Network {
  return {
    name: 'tiny',
    input: [2, 8, 8],
    layers: [
      conv2d({ name: 'conv', channels: 4, kernel: 3, padding: 1 }),
      batchNorm({ name: 'bn' }),
      relu(),
      maxPool({ kernel: 2 }),
      globalAveragePool(),
      linear({ name: 'fc', features: CLASSES }),
    ],
  };
}

/** Stripes along rows or columns, or checks, under noise. */
function stripes(count: number, seed: number): { bytes: Uint8Array; labels: Uint8Array } {
  const random = new Random(seed, 'samples');
  const labels = Uint8Array.from({ length: count }, (_, i) => i % CLASSES);
  const bytes = Uint8Array.from({ length: count * 2 * 64 }, (_, at) => {
    const row = Math.floor(at / 8) % 8;
    const lines = [row, at % 8, row + at][labels[Math.floor(at / 128)]!]!;
    return 64 + 96 * (lines % 2) + random.integer(64);
  });
  return { bytes, labels };
}

/** Images as bytes, which can be augmented. */
export function tinyImages(count = 24, seed = 1): ImageDataset {
  const { bytes, labels } = stripes(count, seed);
  const look = { mean: [0.5, 0.5], std: [0.25, 0.25] };
  return new ImageDataset({
    name: 'stripes',
    images: bytes,
    labels,
    shape: [2, 8, 8],
    classNames: ['a', 'b', 'c'],
    ...look,
  });
}

/** The same images as floats, which cannot. */
export function tinyTensors(count = 24, seed = 1): TensorDataset {
  const { bytes, labels } = stripes(count, seed);
  const images = Float32Array.from(bytes, (byte) => byte / 64 - 2);
  return new TensorDataset({ name: 'stripes', images, labels, shape: [2, 8, 8], classes: CLASSES });
}

/** All images of a small data set as one batch. */
export function whole(dataset: Dataset): Batch {
  return dataset.batch(Uint32Array.from({ length: dataset.count }, (_, i) => i));
}

/** y = A·x + B·x, whose mean squared error to targets of zero is a quadratic form ½θᵀHθ in the weights (A, B). */
export function bilinearNetwork(inputs: number, outputs: number): Network {
  const branch = (name: string) => [flatten(), linear({ name, features: outputs, bias: false })];
  const layers = [residual({ name: 'sum', body: branch('a'), shortcut: branch('b') })];
  return { name: 'bilinear', input: [inputs, 1, 1], layers };
}

/** Calls `use` with a folder that is removed afterwards. */
export async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'deepzero-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The bits of an array, for comparison. */
export function bits(array: Reals | Uint32Array): string {
  const { buffer, byteOffset, byteLength } = array as Uint32Array;
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
}

/** The settings of an experiment with tiny images. */
export function tinyContext(out: string): Context {
  const data = { train: tinyImages(), test: tinyImages(12, 2) };
  const signal = new AbortController().signal;
  const quiet = { onStatus: () => undefined, onNote: () => undefined };
  return { data, out, batchSize: 8, threads: 1, memory: undefined, signal, ...quiet };
}
