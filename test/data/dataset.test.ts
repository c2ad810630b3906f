import assert from 'node:assert/strict';
import type { ImageDatasetOptions, TensorDatasetOptions } from '../../lib/data/dataset.js';
import { ImageDataset, TensorDataset } from '../../lib/data/dataset.js';
import { Random } from '../../lib/native/random.js';

const COUNT = 7;
const SHAPE = [2, 3, 5] as const;
const SIZE = 2 * 3 * 5;
const MEAN = [0.25, 0.5];
const STD = [0.5, 0.125];

function options(): ImageDatasetOptions {
  const random = new Random(1, 'samples');
  return {
    name: 'noise',
    images: Uint8Array.from({ length: COUNT * SIZE }, () => random.integer(256)),
    labels: Uint8Array.from({ length: COUNT }, (_, i) => i % 3),
    shape: SHAPE,
    classNames: ['a', 'b', 'c'],
    mean: MEAN,
    std: STD,
  };
}

/** The images' values, by the formula. */
function normalised(images: Uint8Array, indices: readonly number[], mean: number[], std: number[]): number[] {
  return indices.flatMap((index) =>
    Array.from(images.subarray(index * SIZE, (index + 1) * SIZE), (pixel, at) => {
      const channel = at < SIZE / 2 ? 0 : 1;
      return Math.fround((pixel / 255 - mean[channel]!) / std[channel]!);
    }),
  );
}

describe('ImageDataset', () => {
  const dataset = new ImageDataset(options());

  it('gathers normalised images and labels by index', () => {
    const indices = [6, 0, 0, 3];
    const batch = dataset.batch(Uint32Array.from(indices));
    assert.equal(batch.count, 4);
    assert.deepEqual(Array.from(batch.images), normalised(dataset.images, indices, MEAN, STD));
    assert.deepEqual(batch.labels, Int32Array.of(0, 0, 0, 0));
    assert.deepEqual(dataset.batch(Uint32Array.of(2, 1)).labels, Int32Array.of(2, 1));
    assert.equal(batch.targets, undefined);
  });

  it('normalises every byte to its own value', () => {
    const images = Uint8Array.from({ length: 256 }, (_, i) => i);
    const ramp = new ImageDataset({
      ...options(),
      images,
      labels: Uint8Array.of(0),
      shape: [1, 16, 16],
      mean: [0],
      std: [1],
    });
    assert.deepEqual(
      ramp.batch(Uint32Array.of(0)).images,
      Float32Array.from(images, (byte) => byte / 255),
    );
  });

  it('takes another normalisation for the same pixels', () => {
    const other = dataset.withNormalization([0, 1], [1, 2]);
    assert.equal(other.images, dataset.images);
    assert.deepEqual(
      Array.from(other.batch(Uint32Array.of(5)).images),
      normalised(dataset.images, [5], [0, 1], [1, 2]),
    );
  });

  it('has subsets: the first images, or those with given indices', () => {
    const first = dataset.subset(4);
    assert.equal(first.count, 4);
    assert.deepEqual(first.batch(Uint32Array.of(3)), dataset.batch(Uint32Array.of(3)));
    assert.throws(() => first.batch(Uint32Array.of(4)), /indices\[0\] to be < 4/);
    const taken = dataset.take(Uint32Array.of(5, 1, 5));
    assert.deepEqual(taken.batch(Uint32Array.of(0, 1, 2)), dataset.batch(Uint32Array.of(5, 1, 5)));
    assert.deepEqual(taken.classNames, ['a', 'b', 'c']);
    assert.throws(() => dataset.subset(8), /Expected count to be an integer from 1 to 7, received 8/);
    assert.throws(() => dataset.take(Uint32Array.of(7)), /indices\[0\] to be < 7/);
  });

  it('has an identity that depends on shape, normalisation and content', () => {
    const { images, labels } = options();
    assert.deepEqual(dataset.identity, new ImageDataset(options()).identity);
    const others = [
      { images: images.with(3, images[3]! ^ 1) },
      { labels: labels.with(0, 2) },
      { mean: [0.25, 0.75] },
      { shape: [2, 5, 3] as const },
    ];
    for (const other of others) {
      assert.notDeepEqual(new ImageDataset({ ...options(), ...other }).identity, dataset.identity);
    }
  });

  it('refuses indices out of range', () => {
    assert.throws(() => dataset.batch(Uint32Array.of(0, 6, 7)), /Expected indices\[2\] to be < 7, .*, received 7/);
    assert.throws(() => dataset.batch([0] as unknown as Uint32Array), /Expected indices to be a Uint32Array/);
  });

  it('refuses options that disagree', () => {
    const refused = (changes: object, message: RegExp): void => {
      assert.throws(() => new ImageDataset({ ...options(), ...changes }), message);
    };
    refused({ images: new Uint8Array(SIZE) }, /length of images to be 7 × 30, from labels and shape, received 30/);
    refused({ classNames: ['a', 'b'] }, /labels\[2\] to be < 2, the number of classes, received 2/);
    refused({ classNames: undefined }, /classNames to be a list of names, received undefined/);
    refused({ classNames: ['a', 2, 'c'] }, /classNames\[1\] to be a non-empty string, received 2/);
    refused({ mean: [0] }, /mean to be a list of 2 finite numbers, one per channel, received \[0\]/);
    refused({ mean: [0, NaN] }, /mean to be a list of 2 finite numbers/);
    refused({ std: [1, 0] }, /std\[1\] to be a number from 0.000001 to 10, .*, received 0/);
    refused({ std: [1e-320, 1] }, /std\[0\] to be a number from 0.000001 to 10, .*, received 1e-320/);
    refused({ mean: [0, 1e308] }, /mean\[1\] to be a number from 0 to 1, .*, received 1e\+308/);
    refused({ mean: [123, 116] }, /mean\[0\] to be a number from 0 to 1, .* by 255\), received 123/);
    refused({ std: [58, 57] }, /std\[0\] .* by 255\), received 58/);
    refused({ shape: [2, 3] }, /shape to be \[channels, rows, columns\], received \[2, 3\]/);
    refused({ shape: [2, 0, 5] }, /shape\[1\] to be an integer from 1 to 1048576, received 0/);
    refused({ images: [1, 2] }, /images to be a Uint8Array/);
    refused({ lables: 1 }, /Unknown option "lables" in ImageDataset; did you mean "labels"\?/);
  });
});

describe('TensorDataset', () => {
  const images = Float32Array.from({ length: 12 }, (_, i) => i / 8);
  const shape = [1, 1, 3] as const;

  it('gathers inputs and labels', () => {
    const dataset = new TensorDataset({ images, shape, labels: Uint8Array.of(0, 4, 1, 0) });
    assert.equal(dataset.count, 4);
    assert.equal(dataset.classes, 5);
    const batch = dataset.batch(Uint32Array.of(1, 3));
    assert.deepEqual(
      Array.from(batch.images),
      [3, 4, 5, 9, 10, 11].map((i) => i / 8),
    );
    assert.deepEqual(batch.labels, Int32Array.of(4, 0));
    assert.equal(batch.targets, undefined);
  });

  it('gathers inputs and rows of targets', () => {
    const targets = Float32Array.of(0, 1, 10, 11, 20, 21, 30, 31);
    const batch = new TensorDataset({ images, shape, targets }).batch(Uint32Array.of(3, 0));
    assert.deepEqual(batch.targets, Float32Array.of(30, 31, 0, 1));
    assert.equal(batch.count, 2);
    assert.equal(batch.labels, undefined);
  });

  it('refuses augmentation, indices out of range and options that disagree', () => {
    const dataset = new TensorDataset({ images, shape, labels: new Uint8Array(4) });
    assert.throws(
      () => dataset.batch(Uint32Array.of(0), { seed: 1, epoch: 0 }),
      /augmentation to be absent for the data set tensors/,
    );
    assert.throws(() => dataset.batch(Uint32Array.of(4)), /indices\[0\] to be < 4/);
    const refused = (changes: Partial<TensorDatasetOptions>, message: RegExp): void => {
      assert.throws(() => new TensorDataset({ images, shape, ...changes }), message);
    };
    refused({ labels: new Uint8Array(4), targets: new Float32Array(4) }, /at most one of labels and targets/);
    refused({ labels: new Uint8Array(3) }, /length of labels to be 4, received 3/);
    refused({ labels: Uint8Array.of(0, 0, 0, 9), classes: 9 }, /labels\[3\] to be < 9, the number of classes/);
    refused({ targets: new Float32Array(6) }, /length of targets to be a multiple of 4, one row per image, received 6/);
    refused({ shape: [1, 1, 5], targets: new Float32Array(4) }, /length of images to be a multiple of 5, from shape/);
  });
});
