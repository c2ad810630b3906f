import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { zoGraspBox } from '../../lib/pruning/zo-grasp-box.js';
import { withFolder } from '../helpers/tiny.js';

const START = {
  flat: [0.5, -0.5, 0.5, 0.5],
  steep: [
    [1, -2],
    [1, 1.5],
  ],
};
/** Curved along `steep` alone, where removing a weight changes the gradient's norm most. */
const loss = (x: Float64Array): number => x.reduce((sum, value, i) => sum + (i < 4 ? 0.01 : 3) * value ** 2, 0);
const OPTIONS = { sparsity: 0.5, queries: 2000, mu: 1e-3, seed: 1 };

describe('zoGraspBox', () => {
  it('keeps the weights whose removal would lower the gradient most', async () => {
    // Of the quadratic, −Ŝ is (2cθ)² up to the noise of the directions.
    const ratios = await zoGraspBox(loss, START, OPTIONS);
    const other = await zoGraspBox(loss, START, { ...OPTIONS, rank: 'magnitude' });
    assert.deepEqual(ratios, { flat: 1, steep: 0 });
    assert.deepEqual(other, { flat: 1, steep: 0 });
  });

  it('makes two estimates, which its journal keeps', () =>
    withFolder(async (folder) => {
      const journal = join(folder, 'answers.jsonl');
      let calls = 0;
      const counted = (x: Float64Array): number => (calls++, loss(x));
      const options = { ...OPTIONS, queries: 5, journal };
      const ratios = await zoGraspBox(counted, START, options);
      assert.equal(calls, 12);
      assert.equal((await readFile(journal, 'utf8')).trimEnd().split('\n').length, 13);
      assert.deepEqual(await zoGraspBox(counted, START, options), ratios);
      assert.equal(calls, 12);
    }));

  it('refuses a loss that does not depend on the tensors', async () => {
    await assert.rejects(
      zoGraspBox(() => 1, START, OPTIONS),
      /Expected scores that differ, received 0 for every weight/,
    );
  });

  it('refuses a resolution, which would round its second point', async () => {
    const options = { ...OPTIONS, resolution: 0.25 };
    await assert.rejects(zoGraspBox(loss, START, options), /Unknown option "resolution" in zoGraspBox/);
  });
});
