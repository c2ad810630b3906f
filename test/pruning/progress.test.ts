import assert from 'node:assert/strict';
import { Model } from '../../lib/model/model.js';
import type { NativeAddon, NativeNetwork } from '../../lib/native/addon.js';
import { native } from '../../lib/native/addon.js';
import { Random } from '../../lib/native/random.js';
import { sampleClasses } from '../../lib/pruning/class-samples.js';
import { graspImportance } from '../../lib/pruning/grasp.js';
import { zoGraspImportance } from '../../lib/pruning/zo-grasp.js';
import { quadratic, quadraticDataset, SIZE } from '../helpers/quadratic.js';
import { bits, tinyNetwork, tinyTensors } from '../helpers/tiny.js';

/** A model whose jobs report 2 of 9 queries done, once. */
function reporting(): Model {
  const property = Object.getOwnPropertyDescriptor(native, 'Network')!;
  const original = native.Network;
  const made = function (...args: ConstructorParameters<NativeAddon['Network']>) {
    const network = new original(...args);
    return new Proxy(network, {
      get: (_, name: keyof NativeNetwork) =>
        name === 'randomized' || name === 'gradient'
          ? (request: never, progress: (done: number, total: number) => void) => {
              progress(2, 9);
              return network[name](request);
            }
          : (network[name] as () => unknown).bind(network),
    });
  };
  Object.defineProperty(native, 'Network', { ...property, get: () => made });
  try {
    return new Model(tinyNetwork());
  } finally {
    Object.defineProperty(native, 'Network', property);
  }
}

describe('pruning', () => {
  it('reports progress over all of its estimates', async () => {
    using model = reporting();
    const progressOf = async (
      importance: (onProgress: (done: number, total: number) => void) => Promise<unknown>,
    ): Promise<number[][]> => {
      const reports: number[][] = [];
      await importance((...report) => reports.push(report));
      return reports;
    };
    const samples = { samplesPerClass: 2 };
    assert.deepEqual(
      await progressOf((onProgress) => zoGraspImportance(model, tinyTensors(), { ...samples, queries: 8, onProgress })),
      [
        [2, 18],
        [11, 18],
      ],
    );
    assert.deepEqual(
      await progressOf((onProgress) => graspImportance(model, tinyTensors(), { ...samples, onProgress })),
      [
        [2, 27],
        [11, 27],
        [20, 27],
      ],
    );
  });

  it('draws other images of each class', () => {
    const dataset = tinyTensors(30);
    const members = [0, 1, 2].map((label) => [...dataset.labels!.keys()].filter((i) => dataset.labels![i] === label));
    const drawn = members.flatMap((images, label) =>
      [...new Random(5, 'samples', label).sample(images.length, 4)].map((i) => images[i]!),
    );
    const { images, labels, count } = sampleClasses(dataset, 4, 5);
    assert.equal(count, 12);
    assert.deepEqual([...labels!], [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
    assert.equal(bits(images), bits(dataset.batch(Uint32Array.from(drawn)).images));
  });

  it('accepts scores that are 0 in one tensor and differ in another', async () => {
    const { model } = quadratic((i) => (i < SIZE ? Math.cos(6 * i) : 0));
    const importance = await graspImportance(model, quadraticDataset(), { samplesPerClass: 5 });
    assert.ok(importance.subarray(0, SIZE).every((score) => score !== 0));
    assert.ok(importance.subarray(SIZE).every((score) => score === 0));
  });
});
