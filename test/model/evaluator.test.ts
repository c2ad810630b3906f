import assert from 'node:assert/strict';
import { Model } from '../../lib/model/model.js';
import { NonFiniteLossError } from '../../lib/model/non-finite.js';
import { native } from '../../lib/native/addon.js';
import { leakyRelu, linear, tanh } from '../../lib/network/description.js';
import { bits, tinyNetwork, tinyTensors, whole } from '../helpers/tiny.js';

describe('the evaluator', () => {
  it('applies leakyRelu and tanh', async () => {
    const layers = [linear({ features: 4, bias: false }), leakyRelu({ slope: 0.25 }), tanh()];
    using model = new Model({ name: 'bent', input: [1, 1, 1], layers }, { loss: 'mean-squared-error' });
    model.parameters.set([-2, 0, 0.5, 20]);
    const outputs = await model.predict(Float32Array.of(1));
    [Math.tanh(-0.5), 0, Math.tanh(0.5), 1].forEach((expected, i) => {
      assert.ok(Math.abs(outputs[i]! - expected) < 1e-7, `${outputs[i]}, not ${expected}`);
    });
  });

  it('names the image that holds a value that is not finite', async () => {
    using model = new Model(tinyNetwork());
    const coordinates = Uint32Array.of(1);
    const spoilt = whole(tinyTensors(12));
    const size = spoilt.images.length / 12;
    spoilt.images[7 * size + 5] = NaN;
    const before = bits(model.parameters);
    for (const call of [
      model.forward(spoilt, { training: true }),
      model.coordinatewise(spoilt, { mu: 0.1, coordinates }),
      model.gradient(spoilt),
    ]) {
      await assert.rejects(call, (error) => {
        assert.ok(error instanceof NonFiniteLossError);
        assert.match(error.message, /: image 7 of the batch holds NaN at 5 of its 128 values$/);
        return true;
      });
    }
    assert.equal(bits(model.parameters), before);
  });

  it('lets the error that ends its scope through, though its buffers cannot be freed', () => {
    const property = Object.getOwnPropertyDescriptor(native, 'Network')!;
    const first = new Error('of the scope');
    const stubborn = function () {
      return {
        release: () => {
          throw new Error('of the disposal');
        },
      };
    };
    Object.defineProperty(native, 'Network', { ...property, get: () => stubborn });
    try {
      const scope = (): void => {
        using model = new Model(tinyNetwork());
        assert.ok(model);
        throw first;
      };
      assert.throws(scope, (error) => error === first);
    } finally {
      Object.defineProperty(native, 'Network', property);
    }
  });
});
