/**
 * Training by a loss of outputs.
 *
 * @module
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { cge } from '../../lib/estimators/cge.js';
import type { Dataset } from '../../lib/data/dataset.js';
import { synthetic } from '../../lib/data/synthetic.js';
import type { ModelLoss } from '../../lib/model/losses.js';
import { outputsLoss } from '../../lib/model/losses.js';
import { Model } from '../../lib/model/model.js';
import { cnn } from '../../lib/network/cnn.js';
import type { Network } from '../../lib/network/description.js';
import { resnet } from '../../lib/network/resnet.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import type { TrainOptions } from '../../lib/training/options.js';
import { train } from '../../lib/training/train.js';
import { crossEntropy, meanCrossEntropy, relativeError } from '../helpers/outputs.js';
import { bits, CLASSES, tinyImages, tinyNetwork, tinyTensors, withFolder } from '../helpers/tiny.js';

const images = tinyTensors(32);
/** Whether tests of a minute run too. */
const LONG = process.env['DEEPZERO_LONG'] !== undefined;

interface Trained {
  readonly model: Model;
  readonly losses: number[];
}

async function trained(
  network: Network,
  loss: ModelLoss,
  options: TrainOptions,
  dataset: Dataset = images,
): Promise<Trained> {
  const model = new Model(network, { seed: 3, loss });
  const losses: number[] = [];
  for await (const step of train(model, dataset, options)) losses.push(step.loss);
  return { model, losses };
}

describe('training by a loss of outputs', () => {
  const options: TrainOptions = {
    estimator: cge({ mu: 5e-3, sparsity: 0.5, redrawEvery: 1 }),
    optimizer: sgd({ lr: 0.1, momentum: 0.5 }),
    ...{ steps: 20, batchSize: 16, seed: 1 },
  };

  const small = { dataset: images, sparsity: 0.5, lr: 0.1 };
  const { train: photos } = synthetic({ seed: 1, train: 32, test: 1 });
  for (const { network, dataset, sparsity, lr } of [
    { network: cnn({ depth: 2, channels: 3, classes: CLASSES, input: [2, 8, 8] }), ...small },
    { network: resnet({ depth: 8, width: 2, classes: CLASSES, input: [2, 8, 8] }), ...small },
    { network: cnn({ depth: 2 }), dataset: photos, sparsity: 0.5, lr: 0.03 },
    // At larger rates its losses do not fall, and differences grow with the steps.
    ...(LONG ? [{ network: resnet({ depth: 20 }), dataset: photos, sparsity: 0.9995, lr: 0.01 }] : []),
  ]) {
    const title = `${network.name} on ${dataset.shape.join('×')}`;
    it(`ends after 20 steps in the parameters of the built-in loss, to its precision: ${title}`, async () => {
      const own = { ...options, estimator: cge({ mu: 5e-3, sparsity, redrawEvery: 1 }), optimizer: sgd({ lr }) };
      const { model: expected, losses } = await trained(network, 'cross-entropy', own, dataset);
      const { model, losses: found } = await trained(network, crossEntropy, own, dataset);
      const start = new Model(network, { seed: 3 }).parameters;
      const moved = (end: Model): Float32Array => end.parameters.map((value, i) => value - start[i]!);
      assert.ok(relativeError(moved(model), moved(expected)) < 1e-5);
      assert.ok(relativeError(model.statistics, expected.statistics) < 1e-5);
      assert.ok(losses.every((loss, i) => Math.abs(loss - found[i]!) < 1e-5 * loss));
      assert.ok(losses.at(-1)! < losses[0]!);
    });
  }

  it('is resumed to the same bits, by a loss of the same name alone', async () => {
    const resumed = (loss: ModelLoss, resume: string): Promise<Trained> =>
      trained(tinyNetwork(), loss, { ...options, steps: 6, resume });
    const { model: whole } = await trained(tinyNetwork(), crossEntropy, { ...options, steps: 6 });
    await withFolder(async (folder) => {
      const file = join(folder, 'run.safetensors');
      using model = new Model(tinyNetwork(), { seed: 3, loss: crossEntropy });
      const run = train(model, images, { ...options, steps: 6 });
      for await (const { step } of run) if (step === 2) break;
      await run.save(file);
      const { model: end } = await resumed(crossEntropy, file);
      assert.equal(bits(end.parameters), bits(whole.parameters));
      assert.equal(bits(end.statistics), bits(whole.statistics));
      const renamed = outputsLoss('another', meanCrossEntropy);
      const why = (received: string): RegExp =>
        new RegExp(`expected loss to be "our cross-entropy", as when the run was saved, received "${received}"$`);
      await assert.rejects(resumed(renamed, file), { name: 'FileError', message: why('another') });
      await assert.rejects(resumed('cross-entropy', file), { name: 'FileError', message: why('cross-entropy') });
      using loaded = await Model.load(file, { loss: crossEntropy });
      assert.equal(bits(loaded.parameters), bits(model.parameters));
    });
  });

  it('tests, estimates its cost and refuses a step whose loss is not finite', async () => {
    let asked = 0;
    const failing = outputsLoss('failing', (outputs, batch) => {
      asked++;
      return asked > 400 ? NaN : meanCrossEntropy(outputs, batch);
    });
    using model = new Model(tinyNetwork(), { seed: 3, loss: failing });
    const run = train(model, tinyImages(), { ...options, test: tinyImages(12, 2), testEvery: 1, batchSize: 8 });
    const { queriesPerStep, secondsPerStep } = await run.estimateCost();
    assert.ok(queriesPerStep > 50 && secondsPerStep > 0);
    asked = 0;
    const before: string[] = [];
    await assert.rejects(
      async () => {
        for await (const { test } of run) {
          assert.ok(test!.accuracy! >= 0 && test!.count === 12);
          before.push(bits(model.parameters));
        }
      },
      { name: 'NonFiniteLossError' },
    );
    assert.ok(before.length > 0);
    assert.equal(bits(model.parameters), before.at(-1));
  });
});
