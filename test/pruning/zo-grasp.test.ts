import assert from 'node:assert/strict';
import type { Dataset } from '../../lib/data/dataset.js';
import type { LayerRatios } from '../../lib/estimators/masks.js';
import { keptCounts } from '../../lib/estimators/masks.js';
import { Model } from '../../lib/model/model.js';
import { resnet } from '../../lib/network/resnet.js';
import type { ZoGraspOptions } from '../../lib/pruning/zo-grasp.js';
import { zoGrasp } from '../../lib/pruning/zo-grasp.js';
import { hessianTimes, quadratic, quadraticDataset, SIZE } from '../helpers/quadratic.js';
import { bits, CLASSES, tinyImages, tinyNetwork, tinyTensors } from '../helpers/tiny.js';

const QUICK = { queries: 8, samplesPerClass: 4 };

/** The fraction of all maskable coordinates that is left out. */
function globalSparsity(model: Model, sparsity: LayerRatios): number {
  const tensors = model.compiled.parameters.filter(({ maskable }) => maskable);
  const total = tensors.reduce((sum, { size }) => sum + size, 0);
  return 1 - keptCounts(tensors, sparsity).reduce((sum, count) => sum + count, 0) / total;
}

describe('zoGrasp', () => {
  it('respects the global sparsity to 0.1 %, with a ratio for every maskable tensor', async () => {
    const network = resnet({ depth: 8, width: 4, input: [2, 8, 8] });
    using model = new Model(network, { seed: 1 });
    for (const sparsity of [0, 0.5, 0.8, 0.9, 0.95, 0.99]) {
      const ratios = await zoGrasp(model, tinyImages(), { ...QUICK, sparsity });
      assert.ok(Math.abs(globalSparsity(model, ratios) - sparsity) < 1e-3, `${globalSparsity(model, ratios)}`);
      const maskable = model.compiled.parameters.filter((tensor) => tensor.maskable).map(({ name }) => name);
      assert.deepEqual(Object.keys(ratios), maskable);
      assert.ok(Object.values(ratios).every((ratio) => ratio >= 0 && ratio <= 1));
    }
  });

  it('is fixed by the seed, and leaves the model as it is', async () => {
    using model = new Model(tinyNetwork(), { seed: 1 });
    const before = [bits(model.parameters), bits(model.statistics)];
    const find = (seed: number): Promise<LayerRatios> =>
      zoGrasp(model, tinyImages(), { ...QUICK, sparsity: 0.5, seed });
    const first = await find(1);
    assert.deepEqual(await find(1), first);
    const others = await Promise.all([2, 3, 4, 5].map(find));
    assert.ok(others.some((other) => other['fc.weight'] !== first['fc.weight']));
    assert.deepEqual([bits(model.parameters), bits(model.statistics)], before);
  });

  describe('on a quadratic loss, where −θ ⊙ H∇ℓ is known', () => {
    const theta = Array.from({ length: 2 * SIZE }, (_, i) => Math.cos(6 * i));
    const scores = Array.from(hessianTimes(hessianTimes(theta)), (value, i) => -theta[i]! * value);

    const find = async (options: Partial<ZoGraspOptions>): Promise<LayerRatios> => {
      const { model } = quadratic((i) => theta[i]!);
      const enough = { queries: 50_000, samplesPerClass: 5 };
      return await zoGrasp(model, quadraticDataset(), { ...enough, sparsity: 0.5, ...options });
    };

    /** Ratios of the two tensors if half of all coordinates are left out, the lowest of `importance`. */
    function expected(importance: readonly number[]): LayerRatios {
      const kept = [...importance.keys()].sort((a, b) => importance[b]! - importance[a]!).slice(0, SIZE);
      const inA = kept.filter((at) => at < SIZE).length;
      return { 'sum.a.weight': 1 - inA / SIZE, 'sum.b.weight': 1 - (SIZE - inA) / SIZE };
    }

    it('keeps the lowest scores, as GraSP does', async () => {
      assert.deepEqual(await find({}), expected(scores.map((score) => -score)));
    });

    it('keeps the largest absolute scores if asked to, as the public code does', async () => {
      assert.deepEqual(await find({ rank: 'magnitude' }), expected(scores.map(Math.abs)));
    });

    it('would rank otherwise by sign than by magnitude', () => {
      assert.notDeepEqual(expected(scores.map((score) => -score)), expected(scores.map(Math.abs)));
    });
  });

  it('takes other directions for the second estimate if asked to, as the public code does', async () => {
    using model = new Model(resnet({ depth: 8, width: 4, input: [2, 8, 8] }), { seed: 1 });
    const find = (directions: 'shared' | 'fresh'): Promise<LayerRatios> =>
      zoGrasp(model, tinyImages(), { ...QUICK, sparsity: 0.8, directions });
    assert.notDeepEqual(await find('fresh'), await find('shared'));
    assert.deepEqual(await find('fresh'), await find('fresh'));
  });

  it('scales each tensor to unit length if asked to, as the public code does', async () => {
    using model = new Model(resnet({ depth: 8, width: 4, input: [2, 8, 8] }), { seed: 1 });
    const find = (perTensor: boolean): Promise<LayerRatios> =>
      zoGrasp(model, tinyImages(), { ...QUICK, sparsity: 0.8, perTensor });
    assert.notDeepEqual(await find(true), await find(false));
  });

  it('refuses a step that float32 loses, and scores that tell nothing', async () => {
    using model = new Model(tinyNetwork(), { seed: 1 });
    const find = (mu: number): Promise<LayerRatios> => zoGrasp(model, tinyImages(), { ...QUICK, sparsity: 0.5, mu });
    await assert.rejects(find(1e-12), /Expected scores that differ, .* mu = 1e-12 is lost in float32/);
    model.tensor('conv.weight').fill(0);
    model.tensor('fc.weight').fill(0);
    await assert.rejects(find(5e-3), {
      name: 'InvalidArgumentError',
      message:
        'Expected scores that differ, received 0 for every weight: mu = 0.005 is lost in float32, or all weights are 0',
    });
  });

  it('refuses data it cannot draw from, and options that are wrong', async () => {
    using model = new Model(tinyNetwork());
    const find = (options: Partial<ZoGraspOptions>, dataset: Dataset = tinyTensors()): Promise<LayerRatios> =>
      zoGrasp(model, dataset, { ...QUICK, sparsity: 0.5, ...options });
    await assert.rejects(
      find({ samplesPerClass: 9 }),
      /samplesPerClass to be at most 8, the images of class 0 .* received 9/,
    );
    const { name, count, shape } = tinyTensors();
    const unlabelled = { name, count, shape, classes: CLASSES, batch: () => assert.fail() };
    await assert.rejects(find({}, unlabelled), /"stripes" to have labels and classes, or neither/);
    await assert.rejects(find({ sparsity: 1 }), /sparsity to be a number >= 0 and < 1, received 1/);
    await assert.rejects(find({ mu: 0 }), /mu to be a finite number > 0 that float32 can hold, received 0/);
    await assert.rejects(find({ queries: 0 }), /queries to be an integer from 1/);
    await assert.rejects(find({ rank: 'score' as 'signed' }), /rank to be one of signed, magnitude, received "score"/);
    await assert.rejects(find({ sparseness: 0.5 } as object), /Unknown option "sparseness" in zoGrasp/);
    await assert.rejects(find({ signal: AbortSignal.abort() }), { name: 'AbortError' });
  });
});
