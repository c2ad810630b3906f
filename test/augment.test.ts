import assert from 'node:assert/strict';
import { drawPlacement } from '../lib/data/augment.js';
import { ImageDataset, TensorDataset } from '../lib/data/dataset.js';

const SIZE = 8;

/** One image whose pixel values are their positions, normalised to themselves. */
function numbered(): ImageDataset {
  const images = Uint8Array.from({ length: SIZE * SIZE }, (_, i) => i + 1);
  return new ImageDataset({
    name: 'numbered',
    images,
    labels: Uint8Array.of(0),
    shape: [1, SIZE, SIZE],
    classNames: ['one'],
    mean: [0],
    std: [1 / 255],
  });
}

describe('augmentation', () => {
  it('draws every shift and flip about equally often, as a function of seed, epoch and image', () => {
    const counts = new Map<string, number>();
    for (let index = 0; index < 16200; index++) {
      const { dy, dx, flip } = drawPlacement({ seed: 1, epoch: 2 }, index);
      counts.set(`${dy},${dx},${flip}`, (counts.get(`${dy},${dx},${flip}`) ?? 0) + 1);
    }
    assert.equal(counts.size, 9 * 9 * 2);
    for (const [placement, count] of counts) assert(count > 50 && count < 150, `${placement}: ${count} of about 100`);
    assert.deepEqual(drawPlacement({ seed: 1, epoch: 2 }, 5), drawPlacement({ seed: 1, epoch: 2 }, 5));
  });

  it('crops a padded image and then flips it, with black outside', () => {
    const dataset = numbered();
    for (let epoch = 0; epoch < 60; epoch++) {
      const { dy, dx, flip } = drawPlacement({ seed: 3, epoch }, 0);
      const { images } = dataset.batch(Uint32Array.of(0), { seed: 3, epoch });
      for (let y = 0; y < SIZE; y++) {
        for (let x = 0; x < SIZE; x++) {
          const row = y + dy;
          const column = (flip ? SIZE - 1 - x : x) + dx;
          const inside = row >= 0 && row < SIZE && column >= 0 && column < SIZE;
          const expected = inside ? row * SIZE + column + 1 : 0;
          assert(Math.abs(images[y * SIZE + x]! - expected) < 1e-4, `epoch ${epoch}, pixel (${y}, ${x})`);
        }
      }
    }
  });

  it('is refused by data sets that are not images, and indices out of range by all', () => {
    const tensors = new TensorDataset({ images: new Float32Array(4), shape: [1, 2, 2], targets: new Float32Array(3) });
    assert.deepEqual(tensors.batch(Uint32Array.of(0)).targets, new Float32Array(3));
    assert.throws(() => tensors.batch(Uint32Array.of(0), { seed: 0, epoch: 0 }), /Expected augmentation to be absent/);
    assert.throws(() => numbered().batch(Uint32Array.of(1)), /Expected indices\[0\] to be < 1/);
  });
});
