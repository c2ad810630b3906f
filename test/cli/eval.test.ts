import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Model } from '../../lib/model/model.js';
import { rollout } from '../../lib/model/rollouts.js';
import { cnn } from '../../lib/network/cnn.js';
import type { Network } from '../../lib/network/description.js';
import { conv2d } from '../../lib/network/description.js';
import { readSafetensors, writeSafetensors } from '../../lib/support/safetensors.js';
import { fails, json, TINY, writeImages } from '../helpers/command.js';
import { linearSimulator } from '../helpers/simulators.js';
import { withFolder } from '../helpers/tiny.js';

describe('deepzero eval', () => {
  it('measures a weights file on the test images', () =>
    withFolder(async (folder) => {
      const weights = join(folder, 'model.safetensors');
      const model = new Model(cnn({ depth: 1, channels: 2 }), { seed: 3 });
      await model.save(weights);
      const data = await writeImages(folder);
      const [own, named, normalised] = await Promise.all([
        json(['eval', '--weights', weights, '--data', data]),
        json(['eval', '--weights', weights, '--data', data, ...TINY, '--batch-size', '7']),
        json(['eval', '--weights', weights, '--data', data, '--mean', '0,0,0', '--std', '1,1,1']),
      ]);
      assert.deepEqual(Object.keys(own).sort(), ['accuracy', 'count', 'loss']);
      assert.equal(own['count'], 20);
      assert.equal(own['accuracy'], named['accuracy']);
      assert.ok(Math.abs((own['loss'] as number) - (named['loss'] as number)) < 1e-6);
      assert.notEqual(own['loss'], normalised['loss']);
    }));

  it('names the tensor that does not fit or is not finite', () =>
    withFolder(async (folder) => {
      const weights = join(folder, 'model.safetensors');
      const model = new Model(cnn({ depth: 1, channels: 2 }), { seed: 3 });
      await model.save(weights);
      const { tensors, metadata } = await readSafetensors(weights);
      tensors.get('conv_layers.0.bias')!.data[1] = NaN;
      await writeSafetensors(weights, tensors, metadata);
      const found = /model\.safetensors: expected conv_layers\.0\.bias\[1\] to be a finite number, found NaN$/;
      const evaluate = ['eval', '--data', 'synthetic', '--weights'];
      await fails([...evaluate, weights], 1, found);
      await fails([...evaluate, weights, '--network', 'resnet20'], 1, /missing conv1\.weight/);
      await fails([...evaluate, join(folder, 'none')], 1, /none: file does not exist$/);
      await fails([...evaluate, folder], 1, /: is a folder, expected a file, such as \S+\/model\.safetensors$/);
      await writeSafetensors(weights, tensors, {});
      await fails([...evaluate, weights], 1, /found none: give it by --network$/);
      await writeSafetensors(weights, tensors, { ...metadata, loss: 'hinge' });
      await fails([...evaluate, weights], 1, /model\.safetensors: .*loss.*"hinge"$/);
    }));

  it('says that weights of a loss that is no built-in one are for the library', () =>
    withFolder(async (folder) => {
      const weights = join(folder, 'model.safetensors');
      const network: Network = { name: 'row', input: [1, 1, 6], layers: [conv2d({ channels: 1, kernel: 1 })] };
      using model = new Model(network, { loss: rollout({ simulator: linearSimulator(), config: '6', steps: 4 }) });
      await model.save(weights);
      const advice =
        /one of rollouts: give it by the option loss of Model\.load, in the library, as the command has only/;
      await fails(['eval', '--data', 'synthetic', '--weights', weights], 1, advice);
    }));
});
