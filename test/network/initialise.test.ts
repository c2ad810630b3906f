import assert from 'node:assert/strict';

import { compile } from '../../lib/network/compile.js';
import { batchNorm, conv2d, flatten, linear, relu } from '../../lib/network/description.js';
import type { Layer } from '../../lib/network/description.js';
import { initialise } from '../../lib/network/initialise.js';
import { cnn } from '../../lib/network/cnn.js';
import { resnet, resnet20 } from '../../lib/network/resnet.js';

function moments(values: Float32Array): { mean: number; deviation: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, deviation: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) };
}

describe('initialise', () => {
  it('draws weights from N(0, 2/fan_in), within four standard errors', () => {
    const compiled = compile(resnet20());
    const { parameters } = initialise(compiled, 3);
    for (const { name, kind, shape, offset, size } of compiled.parameters) {
      if (kind !== 'weight') continue;
      const { mean, deviation } = moments(parameters.subarray(offset, offset + size));
      const expected = Math.sqrt(2 / shape.slice(1).reduce((product, extent) => product * extent, 1));
      assert.ok(Math.abs(mean) < (4 * expected) / Math.sqrt(size), `${name}: mean ${mean}`);
      assert.ok(Math.abs(deviation / expected - 1) < 4 / Math.sqrt(2 * size), `${name}: ${deviation}, not ${expected}`);
    }
  });

  it('draws biases uniformly from ±1/√fan_in', () => {
    const layers: Layer[] = [
      conv2d({ name: 'conv', channels: 500, kernel: [3, 5] }),
      flatten(),
      linear({ name: 'fc', features: 400 }),
    ];
    const compiled = compile({ name: 'biases', input: [2, 4, 5], layers });
    const { parameters } = initialise(compiled, 0);
    const bounds = { 'conv.bias': 1 / Math.sqrt(2 * 3 * 5), 'fc.bias': 1 / Math.sqrt(500 * 2 * 1) };
    for (const [name, bound] of Object.entries(bounds)) {
      const { offset, size } = compiled.parameters.find((tensor) => tensor.name === name)!;
      const values = parameters.subarray(offset, offset + size);
      assert.ok(values.every((value) => Math.abs(value) <= bound));
      assert.ok(Math.max(...values) > 0.95 * bound && Math.min(...values) < -0.95 * bound);
      assert.ok(Math.abs(moments(values).deviation / (bound / Math.sqrt(3)) - 1) < 0.1);
    }
  });

  it('starts batch norm as the identity', () => {
    const compiled = compile(cnn({ depth: 2 }));
    const { parameters, statistics } = initialise(compiled, 0);
    for (const { kind, offset, size } of compiled.parameters) {
      const values = parameters.subarray(offset, offset + size);
      if (kind === 'gamma') assert.ok(values.every((value) => value === 1));
      if (kind === 'beta') assert.ok(values.every((value) => value === 0));
    }
    assert.equal(statistics.length, compiled.statisticsCount);
    for (const { name, offset, size } of compiled.statistics) {
      const expected = name.endsWith('running_var') ? 1 : 0;
      assert.ok(statistics.subarray(offset, offset + size).every((value) => value === expected));
    }
  });

  it('is a function of the seed', () => {
    const compiled = compile(resnet({ depth: 8, width: 2 }));
    assert.deepEqual(initialise(compiled, 7), initialise(compiled, 7));
    assert.notDeepEqual(initialise(compiled, 7).parameters, initialise(compiled, 8).parameters);
    assert.throws(() => initialise(compiled, -1), {
      message: 'Expected seed to be an integer from 0 to 9007199254740991, received -1',
    });
  });

  it('draws every tensor on its own: equal tensors differ, and later layers change no earlier one', () => {
    const layers: Layer[] = [
      conv2d({ channels: 3, kernel: 3, padding: 1 }),
      batchNorm(),
      relu(),
      conv2d({ channels: 3, kernel: 3, padding: 1 }),
    ];
    const long = initialise(compile({ name: 'long', input: [3, 8, 8], layers }), 1).parameters;
    const short = initialise(compile({ name: 'short', input: [3, 8, 8], layers: layers.slice(0, 2) }), 1).parameters;
    assert.deepEqual(long.subarray(0, short.length), short);
    assert.notDeepEqual(long.subarray(short.length, short.length + 81), long.subarray(0, 81));
  });
});
