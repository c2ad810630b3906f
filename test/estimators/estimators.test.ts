import assert from 'node:assert/strict';
import type { Estimator } from '../../lib/estimators/estimator.js';
import { cge } from '../../lib/estimators/cge.js';
import { rge } from '../../lib/estimators/rge.js';
import { Model } from '../../lib/model/model.js';
import { flatten, linear } from '../../lib/network/description.js';
import { firstOrder } from '../../lib/estimators/first-order.js';
import { forwardGradient } from '../../lib/estimators/forward-gradient.js';
import { patternSearch } from '../../lib/estimators/pattern-search.js';
import { assertClose, quadratic } from '../helpers/quadratic.js';
import { bits, tinyNetwork, tinyTensors, whole } from '../helpers/tiny.js';

const POSITION = { seed: 1, step: 0, epoch: 0 };
const batch = whole(tinyTensors(37));

/** The gradient that an estimator yields on a fresh tiny model. */
async function gradientOf(
  estimator: Estimator,
  options: { threads?: number; position?: typeof POSITION } = {},
): Promise<Float32Array> {
  using model = new Model(tinyNetwork(), { seed: 4, ...(options.threads && { threads: options.threads }) });
  const { gradient } = await estimator.estimate(model, batch, options.position ?? POSITION);
  return gradient as Float32Array;
}

describe('cge', () => {
  it('is Hθ + (μ/2)·diag H on ½θᵀHθ one-sided, and Hθ central', async () => {
    const { model, batch: images, gradient, diagonal } = quadratic();
    const mu = 0.25;
    const oneSided = await cge({ mu }).estimate(model, images, POSITION);
    assertClose(
      oneSided.gradient,
      gradient.map((value, i) => value + (mu / 2) * diagonal[i]!),
      1e-5,
    );
    assert.ok(Math.hypot(...diagonal) * (mu / 2) > 0.01 * Math.hypot(...gradient));
    const central = await cge({ mu, central: true }).estimate(model, images, POSITION);
    assertClose(central.gradient, gradient, 1e-5);
  });

  it('over all coordinates given one by one is CGE, over some of them its restriction, bit for bit', async () => {
    const full = await gradientOf(cge({ mu: 5e-3 }));
    const all = Uint32Array.from(full, (_, i) => full.length - 1 - i);
    assert.equal(bits(await gradientOf(cge({ mu: 5e-3, coordinates: all }))), bits(full));
    assert.equal(bits(await gradientOf(cge({ mu: 5e-3, sparsity: 0 }))), bits(full));
    const some = Uint32Array.of(90, 3, 73, 77);
    const restriction = full.map((value, i) => (some.includes(i) ? value : 0));
    assert.ok(restriction.some((value) => value !== 0));
    assert.equal(bits(await gradientOf(cge({ mu: 5e-3, coordinates: some }))), bits(restriction));
  });

  for (const central of [false, true]) {
    const side = central ? 'central' : 'one-sided';
    for (const reuse of ['none', 'layer', 'incremental'] as const) {
      it(`has the same bits on one thread and two: ${reuse}, ${side}`, async () => {
        const estimator = cge({ mu: 5e-3, central, reuse });
        assert.equal(
          bits(await gradientOf(estimator, { threads: 2 })),
          bits(await gradientOf(estimator, { threads: 1 })),
        );
      });
    }

    it(`has the same bits from the layer as from the input, and nearly the values of changes: ${side}`, async () => {
      const layer = await gradientOf(cge({ mu: 5e-3, central, reuse: 'layer' }));
      assert.equal(bits(await gradientOf(cge({ mu: 5e-3, central, reuse: 'none' }))), bits(layer));
      assertClose(await gradientOf(cge({ mu: 5e-3, central })), layer, 1e-2);
    });
  }

  it('draws other coordinates every `redrawEvery` epochs, for every seed its own', () => {
    using model = new Model(tinyNetwork());
    const estimator = cge({ mu: 5e-3, sparsity: 0.5, redrawEvery: 3 });
    const at = (epoch: number, seed = 1): string => bits(estimator.coordinates!(model, { seed, step: 7, epoch }));
    assert.equal(at(0), at(2));
    assert.notEqual(at(2), at(3));
    assert.equal(at(3), at(5));
    assert.notEqual(at(0), at(0, 2));
  });

  it('is zero where it is not queried, and queries batch norm and biases always', async () => {
    using model = new Model(tinyNetwork());
    const estimator = cge({ mu: 5e-3, ratios: { 'conv.weight': 1, 'fc.weight': 0.5 } });
    const { gradient, queries } = await estimator.estimate(model, batch, POSITION);
    const queried = (name: string): number =>
      gradient
        .subarray(model.parameterIndex({ name, index: 0 }))
        .subarray(0, model.tensor(name).length)
        .filter((value) => value !== 0).length;
    assert.equal(queried('conv.weight'), 0);
    assert.equal(queried('fc.weight'), 6);
    assert.equal(queried('bn.weight') + queried('bn.bias') + queried('fc.bias'), 4 + 4 + 3);
    assert.equal(queries, 1 + 4 + 4 + 4 + 6 + 3);
  });

  it('samples its coordinates evenly, from the middle of equal parts', () => {
    using model = new Model(tinyNetwork());
    const sample = cge({ mu: 5e-3 }).sample(6);
    assert.deepEqual([...sample.coordinates!(model, POSITION)], [9, 29, 49, 69, 89]);
  });

  it('refuses options that are wrong', async () => {
    assert.throws(() => cge({ mu: 0 }), /Expected mu to be a finite number > 0 that float32 can hold, received 0/);
    assert.throws(() => cge({ mu: NaN }), /mu/);
    assert.throws(() => cge({ mu: 1, sparsity: 1 }), /Expected sparsity to be a number >= 0 and < 1, received 1/);
    assert.throws(() => cge({ mu: 1, redrawEvery: 0 }), /redrawEvery to be an integer >= 1, received 0/);
    assert.throws(
      () => cge({ mu: 1, sparcity: 0.5 } as object as { mu: 1 }),
      /"sparcity" in cge; did you mean "sparsity"\?/,
    );
    const both = { mu: 1, sparsity: 0.5, coordinates: Uint32Array.of(1) };
    assert.throws(() => cge(both), /either coordinates or sparsity, received both/);
    const redrawn = { mu: 1, redrawEvery: 2, coordinates: Uint32Array.of(1) };
    assert.throws(() => cge(redrawn), /either coordinates or redrawEvery, received both/);
    const wrong: [object, RegExp][] = [
      [{ mu: 1e-60 }, /mu to be a finite number > 0 that float32 can hold, received 1e-60/],
      [{ sparsity: null }, /sparsity to be a number >= 0 and < 1, received null/],
      [{ ratios: null }, /ratios to be an object, received null/],
      [{ ratios: { 'fc.weight': 0 }, sparsity: 0.5 }, /either ratios or sparsity, received both/],
      [{ ratios: { 'fc.weight': '0.5' } }, /ratios\["fc\.weight"\] to be a number from 0 to 1, received "0\.5"/],
      [{ coordinates: null }, /coordinates to be a Uint32Array .* received null/],
      [{ coordinates: [1.7, 'x'] }, /coordinates to be a Uint32Array .* received \[1\.7, "x"\]/],
    ];
    for (const [options, message] of wrong) {
      assert.throws(() => cge({ mu: 1, ...options }), { name: 'InvalidArgumentError', message });
    }
    const twice = gradientOf(cge({ mu: 1, coordinates: Uint32Array.of(9, 4, 9, 1) }));
    await assert.rejects(twice, /coordinates to be unique, received 9 again at index 2/);
    await assert.rejects(
      gradientOf(cge({ mu: 1, coordinates: Uint32Array.of(99) })),
      /below 99, the number of parameters, received 99/,
    );
  });
});

describe('rge', () => {
  const many = { mu: 1e-3, queries: 20_000, central: true } as const;

  for (const distribution of ['gaussian', 'sphere', 'rademacher'] as const) {
    for (const perTensor of [false, true]) {
      it(`is the gradient on average, scaled to be unbiased: ${distribution}${perTensor ? ', per tensor' : ''}`, async () => {
        const { model, batch: images, gradient } = quadratic();
        const estimator = rge({ ...many, distribution, perTensor, scale: 'unbiased' });
        // √(d/q) = 0.024 for d = 12.
        assertClose((await estimator.estimate(model, images, POSITION)).gradient, gradient, 0.06);
      });
    }
  }

  it('has no factor by default: 1/d of the gradient on the sphere, 1/n of it in each tensor of n', async () => {
    const { model, batch: images, gradient } = quadratic();
    const paper = async (perTensor: boolean): Promise<ArrayLike<number>> =>
      (await rge({ ...many, distribution: 'sphere', perTensor }).estimate(model, images, POSITION)).gradient;
    assertClose(
      await paper(false),
      gradient.map((value) => value / 12),
      0.06,
    );
    assertClose(
      await paper(true),
      gradient.map((value) => value / 6),
      0.06,
    );
  });

  it('one-sided approaches the directional derivatives of central as μ → 0', async () => {
    const { model, batch: images } = quadratic();
    const draw = { queries: 5, distribution: 'gaussian' } as const;
    const central = await rge({ ...draw, mu: 1e-2, central: true }).estimate(model, images, POSITION);
    const fine = await rge({ ...draw, mu: 1e-3 }).estimate(model, images, POSITION);
    const coarse = await rge({ ...draw, mu: 1 }).estimate(model, images, POSITION);
    assertClose(fine.gradient, central.gradient, 0.02);
    assert.throws(() => {
      assertClose(coarse.gradient, central.gradient, 0.02);
    });
  });

  it('draws its directions from seed and step alone, the same on one thread and two', async () => {
    const estimator = rge({ mu: 5e-3, queries: 7 });
    const at = async (step: number, seed: number, threads: number): Promise<string> =>
      bits(await gradientOf(estimator, { threads, position: { seed, step, epoch: 0 } }));
    const first = await at(3, 1, 1);
    assert.equal(await at(3, 1, 2), first);
    assert.notEqual(await at(4, 1, 1), first);
    assert.notEqual(await at(3, 2, 1), first);
  });

  it('refuses a step that no loss hears of', async () => {
    for (const perTensor of [false, true]) {
      await gradientOf(rge({ mu: 1e-12, queries: 20, perTensor }));
      await assert.rejects(gradientOf(rge({ mu: 1e-12, queries: 20, perTensor, reuse: 'none' })), {
        name: 'InvalidArgumentError',
        message:
          'Expected mu to be large enough to change the loss along a random direction in float32, received 1e-12',
      });
    }
  });

  it('refuses a loss that does not depend on the parameters', async () => {
    // Labels of one class: its probability is 1 whatever the output.
    const layers = [flatten(), linear({ name: 'fc', features: 1 })];
    using model = new Model({ name: 'one', input: [1, 1, 1], layers });
    const images = { images: new Float32Array(4), count: 4, labels: new Int32Array(4) };
    for (const estimator of [rge({ mu: 1e-3, queries: 3 }), forwardGradient({ queries: 3 })]) {
      await assert.rejects(
        estimator.estimate(model, images, POSITION),
        /^InvalidArgumentError: Expected the loss to change along a random direction, received the same loss along all of 3/,
      );
    }
  });

  it('refuses options that are wrong', () => {
    assert.throws(() => rge({ mu: 1, queries: 2 ** 31 }), /queries to be an integer .* received 2147483648/);
    assert.throws(() => rge({ mu: -1, queries: 1 }), /mu to be a finite number > 0 that float32 can hold, received -1/);
    assert.throws(() => rge({ mu: 1, queries: 0 }), /queries to be an integer from 1 to 2147483647, received 0/);
    assert.throws(() => rge({ mu: 1, queries: 1, distribution: 'normal' as 'sphere' }), /distribution to be one of/);
    assert.throws(() => rge({ mu: 1, queries: 1, scale: 'd' as 'paper' }), /scale to be one of paper, unbiased/);
  });
});

function closeTo(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++) {
    assert.ok(
      Math.abs(actual[i]! - expected[i]!) <= 1e-5 * (1 + Math.abs(expected[i]!)),
      `${actual[i]} ${expected[i]}`,
    );
  }
}

describe('an estimate', () => {
  const estimators: [string, Estimator][] = [
    ['cge', cge({ mu: 5e-3 })],
    ['central cge', cge({ mu: 5e-3, central: true })],
    ['sparse cge', cge({ mu: 5e-3, sparsity: 0.6 })],
    ['rge', rge({ mu: 5e-3, queries: 9 })],
    ['central rge', rge({ mu: 5e-3, queries: 9, central: true })],
    ['first-order', firstOrder()],
    ['sparse first-order', firstOrder({ sparsity: 0.6 })],
    ['forward gradient', forwardGradient({ queries: 9 })],
    ['pattern search', patternSearch({ radius: 0.05, queries: 9 })],
  ];
  for (const [name, estimator] of estimators) {
    it(`makes the queries it says and no more: ${name}`, async () => {
      using model = new Model(tinyNetwork());
      assert.equal((await estimator.estimate(model, batch, POSITION)).queries, estimator.queriesPerStep(model));
      const sample = estimator.sample(6);
      assert.ok(sample.queriesPerStep(model) <= 6);
      assert.equal((await sample.estimate(model, batch, POSITION)).queries, sample.queriesPerStep(model));
      assert.equal(estimator.sample(1e6).queriesPerStep(model), estimator.queriesPerStep(model));
    });

    it(`has the unperturbed loss, outputs and statistics, and leaves the model as it is: ${name}`, async () => {
      using model = new Model(tinyNetwork());
      const before = [bits(model.parameters), bits(model.statistics)];
      const base = await model.forward(batch, { training: true });
      const estimate = await estimator.estimate(model, batch, POSITION);
      // The pass that queries start from is computed in double.
      closeTo([estimate.loss], [base.loss]);
      closeTo(estimate.outputs!, base.outputs);
      closeTo(estimate.statistics!, base.statistics);
      assert.deepEqual([bits(model.parameters), bits(model.statistics)], before);
    });
  }

  it('whose loss is not finite rejects with step and coordinate, and leaves the parameters', async () => {
    const { model, batch } = quadratic();
    const images = { ...batch, images: batch.images.map((x) => 1000 * x) };
    const before = bits(model.parameters);
    const coordinates = Uint32Array.of(7);
    const position = { seed: 1, step: 12, epoch: 3 };
    await assert.rejects(cge({ mu: 3e38, coordinates }).estimate(model, images, position), {
      name: 'NonFiniteLossError',
      message:
        /^At step 12: expected a finite loss, but it is NaN or infinite with sum\.b\.weight\[1\] moved by mu = 3e\+38; lower mu/,
      step: 12,
      coordinate: { name: 'sum.b.weight', index: 1 },
    });
    await assert.rejects(rge({ mu: 3e38, queries: 1 }).estimate(model, images, position), {
      name: 'NonFiniteLossError',
      message: /along random direction 0 with mu = 3e\+38/,
      step: 12,
      coordinate: null,
    });
    assert.equal(bits(model.parameters), before);
  });

  it('that subtracts losses refuses a step that float32 would lose', async () => {
    using model = new Model(tinyNetwork());
    const gamma = Uint32Array.of(model.parameterIndex({ name: 'bn.weight', index: 2 }));
    for (const reuse of ['none', 'layer'] as const) {
      await assert.rejects(cge({ mu: 1e-8, coordinates: gamma, reuse }).estimate(model, batch, POSITION), {
        name: 'InvalidArgumentError',
        message: 'Expected mu to be large enough to move bn.weight[2] = 1 in float32, received 1e-8',
      });
    }
    const { gradient } = await cge({ mu: 1e-6, coordinates: gamma, reuse: 'layer' }).estimate(model, batch, POSITION);
    assert.ok(gradient.every(Number.isFinite));
  });

  it('that is aborted leaves the parameters', async () => {
    using model = new Model(tinyNetwork());
    const before = bits(model.parameters);
    const controller = new AbortController();
    const onProgress = (): void => {
      controller.abort();
    };
    const endless = rge({ mu: 5e-3, queries: 2 ** 20 });
    const call = endless.estimate(model, batch, { ...POSITION, signal: controller.signal, onProgress });
    await assert.rejects(call, { name: 'AbortError' });
    assert.equal(bits(model.parameters), before);
  });
});
