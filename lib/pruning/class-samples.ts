/**
 * The images that a pruning criterion sees: as many of every class, drawn at random.
 *
 * @module
 */
import * as check from '../support/check.js';
import type { Batch, Dataset } from '../data/dataset.js';
import { SAMPLES_PER_CLASS } from '../paper.js';
import { Random } from '../native/random.js';

/**
 * The images of every class, to draw `perClass` of each from.
 *
 * @param what What the caller calls `perClass`.
 * @throws InvalidArgumentError if a class has fewer, or there are no classes.
 */
export function imagesByClass(dataset: Dataset, perClass: number, what: string): number[][] {
  const { name, labels, classes } = dataset;
  if (!labels || classes === undefined) {
    throw new check.InvalidArgumentError(
      `Expected data set ${JSON.stringify(name)} to have class labels, to draw samples of every class`,
    );
  }
  check.integer(perClass, what, 1);
  const members = Array.from({ length: classes }, (): number[] => []);
  labels.forEach((label, i) => members[label]?.push(i));
  for (const [label, { length }] of members.entries()) {
    if (length >= perClass) continue;
    const limit = `at most ${length}, the images of class ${label} in data set ${JSON.stringify(name)}`;
    throw check.expected(what, limit, perClass);
  }
  return members;
}

/** So many images of every class, without augmentation, fixed by the seed. */
export function sampleClasses(dataset: Dataset, samplesPerClass: number | undefined, seed: number): Batch {
  const count = samplesPerClass ?? SAMPLES_PER_CLASS;
  const classes = imagesByClass(dataset, count, check.unlessGiven('samplesPerClass', samplesPerClass, count));
  check.integer(seed, 'seed');
  const samples = classes.map((images, label) =>
    Array.from(new Random(seed, 'samples', label).sample(images.length, count), (i) => images[i]!),
  );
  return dataset.batch(Uint32Array.from(samples.flat()));
}
