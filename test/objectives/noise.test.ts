import assert from 'node:assert/strict';
import { Random } from '../../lib/native/random.js';
import { noiseOf } from '../../lib/objectives/noise.js';

const POINTS = 9;

/** Values of a smooth function with noise, at equally spaced points. */
function values(smooth: (t: number) => number, noise: () => number, count = POINTS): number[] {
  return Array.from({ length: count }, (_, i) => smooth(i - (count - 1) / 2) + noise());
}

/** Standard normal numbers, or others of variance 1. */
const NOISES: Readonly<Record<string, (random: Random) => number>> = {
  normal: (random) => random.normal(),
  uniform: (random) => random.between(-Math.sqrt(3), Math.sqrt(3)),
  exponential: (random) => -Math.log(1 - random.uniform()),
};

describe('noiseOf', () => {
  for (const [name, draw] of Object.entries(NOISES)) {
    it(`finds the standard deviation of noise without a function: ${name}`, () => {
      const squares = Array.from({ length: 400 }, (_, seed) => {
        const random = new Random(seed, 'samples');
        const { outcome, noise } = noiseOf(
          values(
            () => 0,
            () => 3 * draw(random),
          ),
        );
        assert.equal(outcome, 'found');
        return (noise / 3) ** 2;
      });
      // The factor of 4 that the source finds.
      const near = squares.filter((square) => square > 1 / 16 && square < 16).length;
      assert.ok(near >= 0.99 * squares.length, `${near}`);
      // Each square is that of σ in the mean. That of first differences of normal noise has a deviation of
      // √(2·(8 + 2·7/4))/8 = 0.6, as correlated as they are; of 400, 0.03. The choice of the order adds a bias.
      const mean = squares.reduce((sum, square) => sum + square, 0) / squares.length;
      assert.ok(Math.abs(mean - 1) < 0.15, String(mean));
    });
  }

  it('is not misled by a smooth function', () => {
    const functions: ((t: number) => number)[] = [
      (t) => 1e3 * t,
      (t) => 1e5 + 30 * t - 40 * t ** 2,
      (t) => 1e4 * Math.exp(t / 10),
      (t) => -1e3 * Math.cos(t / 8),
    ];
    for (const smooth of functions) {
      for (let seed = 0; seed < 50; seed++) {
        const random = new Random(seed, 'samples');
        const { outcome, noise } = noiseOf(values(smooth, () => random.normal()));
        assert.equal(outcome, 'found');
        assert.ok(noise > 1 / 8 && noise < 8, `${String(smooth)}, ${seed}: ${noise}`);
      }
    }
  });

  it('does not depend on what is added to the loss, and scales with it', () => {
    const random = new Random(1, 'samples');
    const noisy = values(
      (t) => t,
      () => random.normal(),
    );
    const { noise } = noiseOf(noisy);
    for (const [shift, scale] of [
      [100, 1],
      [-3, 1e-6],
      [0, -1e8],
    ] as const) {
      const other = noiseOf(noisy.map((value) => scale * (value + shift)));
      assert.ok(Math.abs(other.noise / Math.abs(scale) - noise) < 1e-9, `${other.noise}`);
    }
  });

  it('is doubtful where the values differ by more than a tenth of the largest', () => {
    const noise = Array.from({ length: POINTS }, (_, i) => Math.sin(i ** 2));
    assert.equal(noiseOf(noise.map((value) => value + 100)).isDoubtful, false);
    assert.equal(noiseOf(noise.map((value) => value - 5)).isDoubtful, true);
  });

  it('says that the points are too close where half of the values equal their neighbours', () => {
    assert.equal(noiseOf([1, 1, 1, 1, 1, 1, 1, 1, 1]).outcome, 'wider');
    assert.equal(noiseOf([1, 1, 1, 1, 1, 1, 2, 3, 5]).outcome, 'wider');
    assert.notEqual(noiseOf([1, 1, 1, 1, 1, 2, 4, 3, 5]).outcome, 'wider');
  });

  it('says that they are too far apart where the function itself changes, and how small the noise is at least', () => {
    for (const smooth of [(t: number) => Math.exp(t), (t: number) => t ** 7]) {
      assert.equal(noiseOf(values(smooth, () => 0)).outcome, 'narrower');
    }
    const { outcome, noise } = noiseOf(
      values(
        (t) => 2 * t,
        () => 0,
      ),
    );
    assert.deepEqual([outcome, noise], ['narrower', 0]);
  });
});
