import assert from 'node:assert/strict';
import { join } from 'node:path';
import { cge } from '../../lib/estimators/cge.js';
import { firstOrder } from '../../lib/estimators/first-order.js';
import { Model } from '../../lib/model/model.js';
import { adam, sgd } from '../../lib/optimizers/optimizers.js';
import { pruneWeights } from '../../lib/pruning/ratios.js';
import { train } from '../../lib/training/train.js';
import { assertClose, quadratic } from '../helpers/quadratic.js';
import { bits, tinyNetwork, tinyTensors, whole, withFolder } from '../helpers/tiny.js';

const POSITION = { seed: 1, step: 0, epoch: 0 };
const batch = whole(tinyTensors(37));

describe('firstOrder', () => {
  it('is Hθ on ½θᵀHθ, without the bias of a finite difference', async () => {
    const { model, batch: images, gradient } = quadratic();
    assertClose((await firstOrder().estimate(model, images, POSITION)).gradient, gradient, 1e-5);
  });

  it('has the masks of sparse-CGE at equal seed, and redraws them when it does', () => {
    using model = new Model(tinyNetwork());
    for (const sparse of [{ sparsity: 0.5 }, { ratios: { 'conv.weight': 0.25, 'fc.weight': 0.5 } }]) {
      const options = { ...sparse, redrawEvery: 2 };
      const [ours, theirs] = [firstOrder(options), cge({ mu: 1, ...options })].map((estimator) =>
        [0, 1, 2].map((epoch) => bits(estimator.coordinates!(model, { seed: 7, step: 9, epoch }))),
      );
      assert.deepEqual(ours, theirs);
      assert.equal(ours![0], ours![1]);
      assert.notEqual(ours![1], ours![2]);
    }
    assert.ok(!('coordinates' in firstOrder()));
  });

  it('is the dense gradient where its mask is, and 0 elsewhere', async () => {
    using model = new Model(tinyNetwork(), { seed: 4 });
    const { gradient: dense } = await firstOrder().estimate(model, batch, POSITION);
    const some = Uint32Array.of(90, 3, 73, 77);
    for (const sparse of [firstOrder({ sparsity: 0.5 }), firstOrder({ coordinates: some })]) {
      const mask = sparse.coordinates!(model, POSITION);
      const { gradient } = await sparse.estimate(model, batch, POSITION);
      assert.equal(bits(gradient), bits(dense.map((value, i) => (mask.includes(i) ? value : 0))));
    }
    assert.deepEqual([...firstOrder({ coordinates: some }).coordinates!(model, POSITION)], [3, 73, 77, 90]);
  });

  for (const optimizer of [sgd({ lr: 0.1, momentum: 0.9, weightDecay: 0.1 }), adam({ lr: 0.1, weightDecay: 0.1 })]) {
    const { kind } = optimizer.config as { kind: string };
    it(`keeps pruned weights at 0 and trains the others: ${kind}`, async () => {
      using model = new Model(tinyNetwork(), { seed: 4 });
      const kept = pruneWeights(model, 0.5, { seed: 1 });
      const before = model.parameters.slice();
      const estimator = firstOrder({ coordinates: kept });
      for await (const { queries } of train(model, tinyTensors(), { estimator, optimizer, steps: 5, batchSize: 8 })) {
        assert.equal(queries, 1);
      }
      for (const [flat, value] of model.parameters.entries()) {
        if (kept.includes(flat)) assert.notEqual(value, before[flat]);
        else assert.equal(value, 0);
      }
    });
  }

  it('predicts the cost of a run, and resumes to the bits of one never stopped', () =>
    withFolder(async (folder) => {
      const file = join(folder, 'run.safetensors');
      const options = { optimizer: sgd({ lr: 0.1, momentum: 0.9 }), batchSize: 8, seed: 5 };
      const estimator = firstOrder({ sparsity: 0.5, redrawEvery: 1 });
      using whole = new Model(tinyNetwork());
      for await (const step of train(whole, tinyTensors(), { ...options, estimator, steps: 7 }))
        assert.ok(step.loss > 0);
      using stopped = new Model(tinyNetwork());
      const first = train(stopped, tinyTensors(), { ...options, estimator, steps: 7 });
      for await (const { step } of first) if (step === 3) break;
      await first.save(file);
      using resumed = new Model(tinyNetwork(), { seed: 9 });
      const rest = train(resumed, tinyTensors(), { ...options, estimator, steps: 7, resume: file });
      const cost = await rest.estimateCost();
      assert.deepEqual([cost.queriesPerStep, cost.steps], [1, 3]);
      for await (const { queries } of rest) assert.equal(queries, 1);
      assert.equal(bits(resumed.parameters), bits(whole.parameters));
      const other = firstOrder({ sparsity: 0.4, redrawEvery: 1 });
      const refused = train(resumed, tinyTensors(), { ...options, estimator: other, steps: 7, resume: file });
      await assert.rejects(refused.estimateCost(), /expected estimator\.sparsity to be 0\.5, .* received 0\.4/);
    }));

  it('whose loss is not finite rejects with the step', async () => {
    const { model, batch: images } = quadratic();
    const huge = { ...images, images: images.images.map(() => 3e38) };
    model.parameters.fill(2);
    const position = { ...POSITION, step: 12 };
    await assert.rejects(firstOrder().estimate(model, huge, position), { name: 'NonFiniteLossError', step: 12 });
  });

  it('refuses options that are wrong', async () => {
    assert.throws(() => firstOrder({ sparsity: 1 }), /Expected sparsity to be a number >= 0 and < 1, received 1/);
    assert.throws(() => firstOrder({ redrawEvery: 0 }), /redrawEvery to be an integer >= 1, received 0/);
    assert.throws(() => firstOrder({ mu: 1 } as object), /Unknown option "mu" in firstOrder/);
    const both = { sparsity: 0.5, coordinates: Uint32Array.of(1) };
    assert.throws(() => firstOrder(both), /either coordinates or sparsity, received both/);
    using model = new Model(tinyNetwork());
    const beyond = firstOrder({ coordinates: Uint32Array.of(99) }).estimate(model, batch, POSITION);
    await assert.rejects(beyond, /coordinates\[0\] to be below 99, the number of parameters, received 99/);
  });
});
