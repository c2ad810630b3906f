import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { Model } from '../../lib/model/model.js';
import { cnn } from '../../lib/network/cnn.js';
import { readSafetensors, writeSafetensors } from '../../lib/support/safetensors.js';
import { deepzero } from '../helpers/command.js';
import { withFolder } from '../helpers/tiny.js';

const RECORD = 1 + 3 * 32 * 32;

/** Writes a data set in CIFAR-10's files, whose second batch is short. */
async function writeImages(folder: string): Promise<void> {
  for (const [name, count] of Object.entries({ data_batch_1: 9, data_batch_2: 3, test_batch: 4 })) {
    await writeFile(join(folder, `${name}.bin`), new Uint8Array(count * RECORD));
  }
}

describe('names from files in what the command prints', () => {
  it('have no control characters and are short', async () => {
    await withFolder(async (folder) => {
      await writeImages(folder);
      const about = { name: `\u001b[31m\n${'x'.repeat(3000)}`, mean: [0, 0, 0], std: [1, 1, 1] };
      await writeFile(join(folder, 'deepzero.json'), JSON.stringify({ train: about, test: about }));
      const names = Array.from({ length: 10 }, (_, i) => `\u001b[${i}m${'y'.repeat(3000)}`);
      await writeFile(join(folder, 'batches.meta.txt'), `${names.join('\n')}\n`);
      const { code, stdout } = await deepzero(['data', 'info', folder]);
      assert.equal(code, 0);
      assert.doesNotMatch(stdout.replaceAll('\n', ''), /\p{Cc}/u);
      assert.match(stdout, /12 images of \\u001b\[31m\\u000ax+…x+ \(.*\), 3×32×32 in 10 classes$/m);
      assert.match(stdout, /^\\u001b\[0my+…y+ +12 +4$/m);
      for (const line of stdout.split('\n')) assert.ok(line.length < 400, line);
    });
  });
});

describe('the name of a network from a weights file', () => {
  it('leads to no other folder than runs', async () => {
    await withFolder(async (folder) => {
      await writeImages(folder);
      const weights = join(folder, 'w.safetensors');
      using model = new Model({ ...cnn({ depth: 1, channels: 2 }), name: `../../a b/\u001b${'x'.repeat(300)}` });
      await model.save(weights);
      const length = ['--ratios', 'uniform', '--batch-size', '4', '--steps', '1'];
      const command = ['train', '--weights', weights, '--data', folder, ...length];
      const { code, stderr, stdout } = await deepzero(command, { cwd: folder });
      assert.equal(code, 0, stderr);
      assert.deepEqual(await readdir(join(folder, 'runs')), [`a-b-${'x'.repeat(36)}-cifar10-1`]);
      for (const line of stdout.split('\n')) assert.ok(line.length < 400, line);
    });
  });
});

describe('remarks on files', () => {
  it('name the batches that are missing and those that are short', async () => {
    await withFolder(async (folder) => {
      await writeImages(folder);
      const { stdout } = await deepzero(['data', 'info', folder]);
      const missing = 'data_batch_3.bin, data_batch_4.bin, data_batch_5.bin missing';
      assert.ok(stdout.includes(`12 images of cifar10 train (${missing}; data_batch_2.bin shorter than the others)`));
      const { stdout: json } = await deepzero(['data', 'info', folder, '--json']);
      assert.deepEqual((JSON.parse(json) as { short: string[] }).short, ['data_batch_2.bin']);
    });
  });

  it('say how weights differ from those in the file', async () => {
    await withFolder(async (folder) => {
      await writeImages(folder);
      const weights = join(folder, 'w.safetensors');
      using model = new Model(cnn({ depth: 1, channels: 2 }));
      await model.save(weights);
      const { tensors, metadata } = await readSafetensors(weights);
      const renamed = new Map([...tensors].map(([name, tensor]) => [`module.${name}`, tensor]));
      await writeSafetensors(weights, renamed, metadata);
      const { stdout, code } = await deepzero(['eval', '--weights', weights, '--data', folder]);
      assert.equal(code, 0);
      assert.match(stdout, /^All tensors' names start with "module\."; the prefix is ignored\.$/m);
    });
  });
});
