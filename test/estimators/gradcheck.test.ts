import assert from 'node:assert/strict';
import { gradcheck } from '../../lib/estimators/gradcheck.js';
import { Model } from '../../lib/model/model.js';
import { cnn } from '../../lib/network/cnn.js';
import { resnet } from '../../lib/network/resnet.js';
import { Random } from '../../lib/native/random.js';
import { bilinearNetwork, tinyImages, tinyNetwork, tinyTensors, whole } from '../helpers/tiny.js';

const batch = whole(tinyTensors(20));

describe('gradcheck', () => {
  for (const network of [
    tinyNetwork(),
    cnn({ depth: 2, channels: 3, classes: 3, input: [2, 8, 8] }),
    resnet({ depth: 8, width: 4, input: [2, 8, 8] }),
  ]) {
    for (const central of [false, true]) {
      it(`finds the engine within 1e-5 of double precision: ${network.name}${central ? ', central' : ''}`, async () => {
        using model = new Model(network, { seed: 1 });
        const coordinates = new Random(1, 'mask').sample(model.parameterCount, 40);
        const { relativeError, cosine, loss } = await gradcheck(model, batch, { mu: 5e-3, coordinates, central });
        assert.ok(relativeError <= 1e-5, `${relativeError}`);
        assert.ok(cosine > 0.999999999, `${cosine}`);
        const base = await model.forward(batch, { training: true });
        assert.ok(Math.abs(loss - base.loss) < 1e-6 * base.loss);
      });
    }
  }

  it('reports the difference of the two lists as relative error and cosine', async () => {
    using model = new Model(tinyNetwork());
    const { entries, relativeError, cosine } = await gradcheck(model, batch, {
      mu: 1e-4,
      coordinates: Uint32Array.of(3, 75, 90),
    });
    const sum = (of: (entry: { cge: number; reference: number }) => number): number =>
      entries.reduce((total, entry) => total + of(entry), 0);
    const squares = sum(({ reference }) => reference ** 2);
    const close = (a: number, b: number): void => {
      assert.ok(Math.abs(a - b) < 1e-9 * Math.abs(b), `${a} ${b}`);
    };
    close(relativeError, Math.sqrt(sum(({ cge, reference }) => (cge - reference) ** 2) / squares));
    close(cosine, sum(({ cge, reference }) => cge * reference) / Math.sqrt(squares * sum(({ cge }) => cge ** 2)));
  });

  it('gives the first-order gradient at the coordinates, and its cosine with CGE, which goes to 1 with mu', async () => {
    using model = new Model(tinyNetwork(), { seed: 1 });
    const coordinates = new Random(1, 'mask').sample(model.parameterCount, 40);
    const { values } = await model.gradient(batch, { precision: 'double' });
    const short: number[] = [];
    for (const mu of [1e-1, 1e-3, 1e-5]) {
      const { entries, firstOrderCosine } = await gradcheck(model, batch, { mu, coordinates });
      assert.deepEqual(
        entries.map(({ firstOrder }) => firstOrder),
        Array.from(coordinates, (flat) => values[flat]),
      );
      short.push(1 - firstOrderCosine);
    }
    assert.ok(short[0]! > 10 * short[1]! && short[1]! > 10 * short[2]! && short[2]! < 1e-6, short.join());
  });

  it('is exact in the reference on a quadratic', async () => {
    using model = new Model(bilinearNetwork(2, 1), { loss: 'mean-squared-error' });
    model.parameters.set([1, -2, 0.5, 3]);
    const images = Float32Array.of(2, 1);
    // y = 1.5·2 + 1·1 = 4 and ℓ = y², so the difference along w is 2·y·x + μx².
    const { entries } = await gradcheck(
      model,
      { images, count: 1, targets: Float32Array.of(0) },
      { mu: 0.5, coordinates: Uint32Array.of(0, 1, 2, 3) },
    );
    const expected = [2 * 4 * 2 + 0.5 * 4, 2 * 4 + 0.5, 2 * 4 * 2 + 0.5 * 4, 2 * 4 + 0.5];
    entries.forEach(({ reference }, i) => {
      assert.ok(Math.abs(reference - expected[i]!) < 1e-12);
    });
  });

  it('takes coordinates by name or flat, in any order', async () => {
    using model = new Model(tinyNetwork());
    const named = [
      { name: 'fc.bias', index: 1 },
      { name: 'conv.weight', index: 17 },
    ];
    const byName = await gradcheck(model, batch, { mu: 5e-3, coordinates: named });
    assert.deepEqual(
      byName.entries.map(({ name, index }) => ({ name, index })),
      named,
    );
    assert.deepEqual(await gradcheck(model, batch, { mu: 5e-3, coordinates: Uint32Array.of(97, 17) }), byName);
  });

  it('refuses what it cannot check', async () => {
    using model = new Model(tinyNetwork());
    const run = (coordinates: { name: string; index: number }[], mu = 5e-3): Promise<unknown> =>
      gradcheck(model, batch, { mu, coordinates });
    await assert.rejects(run([]), /coordinates to be a Uint32Array with at least one/);
    await assert.rejects(
      run([{ name: 'conv.weigth', index: 0 }]),
      /Unknown tensor "conv.weigth"; did you mean "conv.weight"\?/,
    );
    await assert.rejects(
      run([{ name: 'fc.bias', index: 3 }]),
      /index into fc.bias to be an integer from 0 to 2, received 3/,
    );
    await assert.rejects(
      run([
        { name: 'fc.bias', index: 2 },
        { name: 'fc.bias', index: 2 },
      ]),
      /coordinates to be unique, received 98 again at index 1/,
    );
    await assert.rejects(
      run([{ name: 'fc.bias', index: 2 }], 0),
      /mu to be a finite number > 0 that float32 can hold, received 0/,
    );
    await assert.rejects(
      gradcheck(model, whole(tinyImages(2)), { mu: 1, coordinates: Uint32Array.of(0), centre: true } as never),
      /Unknown option "centre"/,
    );
  });
});
