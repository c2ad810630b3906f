import assert from 'node:assert/strict';
import { firstOrder } from '../../lib/estimators/first-order.js';
import { forwardGradient } from '../../lib/estimators/forward-gradient.js';
import { rge } from '../../lib/estimators/rge.js';
import { Model } from '../../lib/model/model.js';
import { cnn } from '../../lib/network/cnn.js';
import { assertClose, quadratic } from '../helpers/quadratic.js';
import { bits, tinyNetwork, tinyTensors, whole } from '../helpers/tiny.js';

const POSITION = { seed: 1, step: 0, epoch: 0 };

describe('forwardGradient', () => {
  it('is the gradient on average, on a quadratic and on a network', async () => {
    const { model, batch, gradient } = quadratic();
    // √(d/q) = 0.024 for d = 12.
    const { gradient: mean } = await forwardGradient({ queries: 20_000 }).estimate(model, batch, POSITION);
    assertClose(mean, gradient, 0.06);
    using tiny = new Model(tinyNetwork(), { seed: 4 });
    const images = whole(tinyTensors(8));
    const exact = await firstOrder().estimate(tiny, images, POSITION);
    // √(d/q) = 0.07 for d = 99.
    const estimate = await forwardGradient({ queries: 20_000 }).estimate(tiny, images, POSITION);
    assertClose(estimate.gradient, exact.gradient, 0.15);
  });

  it('is the directional derivative times the direction, to 5e-6 of the length of the gradient', async () => {
    using model = new Model(cnn({ classes: 3, depth: 2, channels: 3, input: [2, 8, 8] }), { seed: 1 });
    const batch = whole(tinyTensors(5));
    const coordinates = Uint32Array.from({ length: model.parameterCount }, (_, i) => i);
    const exact = await model.reference(batch, { mu: 1e-6, central: true, coordinates });
    const length = Math.hypot(...exact.values);
    for (let step = 0; step < 20; step++) {
      const one = forwardGradient({ queries: 1, distribution: 'rademacher' });
      const { gradient } = await one.estimate(model, batch, { seed: 2, step, epoch: 0 });
      // Along a direction v of entries ±1 it is D·v, and its product with the exact gradient is D·(∇ℓ·v).
      const derivative = Math.abs(gradient[0]!);
      const expected = exact.values.reduce((sum, value, i) => sum + value * gradient[i]!, 0) / derivative;
      assert.ok(Math.abs(derivative - expected) <= 5e-6 * length, `${derivative} ${expected}`);
    }
  });

  it('has the directions, scale and lengths of RGE', async () => {
    const { model, batch } = quadratic();
    const position = { seed: 3, step: 5, epoch: 0 };
    for (const scale of ['paper', 'unbiased'] as const) {
      const options = { queries: 5, distribution: 'sphere', scale, perTensor: true } as const;
      const ours = await forwardGradient(options).estimate(model, batch, position);
      const central = await rge({ ...options, mu: 1e-2, central: true }).estimate(model, batch, position);
      assertClose(ours.gradient, central.gradient, 1e-4);
      assert.equal(ours.queries, 6);
    }
    const at = async (step: number): Promise<string> =>
      bits((await forwardGradient({ queries: 2 }).estimate(model, batch, { ...position, step })).gradient);
    assert.equal(await at(1), await at(1));
    assert.notEqual(await at(1), await at(2));
  });

  it('says what it is, and refuses options that are wrong', () => {
    const described = forwardGradient({ queries: 3 });
    const options = { queries: 3, distribution: 'gaussian', scale: 'paper', perTensor: false };
    assert.deepEqual(described.config, { kind: 'forward-gradient', ...options });
    assert.deepEqual(described.sample(2).config, described.config);
    assert.throws(() => forwardGradient({ queries: 0 }), /queries to be an integer from 1 to 2147483647, received 0/);
    assert.throws(() => forwardGradient({ queries: 1, mu: 1 } as never), /Unknown option "mu" in forwardGradient/);
    assert.throws(
      () => forwardGradient({ queries: 1, distribution: 'normal' as 'sphere' }),
      /distribution to be one of gaussian, sphere, rademacher, received "normal"/,
    );
  });
});
