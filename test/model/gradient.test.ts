/**
 * The first-order gradient as users see it; its numbers are compared with the reference in
 * `test/native/gradient_test.cpp`.
 *
 * @module
 */
import assert from 'node:assert/strict';
import { cosineSimilarity } from '../../lib/estimators/gradcheck.js';
import type { ModelOptions } from '../../lib/model/model.js';
import { Model } from '../../lib/model/model.js';
import type { Network } from '../../lib/network/description.js';
import { conv2d, flatten, leakyRelu, linear, maxPool, residual, tanh } from '../../lib/network/description.js';
import { resnet } from '../../lib/network/resnet.js';
import { bilinearNetwork, bits, tinyNetwork, tinyTensors, whole } from '../helpers/tiny.js';

const batch = whole(tinyTensors(37));

/** The flat indices of each layer's parameters. */
function layersOf({ compiled }: Model): Map<string, number[]> {
  const layers = new Map<string, number[]>();
  for (const { name, offset, size } of compiled.parameters) {
    const layer = name.replace(/\.[^.]*$/, '');
    const own = Array.from({ length: size }, (_, i) => offset + i);
    layers.set(layer, [...(layers.get(layer) ?? []), ...own]);
  }
  return layers;
}

const bent: Network = {
  name: 'leakyRelu and tanh',
  input: [2, 8, 8],
  layers: [
    conv2d({ channels: 3, kernel: 3, padding: 1 }),
    leakyRelu({ slope: 0.2 }),
    maxPool({ kernel: 2 }),
    tanh(),
    residual({ body: [conv2d({ channels: 3, kernel: 1 }), tanh()] }),
    flatten(),
    linear({ features: 4 }),
    leakyRelu(),
    linear({ features: 3 }),
  ],
};

describe('Model.gradient', () => {
  for (const network of [tinyNetwork(), resnet({ depth: 8, width: 2, input: [2, 8, 8] }), bent]) {
    it(`is what CGE comes to as mu goes to 0, in every layer of ${network.name}`, async () => {
      using model = new Model(network, { seed: 2 });
      const { values } = await model.gradient(batch, { precision: 'double' });
      const coordinates = Uint32Array.from({ length: model.parameterCount }, (_, i) => i);
      const worst: number[] = [];
      for (const mu of [1e-1, 1e-3, 1e-5]) {
        const cge = (await model.coordinatewise(batch, { mu, coordinates })).values;
        const of = (list: Float64Array, at: number[]): Float64Array => Float64Array.from(at, (flat) => list[flat]!);
        const cosines = [...layersOf(model).values()].map((at) => cosineSimilarity(of(cge, at), of(values, at)));
        worst.push(1 - Math.min(...cosines));
      }
      assert.ok(worst[0]! > worst[1]! && worst[1]! > worst[2]!, worst.join());
      assert.ok(worst[0]! > 1e-4 && worst[2]! < 1e-8, worst.join());
    });
  }

  it('is exact on a quadratic', async () => {
    using model = new Model(bilinearNetwork(2, 1), { loss: 'mean-squared-error' });
    model.parameters.set([1, -2, 0.5, 3]);
    const data = { images: Float32Array.of(2, 1), count: 1, targets: Float32Array.of(0) };
    // y = 1.5·2 + 1·1 = 4 and ℓ = y², so along w it is 2·y·x.
    for (const precision of ['single', 'double'] as const) {
      const { loss, values } = await model.gradient(data, { precision });
      assert.equal(loss, 16);
      assert.deepEqual([...values], [16, 8, 16, 8]);
    }
    const at = Float32Array.of(1, 0, 0, 0);
    assert.deepEqual([...(await model.gradient(data, { at })).values], [8, 4, 8, 4]);
  });

  it('comes with the evaluation of the pass, in training mode unless told otherwise', async () => {
    using model = new Model(tinyNetwork());
    for (const training of [true, false]) {
      const { values, ...rest } = await model.gradient(batch, training ? {} : { training });
      const { accuracy, ...expected } = await model.forward(batch, { training });
      assert.deepEqual(rest, expected);
      assert.equal(values.length, 99);
      assert.ok(accuracy! >= 0);
    }
  });

  it('has the same bits for any number of threads and within any memory, and is nearly the same in float32', async () => {
    const gradient = async (options: ModelOptions, precision: 'single' | 'double') => {
      using model = new Model(tinyNetwork(), options);
      return (await model.gradient(batch, { precision })).values;
    };
    for (const precision of ['single', 'double'] as const) {
      const expected = bits(await gradient({ threads: 1 }, precision));
      assert.equal(bits(await gradient({ threads: 3 }, precision)), expected);
      assert.equal(bits(await gradient({ threads: 3, memory: 1e8 }, precision)), expected);
    }
    const [single, double] = [await gradient({}, 'single'), await gradient({}, 'double')];
    assert.notEqual(bits(single), bits(double));
    assert.ok(1 - cosineSimilarity(single, double) < 1e-10);
  });

  it('refuses what is wrong, and stops when told to', async () => {
    using model = new Model(tinyNetwork());
    const before = bits(model.parameters);
    const refused: [object, RegExp][] = [
      [{ precision: 'half' }, /precision to be one of single, double, received "half"/],
      [{ training: 1 }, /training to be true or false, received 1/],
      [{ at: new Float32Array(98) }, /at to be a Float32Array of 99, the parameters/],
      [{ presicion: 'single' }, /"presicion" in gradient; did you mean "precision"\?/],
      [{ signal: 1 }, /signal to be an AbortSignal/],
    ];
    for (const [options, message] of refused) await assert.rejects(model.gradient(batch, options), message);
    await assert.rejects(model.gradient(batch, { signal: AbortSignal.abort() }), { name: 'AbortError' });
    const controller = new AbortController();
    const call = model.gradient(whole(tinyTensors(20_000)), { precision: 'double', signal: controller.signal });
    controller.abort();
    await assert.rejects(call, { name: 'AbortError' });
    assert.equal(bits(model.parameters), before);
    const spoilt = { ...batch, images: batch.images.with(3, NaN) };
    await assert.rejects(model.gradient(spoilt), { name: 'NonFiniteLossError', coordinate: null });
  });
});
