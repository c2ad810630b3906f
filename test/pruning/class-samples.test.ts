import assert from 'node:assert/strict';
import type { Dataset } from '../../lib/data/dataset.js';
import { sampleClasses } from '../../lib/pruning/class-samples.js';
import { CLASSES, tinyTensors } from '../helpers/tiny.js';

/** The images that are drawn, by class, as positions among the images of the class. */
function drawn(seed: number): number[][] {
  const images = tinyTensors(60);
  let indices: number[] = [];
  const dataset: Dataset = {
    ...{ name: 'spied', count: images.count, shape: images.shape, classes: CLASSES, labels: images.labels! },
    batch: (given) => ((indices = [...given]), images.batch(given)),
  };
  sampleClasses(dataset, 5, seed);
  return Array.from({ length: CLASSES }, (_, label) =>
    indices.filter((index) => images.labels![index] === label).map((index) => Math.floor(index / CLASSES)),
  );
}

describe('sampleClasses', () => {
  it('draws as many distinct images of every class, fixed by the seed', () => {
    const classes = drawn(1);
    assert.deepEqual(
      classes.map((images) => new Set(images).size),
      [5, 5, 5],
    );
    assert.deepEqual(drawn(1), classes);
    assert.notDeepEqual(drawn(2), classes);
  });

  it('draws every class independently of the others', () => {
    const [first, second, third] = drawn(1);
    assert.notDeepEqual(first, second);
    assert.notDeepEqual(second, third);
    assert.notDeepEqual(first, third);
  });
});
