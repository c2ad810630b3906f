/**
 * The images for a pruning criterion: equally many random ones of every class.
 *
 * @module
 */
import { InvalidArgumentError, quote } from '../support/errors.js';
import { checked, expectedOption, integer } from '../support/schema.js';
import type { Batch, Dataset } from '../data/dataset.js';
import { Random } from '../native/random.js';

/**
 * The indices of the images of every class, at least `perClass` of each. Without classes all images are of one.
 *
 * @param what The caller's name for `perClass`.
 * @throws InvalidArgumentError if a class has fewer images, or the data set has only one of labels and classes.
 */
export function imagesByClass(dataset: Dataset, perClass: number, what: string): number[][] {
  const { name, count } = dataset;
  const hasNone = !dataset.labels && dataset.classes === undefined;
  const { labels, classes } = hasNone ? { labels: new Uint8Array(count), classes: 1 } : dataset;
  if (!labels || classes === undefined) {
    throw new InvalidArgumentError(
      `Expected data set ${quote(name)} to have labels and classes, or neither, to draw samples of every class`,
    );
  }
  checked(integer(1), perClass, what);
  const members = Array.from({ length: classes }, (): number[] => []);
  labels.forEach((label, i) => members[label]?.push(i));
  for (const [label, { length }] of members.entries()) {
    if (length >= perClass) continue;
    const limit = `at most ${length}, the images of class ${label} in data set ${quote(name)}`;
    throw expectedOption(what, limit, String(perClass));
  }
  return members;
}

/** `samplesPerClass` images of every class, without augmentation, determined by the seed. */
export function sampleClasses(dataset: Dataset, samplesPerClass: number, seed: number): Batch {
  const classes = imagesByClass(dataset, samplesPerClass, 'samplesPerClass');
  const samples = classes.map((images, label) =>
    Array.from(new Random(seed, 'samples', label).sample(images.length, samplesPerClass), (i) => images[i]!),
  );
  return dataset.batch(Uint32Array.from(samples.flat()));
}
