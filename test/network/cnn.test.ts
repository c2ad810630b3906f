import assert from 'node:assert/strict';

import { cnn } from '../../lib/network/cnn.js';
import { compile } from '../../lib/network/compile.js';

describe('cnn', () => {
  it("has the paper's numbers of parameters", () => {
    const counts = [1, 2, 3, 4, 5].map((depth) => compile(cnn({ depth })).parameterCount);
    assert.deepEqual(counts, [730, 3700, 6670, 9640, 12610]);
  });

  it('calls its tensors as PyTorch does', () => {
    const { parameters, statistics } = compile(cnn({ depth: 2, channels: 4, classes: 3 }));
    assert.deepEqual(
      parameters.map(({ name, shape }) => [name, shape]),
      [
        ['conv_layers.0.weight', [4, 3, 3, 3]],
        ['conv_layers.0.bias', [4]],
        ['conv_layers.1.weight', [4]],
        ['conv_layers.1.bias', [4]],
        ['conv_layers.4.weight', [4, 4, 3, 3]],
        ['conv_layers.4.bias', [4]],
        ['conv_layers.5.weight', [4]],
        ['conv_layers.5.bias', [4]],
        ['fc.weight', [3, 4]],
        ['fc.bias', [3]],
      ],
    );
    assert.deepEqual(
      statistics.map(({ name }) => name),
      ['conv_layers.1', 'conv_layers.5'].flatMap((layer) => [`${layer}.running_mean`, `${layer}.running_var`]),
    );
  });

  it('compiles on every map that its depth leaves at least one pixel of', () => {
    for (const [side, depth] of [
      [32, 5],
      [63, 5],
      [64, 6],
      [7, 2],
    ] as const) {
      assert.equal(compile(cnn({ depth, input: [1, side, side + 3] })).outputs, 10);
      assert.throws(() => cnn({ depth: depth + 1, input: [1, side, side + 3] }), {
        message: `Expected depth to be an integer from 1 to ${depth}, received ${depth + 1}`,
      });
    }
  });

  it('refuses options that make no network', () => {
    const refusals: [() => unknown, string][] = [
      [() => cnn({ depth: 0 }), 'Expected depth to be an integer >= 1, received 0'],
      [() => cnn({ channels: 1.5 }), 'Expected channels to be an integer from 1 to 1048576, received 1.5'],
      [() => cnn({ classes: 0 }), 'Expected classes to be an integer from 1 to 1048576, received 0'],
      [() => cnn({ depth: 2 ** 31 }), 'Expected depth to be an integer from 1 to 5, received 2147483648'],
      [() => cnn({ channels: 2 ** 31 }), 'Expected channels to be an integer from 1 to 1048576, received 2147483648'],
      [() => cnn({ width: 18 } as never), 'Unknown option "width" in cnn; known are depth, channels, classes, input'],
      [() => cnn({ input: [3, 32] as never }), 'Expected input to be [channels, rows, columns], received [3, 32]'],
    ];
    for (const [action, message] of refusals) assert.throws(action, { code: 'DEEPZERO_INVALID_ARGUMENT', message });
  });
});
