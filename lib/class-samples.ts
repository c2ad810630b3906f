/**
 * The images that a pruning criterion sees: as many of every class, drawn at random.
 *
 * @module
 */
import * as check from './check.js';
import type { Batch, Dataset } from './data/dataset.js';
import { Random } from './random.js';

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

/** What a criterion sees unless told: the images of each class. */
export const SAMPLES_PER_CLASS = 25;

/** `samplesPerClass` images of every class, without augmentation, fixed by the seed. */
export function sampleClasses(dataset: Dataset, samplesPerClass: number, seed: number): Batch {
  const classes = imagesByClass(dataset, samplesPerClass, `samplesPerClass, ${SAMPLES_PER_CLASS} unless given,`);
  check.integer(seed, 'seed');
  const samples = classes.map((images, label) =>
    Array.from(new Random(seed, 'samples', label).sample(images.length, samplesPerClass), (i) => images[i]!),
  );
  return dataset.batch(Uint32Array.from(samples.flat()));
}
