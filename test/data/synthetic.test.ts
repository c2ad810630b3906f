import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { ImageDataset } from '../../lib/data/dataset.js';
import { synthetic } from '../../lib/data/synthetic.js';

const IMAGE = 3 * 32 * 32;

function image(dataset: ImageDataset, index: number): Uint8Array {
  return dataset.images.subarray(index * IMAGE, (index + 1) * IMAGE);
}

/**
 * Test accuracy of the classifier that takes the class whose mean of `features` over the training images is nearest:
 * linear in the features.
 */
function nearestMean(
  sets: { train: ImageDataset; test: ImageDataset },
  features: (image: Uint8Array) => number[],
): number {
  const { train, test } = sets;
  const sums: number[][] = Array.from({ length: train.classes }, () => []);
  for (let i = 0; i < train.count; i++) {
    const sum = sums[train.labels[i]!]!;
    features(image(train, i)).forEach((value, at) => (sum[at] = (sum[at] ?? 0) + value));
  }
  const means = sums.map((sum) => sum.map((value) => (value * train.classes) / train.count));
  let right = 0;
  for (let i = 0; i < test.count; i++) {
    const found = features(image(test, i));
    const distances = means.map((mean) => mean.reduce((sum, value, at) => sum + (value - found[at]!) ** 2, 0));
    if (distances.indexOf(Math.min(...distances)) === test.labels[i]) right++;
  }
  return right / test.count;
}

/** How much brightness changes from pixel to pixel, by rows and by columns, over one pixel and over three. */
function changes(pixels: Uint8Array): number[] {
  const at = (y: number, x: number): number => {
    const place = 32 * y + x;
    return pixels[place]! + pixels[1024 + place]! + pixels[2048 + place]!;
  };
  const sums = [0, 0, 0, 0];
  for (let y = 0; y < 29; y++) {
    for (let x = 0; x < 29; x++) {
      [at(y + 1, x), at(y, x + 1), at(y + 3, x), at(y, x + 3)].forEach((other, i) => {
        sums[i]! += Math.abs(other - at(y, x));
      });
    }
  }
  return sums;
}

describe('synthetic', () => {
  const sets = synthetic({ train: 1000, test: 300 });

  it('is the same data everywhere', () => {
    const hash = createHash('sha256').update(sets.train.images).update(sets.test.images).digest('hex');
    const recorded = '948a896536e6cfc354571d93514bf5ab8f7c83233562db669508b4c29952b7a6';
    assert.equal(
      hash,
      recorded,
      'If the generator was meant to change, record the new hash here and say so in CHANGELOG.md.',
    );
  });

  it('has ten named classes in equal parts', () => {
    const { train } = sets;
    assert.equal(new Set(train.classNames).size, 10);
    assert.deepEqual([train.classNames[0], train.classNames[8]], ['disc on plain ground', 'star on checks']);
    for (let label = 0; label < 10; label++) {
      assert.equal(train.labels.filter((other) => other === label).length, 100);
    }
  });

  it('draws image i from seed and i alone: a smaller set begins a larger one', () => {
    const small = synthetic({ train: 20, test: 10 });
    assert.deepEqual(small.train.images, sets.train.subset(20).images);
    assert.deepEqual(small.test.images, sets.test.subset(10).images);
    assert.notDeepEqual(synthetic({ seed: 1, train: 20, test: 10 }).train.images, small.train.images);
  });

  it('has no image twice', () => {
    const every = [sets.train, sets.test].flatMap((set) =>
      Array.from({ length: set.count }, (_, i) => Buffer.from(image(set, i)).toString('base64')),
    );
    assert.equal(new Set(every).size, 1300);
  });

  it('is normalised to mean 0 and variance 1 per channel', () => {
    const all = Uint32Array.from({ length: sets.train.count }, (_, i) => i);
    const { images } = sets.train.batch(all);
    for (let channel = 0; channel < 3; channel++) {
      const values = images.filter((_, at) => Math.floor(at / 1024) % 3 === channel);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
      assert.ok(Math.abs(mean) < 1e-6, `mean ${mean}`);
      assert.ok(Math.abs(variance - 1) < 1e-6, `variance ${variance}`);
    }
    assert.deepEqual(sets.test.mean, sets.train.mean);
  });

  it('is hard on pixels and easier on local differences', () => {
    assert.ok(nearestMean(sets, (pixels) => Array.from(pixels)) < 0.35);
    assert.ok(nearestMean(sets, changes) > 0.5);
  });

  it('refuses sizes and seeds out of range', () => {
    assert.throws(() => synthetic({ train: 0 }), /Expected train to be an integer from 1 to 1000000, received 0/);
    assert.throws(() => synthetic({ test: 1.5 }), /Expected test to be an integer/);
    assert.throws(
      () => synthetic({ seed: -1 }),
      /Expected seed to be an integer from 0 to 9007199254740991, received -1/,
    );
    assert.throws(() => synthetic({ sede: 1 } as object), /Unknown option "sede" in synthetic; did you mean "seed"\?/);
  });
});
