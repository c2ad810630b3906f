import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deepzero, fails, json, TINY, writeImages } from '../helpers/command.js';
import { withFolder } from '../helpers/tiny.js';

describe('deepzero prune', () => {
  it('finds ratios that train accepts', () =>
    withFolder(async (folder) => {
      const data = ['--data', await writeImages(folder)];
      const file = join(folder, 'ratios.json');
      const grasp = ['--sparsity', '0.5', '--grasp-queries', '4', '--samples-per-class', '2'];
      const found = await json(['prune', ...TINY, ...data, ...grasp, '--out', file]);
      const ratios = found['ratios'] as Record<string, number>;
      assert.deepEqual([found['mu'], ...Object.keys(ratios)], [5e-3, 'conv_layers.0.weight', 'fc.weight']);
      assert.ok(Math.abs(54 * ratios['conv_layers.0.weight']! + 20 * ratios['fc.weight']! - 37) < 1);
      assert.deepEqual((JSON.parse(await readFile(file, 'utf8')) as { ratios: object }).ratios, ratios);

      const out = join(folder, 'run');
      const length = ['--batch-size', '8', '--steps', '1', '--out', out];
      await json(['train', ...TINY, ...data, '--ratios', file, ...length]);
      const [line] = (await readFile(join(out, 'log.jsonl'), 'utf8')).split('\n');
      assert.equal((JSON.parse(line!) as { queries: number }).queries, (found['queried'] as number) + 1);
      await fails(['train', '--ratios', file], 1, /ratios\.json: holds the ratios of "cnn1", not of "resnet20"$/);
      const { network, ...anonymous } = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
      assert.equal(network, 'cnn1');
      await writeFile(file, JSON.stringify({ ...anonymous, spasity: 1 }));
      await fails(['train', '--ratios', file], 1, /ratios\.json: unknown "spasity"; did you mean "sparsity"\?$/);
      await writeFile(file, JSON.stringify(anonymous));
      await fails(['train', '--ratios', file], 1, /ratios\.json: .*"conv_layers\.0\.weight"/);
      const sparse = await deepzero(['prune', ...TINY, ...data, ...grasp, '--sparsity', '0.999999']);
      assert.match(
        sparse.stdout,
        /^No coordinate is queried of conv_layers\.0\.weight, fc\.weight: at a lower sparsity/m,
      );
      await fails(['prune', '--out', join(folder, 'none', 'x')], 1, /none\/x: folder does not exist$/);
      await fails(['prune', '--out', folder, '--grasp-queries', '1000000'], 1, /: is a folder, expected a file$/);
    }));

  for (const method of ['grasp', 'random', 'magnitude']) {
    it(`ranks by ${method}`, () =>
      withFolder(async (folder) => {
        const sampled = method === 'grasp' ? ['--data', await writeImages(folder), '--samples-per-class', '2'] : [];
        const prune = ['prune', ...TINY, '--method', method, '--sparsity', '0.5', ...sampled];
        const found = await json(prune);
        const ratios = found['ratios'] as Record<string, number>;
        assert.deepEqual([found['method'], found['mu']], [method, undefined]);
        assert.ok(Math.abs(54 * ratios['conv_layers.0.weight']! + 20 * ratios['fc.weight']! - 37) < 1e-9);
        assert.deepEqual((await json(prune))['ratios'], ratios);
      }));
  }

  it('takes options with the methods that they belong to', async () => {
    await fails(['prune', '--method', 'grasp', '--mu', '1'], 2, /--mu requires --method zo-grasp, not grasp$/);
    const samples = /--samples-per-class requires --method zo-grasp or grasp, not random$/;
    await fails(['prune', '--method', 'random', '--samples-per-class', '1'], 2, samples);
    await fails(
      ['prune', '--method', 'grasp', '--samples-per-class', '999999'],
      2,
      /--samples-per-class to be at most/,
    );
  });
});
