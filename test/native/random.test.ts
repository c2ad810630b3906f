import assert from 'node:assert/strict';
import { native } from '../../lib/native/addon.js';
import { Random } from '../../lib/native/random.js';

/** Checkpoints hold positions and no generator: these numbers must stay as they are for runs to resume to the same bits. */
describe('Random', () => {
  it('is Philox4x32-10: the known answer of its authors', () => {
    assert.deepEqual([...native.random(0, 0, 0, 0, 4)], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  });

  it('has the words of (seed, stream, index), and yields one without those before it', () => {
    const random = new Random(2 ** 40 + 5, 'trials', 9);
    const words = Array.from({ length: 301 }, () => random.uint32());
    assert.deepEqual(words.slice(0, 4), [1119221066, 38633148, 3891726353, 4159216139]);
    assert.equal(words[300], 620784291);
    assert.equal(Random.word(2 ** 40 + 5, 'trials', 9, 300), words[300]);
  });

  it('shuffles by Fisher and Yates', () => {
    const items = Array.from({ length: 10 }, (_, i) => i);
    assert.deepEqual(new Random(1, 'shuffle', 2).shuffle(items), [4, 1, 8, 9, 2, 5, 7, 3, 6, 0]);
  });

  it('leaves an item in its place as often as a uniform permutation does', () => {
    let fixed = 0;
    for (let index = 0; index < 500; index++) {
      const items = Uint32Array.from({ length: 8 }, (_, i) => i);
      fixed += new Random(3, 'shuffle', index).shuffle(items).filter((item, i) => item === i).length;
    }
    // One in each permutation is expected, with a variance of 1.
    assert.ok(Math.abs(fixed - 500) < 5 * Math.sqrt(500), `${fixed} of 500`);
  });

  it('samples by Floyd: distinct, increasing', () => {
    assert.deepEqual([...new Random(1, 'mask', 3).sample(20, 6)], [2, 5, 6, 14, 17, 19]);
    assert.deepEqual([...new Random(1, 'mask', 3).sample(6, 6)], [0, 1, 2, 3, 4, 5]);
  });

  it('draws normal numbers by Box and Muller, two words each', () => {
    const [random, words] = [new Random(7, 'initialisation', 1), new Random(7, 'initialisation', 1)];
    const drawn = Array.from({ length: 4 }, () => random.normal());
    const expected = Array.from({ length: 4 }, () => {
      const radius = Math.sqrt(-2 * Math.log(1 - words.uniform()));
      return radius * Math.cos(2 * Math.PI * words.uniform());
    });
    assert.deepEqual(drawn, expected);
    const golden = [-0.8535142333028618, -1.0326364601919547, -0.8950131034395429, -0.14321828351007243];
    drawn.forEach((value, i) => {
      assert.ok(Math.abs(value - golden[i]!) < 1e-14, `${value}`);
    });
  });

  it('draws uniform numbers and integers', () => {
    const random = new Random(3, 'samples');
    const drawn = [random.uniform(), random.between(-2, 3), random.integer(10), random.integer(10)];
    assert.deepEqual(drawn, [0.13302810001187027, 2.686060438398272, 3, 8]);
  });

  it('refuses a seed or an index that is out of range', () => {
    assert.throws(() => new Random(-1, 'mask'), /seed to be an integer from 0 to 9007199254740991, received -1/);
    assert.throws(() => new Random(0, 'mask', 2 ** 32), /index to be an integer from 0 to 4294967295/);
  });
});
