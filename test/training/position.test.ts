import assert from 'node:assert/strict';

import type { EstimateContext, Estimator } from '../../lib/estimators/estimator.js';
import { rge } from '../../lib/estimators/rge.js';
import { Model } from '../../lib/model/model.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import { train } from '../../lib/training/train.js';
import { tinyNetwork, tinyTensors } from '../helpers/tiny.js';

const OPTIONS = { estimator: rge({ mu: 5e-3, queries: 1 }), optimizer: sgd({ lr: 0.1 }), batchSize: 8 };

describe('train', () => {
  it('rounds a length in epochs to steps, at least one', () => {
    using model = new Model(tinyNetwork());
    const lengths = [0.01, 1.4, 1.5, 2].map((epochs) => train(model, tinyTensors(), { ...OPTIONS, epochs }).totalSteps);
    assert.deepEqual(lengths, [1, 4, 5, 6]);
  });

  it('goes through the images in another order with another seed', async () => {
    const order = async (seed: number): Promise<number[]> => {
      const images = tinyTensors();
      const batch = images.batch.bind(images);
      const asked: number[] = [];
      images.batch = (indices, augmentation) => (asked.push(...indices), batch(indices, augmentation));
      using model = new Model(tinyNetwork());
      for await (const { step } of train(model, images, { ...OPTIONS, seed, steps: 1 })) assert.equal(step, 0);
      return asked;
    };
    assert.deepEqual(await order(1), await order(1));
    assert.notDeepEqual(await order(1), await order(2));
  });

  it('tests after every epoch by default, and at the end', async () => {
    using model = new Model(tinyNetwork());
    const run = train(model, tinyTensors(), { ...OPTIONS, steps: 7, test: tinyTensors(12, 2) });
    const tested: number[] = [];
    for await (const { step, test } of run) if (test) tested.push(step);
    assert.deepEqual(tested, [2, 5, 6]);
  });

  it('tests in batches of `batchSize`', async () => {
    using model = new Model(tinyNetwork());
    const test = tinyTensors(20, 2);
    const batch = test.batch.bind(test);
    const sizes: number[] = [];
    test.batch = (indices, augmentation) => (sizes.push(indices.length), batch(indices, augmentation));
    const run = train(model, tinyTensors(), { ...OPTIONS, steps: 1, test, testEvery: 1 });
    for await (const { step } of run) assert.equal(step, 0);
    assert.deepEqual(sizes, [8, 8, 4]);
  });

  it('hands the progress callback to the estimates of its steps, and the signal to all', async () => {
    using model = new Model(tinyNetwork());
    const contexts: EstimateContext[] = [];
    const estimator: Estimator = {
      ...OPTIONS.estimator,
      sample: () => estimator,
      estimate: (on, batch, context) => (contexts.push(context), OPTIONS.estimator.estimate(on, batch, context)),
    };
    const { signal } = new AbortController();
    const onProgress = (): void => undefined;
    const run = train(model, tinyTensors(), { ...OPTIONS, estimator, signal, onProgress, steps: 1 });
    await run.estimateCost();
    assert.ok(contexts.length > 0);
    for await (const { step } of run) assert.equal(step, 0);
    assert.ok(contexts.every((context) => context.signal === signal));
    assert.equal(contexts.at(-1)!.onProgress, onProgress);
  });
});
