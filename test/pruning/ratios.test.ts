import assert from 'node:assert/strict';
import { cge } from '../../lib/estimators/cge.js';
import { grasp, graspImportance } from '../../lib/pruning/grasp.js';
import { keptCounts } from '../../lib/estimators/masks.js';
import { Model } from '../../lib/model/model.js';
import { resnet } from '../../lib/network/resnet.js';
import {
  keptCoordinates,
  magnitudePruning,
  pruneWeights,
  randomPruning,
  rankedRatios,
} from '../../lib/pruning/ratios.js';
import { zoGrasp, zoGraspImportance } from '../../lib/pruning/zo-grasp.js';
import { assertClose, hessianTimes, quadratic, quadraticDataset, SIZE } from '../helpers/quadratic.js';
import { bits, tinyImages, tinyNetwork, tinyTensors } from '../helpers/tiny.js';

/** 76 + 8 + 15 parameters, of which 72 + 12 are maskable. */
function tiny(): Model {
  return new Model(tinyNetwork(), { seed: 3 });
}

const names = ({ compiled }: Model): string[] =>
  compiled.parameters.filter(({ maskable }) => maskable).map(({ name }) => name);

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

describe('rankedRatios', () => {
  it('leaves out the least important of all weights together, of equals the last', () => {
    using model = tiny();
    const importance = new Float64Array(model.parameterCount);
    const conv = model.parameterIndex({ name: 'conv.weight', index: 0 });
    const fc = model.parameterIndex({ name: 'fc.weight', index: 0 });
    importance.fill(1, conv, conv + 30);
    importance.fill(2, fc, fc + 9);
    // Never masked, so neither kept nor left out.
    importance.fill(9, model.parameterIndex({ name: 'bn.weight', index: 0 }), fc);
    const kept = (sparsity: number): number[] =>
      Object.values(rankedRatios(model, importance, sparsity)).map((ratio, i) =>
        Math.round((1 - ratio) * [72, 12][i]!),
      );
    assert.deepEqual(kept(1 - 9 / 84), [0, 9]);
    assert.deepEqual(kept(1 - 20 / 84), [11, 9]);
    assert.deepEqual(kept(1 - 50 / 84), [41, 9]);
    assert.deepEqual(kept(0), [72, 12]);
  });

  it('refuses importances that cannot be', () => {
    using model = tiny();
    const wrong: [unknown, RegExp][] = [
      [
        new Float64Array(98),
        /Expected importance to be a Float32Array or Float64Array of 99, .* received a Float64Array/,
      ],
      [[1, 2], /received \[1, 2\]/],
      [new Float32Array(99).fill(NaN, 7), /Expected importance\[7\] to be a number, received NaN/],
    ];
    for (const [importance, message] of wrong) {
      assert.throws(() => rankedRatios(model, importance as Float64Array, 0.5), message);
      const options = { importance: importance as Float64Array };
      assert.throws(() => keptCoordinates(model, 0.5, options), message);
    }
    assert.throws(() => rankedRatios(model, model.parameters, 1), /sparsity to be a number >= 0 and < 1, received 1/);
  });
});

describe('keptCoordinates', () => {
  it('are the weights that made the ratios, and all that is never masked', () => {
    using model = tiny();
    const importance = model.parameters.map(Math.abs);
    const sparsity = rankedRatios(model, importance, 0.5);
    const kept = keptCoordinates(model, sparsity, { importance });
    const maskable = [...kept].filter((flat) => names(model).includes(model.parameterName(flat).name));
    const weights = [...importance.keys()].filter((flat) => names(model).includes(model.parameterName(flat).name));
    const ranked = weights.sort((a, b) => importance[b]! - importance[a]!).slice(0, 42);
    assert.deepEqual(
      maskable,
      ranked.sort((a, b) => a - b),
    );
    assert.equal(kept.length, 42 + 99 - 84);
    assert.deepEqual(
      [...kept],
      [...kept].sort((a, b) => a - b),
    );
  });

  it('are at random the mask of sparse-CGE in the first epoch', () => {
    using model = tiny();
    const mask = cge({ mu: 1, sparsity: 0.7 }).coordinates!(model, { seed: 5, step: 3, epoch: 2 });
    assert.equal(bits(keptCoordinates(model, 0.7, { seed: 5 })), bits(mask));
    assert.notEqual(bits(keptCoordinates(model, 0.7)), bits(mask));
  });

  it('refuses options that are wrong', () => {
    using model = tiny();
    const both = { importance: model.parameters, seed: 1 };
    assert.throws(() => keptCoordinates(model, 0.5, both), /Expected either importance or seed, received both/);
    assert.throws(() => keptCoordinates(model, { 'fc.weight': 0.5 }), /ratios\["conv\.weight"\]/);
    assert.throws(
      () => keptCoordinates(model, 0.5, { scores: 1 } as object),
      /Unknown option "scores" in keptCoordinates/,
    );
  });
});

describe('pruneWeights', () => {
  it('sets all that is not kept to 0, and leaves the rest', () => {
    using model = tiny();
    const before = model.parameters.slice();
    const kept = pruneWeights(model, { 'conv.weight': 0.75, 'fc.weight': 0 });
    assert.equal(bits(kept), bits(keptCoordinates(model, { 'conv.weight': 0.75, 'fc.weight': 0 })));
    assert.equal(model.tensor('conv.weight').filter((value) => value !== 0).length, 18);
    assert.equal(bits(model.parameters), bits(before.map((value, i) => (kept.includes(i) ? value : 0))));
    const pruned = bits(model.parameters);
    assert.throws(() => pruneWeights(model, 1), /received 1/);
    assert.equal(bits(model.parameters), pruned);
  });
});

describe('randomPruning and magnitudePruning', () => {
  it('meet the sparsity over all weights together', () => {
    using model = new Model(resnet({ depth: 8, width: 4, input: [2, 8, 8] }), { seed: 1 });
    const tensors = model.compiled.parameters.filter(({ maskable }) => maskable);
    const total = sum(tensors.map(({ size }) => size));
    for (const sparsity of [0, 0.5, 0.9, 0.99]) {
      for (const ratios of [randomPruning(model, { sparsity, seed: 2 }), magnitudePruning(model, { sparsity })]) {
        assert.deepEqual(Object.keys(ratios), names(model));
        assert.equal(sum(keptCounts(tensors, ratios)), Math.round((1 - sparsity) * total));
      }
    }
    const even = Object.values(randomPruning(model, { sparsity: 0.5 }));
    assert.ok(
      even.every((ratio, i) => Math.abs(ratio - 0.5) < 3 / Math.sqrt(tensors[i]!.size)),
      String(even),
    );
    assert.deepEqual(randomPruning(model, { sparsity: 0.5, seed: 0 }), randomPruning(model, { sparsity: 0.5 }));
    assert.notDeepEqual(randomPruning(model, { sparsity: 0.5, seed: 1 }), randomPruning(model, { sparsity: 0.5 }));
  });

  it('by magnitude leaves out the smallest weights', () => {
    using model = tiny();
    model.tensor('conv.weight').fill(-2);
    model.tensor('fc.weight').fill(1);
    assert.deepEqual(magnitudePruning(model, { sparsity: 12 / 84 }), { 'conv.weight': 0, 'fc.weight': 1 });
  });

  it('refuse options that are wrong', () => {
    using model = tiny();
    assert.throws(() => magnitudePruning(model, { sparsity: -1 }), /sparsity to be a number >= 0 and < 1, received -1/);
    assert.throws(() => magnitudePruning(model, { sparsity: 0, seed: 1 } as never), /"seed" in magnitudePruning/);
    assert.throws(
      () => randomPruning(model, { sparsity: 0.5, seed: -1 }),
      /seed to be an integer from 0 to 9007199254740991, received -1/,
    );
  });
});

describe('grasp', () => {
  const theta = (i: number): number => Math.cos(6 * i);

  it('ranks by θ ⊙ H∇ℓ, as known on a quadratic loss', async () => {
    const { model, gradient } = quadratic(theta);
    const importance = await graspImportance(model, quadraticDataset(), { samplesPerClass: 5 });
    const expected = hessianTimes(gradient).map((value, i) => value * model.parameters[i]!);
    assertClose(importance, expected, 1e-3);
    const ranked = [...expected.keys()].sort((a, b) => expected[b]! - expected[a]!).slice(0, SIZE);
    const inA = ranked.filter((at) => at < SIZE).length;
    const ratios = await grasp(model, quadraticDataset(), { samplesPerClass: 5, sparsity: 0.5 });
    assert.deepEqual(ratios, { 'sum.a.weight': 1 - inA / SIZE, 'sum.b.weight': 1 - (SIZE - inA) / SIZE });
    assert.notEqual(inA, SIZE / 2);
  });

  it('takes gradients at θ and 3e-3·‖θ‖ before and behind it along the gradient', async () => {
    const { model, gradient } = quadratic((i) => 40 * theta(i));
    const points: Float32Array[] = [];
    const compute = model.gradient.bind(model);
    model.gradient = (batch, options) => {
      points.push(options!.at!);
      return compute(batch, options);
    };
    await graspImportance(model, quadraticDataset(), { samplesPerClass: 5 });
    const step = (3e-3 * Math.hypot(...model.parameters)) / Math.hypot(...gradient);
    const along = (factor: number): Float32Array => model.parameters.map((value, i) => value + factor * gradient[i]!);
    assert.equal(points.length, 3);
    [0, step, -step].forEach((factor, i) => {
      assertClose(points[i]!, along(factor), 1e-6);
    });
  });

  it('is what ZO-GraSP estimates', async () => {
    const { model } = quadratic(theta);
    const exact = await graspImportance(model, quadraticDataset(), { samplesPerClass: 5 });
    const many = { samplesPerClass: 5, queries: 50_000 };
    assertClose(await zoGraspImportance(model, quadraticDataset(), many), exact, 0.1);
  });

  it('is fixed by the seed, leaves the model as it is, and its importance makes its ratios', async () => {
    using model = tiny();
    const before = [bits(model.parameters), bits(model.statistics)];
    const options = { sparsity: 0.5, samplesPerClass: 4 };
    const first = await grasp(model, tinyImages(), options);
    assert.deepEqual(await grasp(model, tinyImages(), { ...options, seed: 0 }), first);
    const [one, other] = [1, 2].map((seed) => graspImportance(model, tinyImages(), { samplesPerClass: 4, seed }));
    assert.notEqual(bits(await one!), bits(await other!));
    assert.deepEqual([bits(model.parameters), bits(model.statistics)], before);
    const importance = await graspImportance(model, tinyImages(), { samplesPerClass: 4 });
    assert.deepEqual(rankedRatios(model, importance, 0.5), first);
    const zeroth = { queries: 8, samplesPerClass: 4 };
    const estimated = await zoGraspImportance(model, tinyImages(), zeroth);
    const ratios = await zoGrasp(model, tinyImages(), { ...zeroth, sparsity: 0.5 });
    assert.deepEqual(rankedRatios(model, estimated, 0.5), ratios);
  });

  it('refuses data it cannot draw from, scores that tell nothing, and options that are wrong', async () => {
    using model = tiny();
    const data = tinyTensors();
    const found = (options: object): Promise<object> =>
      grasp(model, data, { sparsity: 0.5, samplesPerClass: 4, ...options });
    await assert.rejects(found({ samplesPerClass: 9 }), /samplesPerClass to be at most 8, the images of class 0/);
    await assert.rejects(found({ sparsity: 1 }), /sparsity to be a number >= 0 and < 1, received 1/);
    await assert.rejects(found({ seed: 0.5 }), /seed to be an integer from 0 to 9007199254740991, received 0\.5/);
    await assert.rejects(found({ mu: 1 }), /Unknown option "mu" in grasp/);
    await assert.rejects(found({ signal: AbortSignal.abort() }), { name: 'AbortError' });
    for (const name of names(model)) model.tensor(name).fill(0);
    await assert.rejects(
      found({}),
      /Expected scores that differ, received 0 for every weight: all weights or all gradients are 0/,
    );
  });
});
