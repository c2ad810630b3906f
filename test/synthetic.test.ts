import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { synthetic } from '../lib/data/synthetic.js';

describe('synthetic', () => {
  it('is a function of the seed, and a larger set begins with the smaller', () => {
    const small = synthetic({ seed: 4, train: 10, test: 2 });
    const large = synthetic({ seed: 4, train: 30, test: 5 });
    const other = synthetic({ seed: 5, train: 10, test: 2 });
    const pixels = 10 * 3 * 32 * 32;
    assert.deepEqual(small.train.images, large.train.images.subarray(0, pixels));
    assert.notDeepEqual(small.train.images, other.train.images);
    assert.notDeepEqual(small.test.images, small.train.images.subarray(0, 2 * 3 * 32 * 32));
  });

  it('has ten balanced classes with names, and normalises its training images', () => {
    const { train } = synthetic({ train: 200, test: 10 });
    assert.equal(new Set(train.classNames).size, 10);
    const counts = new Array<number>(10).fill(0);
    for (const label of train.labels) counts[label]!++;
    assert.deepEqual(counts, new Array<number>(10).fill(20));
    const { images } = train.batch(Uint32Array.from({ length: 200 }, (_, i) => i));
    for (let channel = 0; channel < 3; channel++) {
      const values = images.filter((_, i) => Math.floor(i / 1024) % 3 === channel);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const square = values.reduce((sum, value) => sum + value * value, 0) / values.length;
      assert(
        Math.abs(mean) < 1e-3 && Math.abs(square - 1) < 1e-3,
        `channel ${channel}: mean ${mean}, square ${square}`,
      );
    }
  });

  it('draws the same images on every machine', () => {
    const { train, test } = synthetic({ seed: 1, train: 20, test: 10 });
    const digest = createHash('sha256').update(train.images).update(test.images).digest('hex').slice(0, 16);
    assert.equal(digest, '97489275c159f10a', 'if the drawing was meant to change, this is the new digest');
  });

  it('refuses what makes no sense', () => {
    assert.throws(() => synthetic({ train: 0 }), /Expected train to be an integer/);
    assert.throws(() => synthetic({ sed: 1 } as object), /Unknown option "sed".*"seed"/);
  });
});
