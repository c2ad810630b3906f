import assert from 'node:assert/strict';
import { drawPlacement, PADDING } from '../../lib/data/augment.js';
import { ImageDataset } from '../../lib/data/dataset.js';
import { Random } from '../../lib/native/random.js';
import { bits } from '../helpers/tiny.js';

const COUNT = 40;
const CHANNELS = 3;
const HEIGHT = 9;
const WIDTH = 11;
const MEAN = [0.25, 0.5, 0.125];
const STD = [0.5, 0.25, 1];

const random = new Random(1, 'samples');
const dataset = new ImageDataset({
  name: 'noise',
  images: Uint8Array.from({ length: COUNT * CHANNELS * HEIGHT * WIDTH }, () => 1 + random.integer(255)),
  labels: new Uint8Array(COUNT),
  shape: [CHANNELS, HEIGHT, WIDTH],
  classNames: ['noise'],
  mean: MEAN,
  std: STD,
});

/** An image cropped from its padded copy at (top, left), then reversed, then normalised: step by step as in torchvision. */
function augmented(index: number, top: number, left: number, flip: boolean): number[] {
  const values: number[] = [];
  for (let channel = 0; channel < CHANNELS; channel++) {
    const padded = Array.from({ length: HEIGHT + 2 * PADDING }, () => new Array<number>(WIDTH + 2 * PADDING).fill(0));
    for (let y = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++) {
        const pixel = dataset.images[((index * CHANNELS + channel) * HEIGHT + y) * WIDTH + x]!;
        padded[y + PADDING]![x + PADDING] = pixel;
      }
    }
    for (const row of padded.slice(top, top + HEIGHT)) {
      const cropped = row.slice(left, left + WIDTH);
      for (const pixel of flip ? cropped.reverse() : cropped) {
        values.push(Math.fround((pixel / 255 - MEAN[channel]!) / STD[channel]!));
      }
    }
  }
  return values;
}

describe('augmentation', () => {
  const all = Uint32Array.from({ length: COUNT }, (_, i) => i);

  it('is a crop of the image padded with black, then a flip', () => {
    const size = CHANNELS * HEIGHT * WIDTH;
    for (let epoch = 0; epoch < 10; epoch++) {
      const { images } = dataset.batch(all, { seed: 5, epoch });
      for (const index of all) {
        const { dy, dx, flip } = drawPlacement({ seed: 5, epoch }, index);
        const expected = augmented(index, PADDING + dy, PADDING + dx, flip);
        assert.deepEqual(Array.from(images.subarray(index * size, (index + 1) * size)), expected);
      }
    }
  });

  it('is a function of seed, epoch and image, wherever in a batch the image is', () => {
    const { images } = dataset.batch(all, { seed: 1, epoch: 2 });
    const size = images.length / COUNT;
    const one = dataset.batch(Uint32Array.of(3, 17), { seed: 1, epoch: 2 }).images;
    assert.equal(bits(one.slice(size)), bits(images.slice(17 * size, 18 * size)));
    assert.notEqual(bits(dataset.batch(all, { seed: 1, epoch: 3 }).images), bits(images));
    assert.notEqual(bits(dataset.batch(all, { seed: 2, epoch: 2 }).images), bits(images));
  });

  it('draws each of 9 × 9 shifts and both directions about equally often', () => {
    const draws = 162 * 200;
    const counts = new Map<string, number>();
    for (let index = 0; index < draws; index++) {
      const { dy, dx, flip } = drawPlacement({ seed: 0, epoch: 0 }, index);
      assert.ok(Math.abs(dy) <= PADDING && Math.abs(dx) <= PADDING);
      const key = `${dy} ${dx} ${flip}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    assert.equal(counts.size, 162);
    const chiSquared = [...counts.values()].reduce((sum, count) => sum + (count - 200) ** 2 / 200, 0);
    // 161 degrees of freedom: mean 161, standard deviation 18.
    assert.ok(chiSquared < 161 + 5 * 18, `χ² = ${chiSquared}`);
  });

  it('refuses a seed or an epoch that cannot be drawn from', () => {
    assert.throws(
      () => dataset.batch(all, { seed: 1.5, epoch: 0 }),
      /Expected seed to be an integer from 0 to 9007199254740991, received 1.5/,
    );
    assert.throws(() => dataset.batch(all, { seed: 1, epoch: -1 }), /Expected epoch to be an integer from 0 to/);
  });
});

describe('Random.word', () => {
  it('is one word of the sequence', () => {
    const sequence = new Random(9, 'augmentation', 4);
    for (let position = 0; position < 600; position++) {
      assert.equal(Random.word(9, 'augmentation', 4, position), sequence.uint32());
    }
  });
});
