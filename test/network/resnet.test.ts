import assert from 'node:assert/strict';

import { compile, programOf } from '../../lib/network/compile.js';
import { resnet, resnet20 } from '../../lib/network/resnet.js';

/** Convolutions, batch norms and the classifier, counted as the paper's table draws them. */
function parametersOf(blocks: number, width: number, classes: number): number {
  const layer = (inputs: number, outputs: number): number => 9 * inputs * outputs + 2 * outputs;
  let count = layer(3, width);
  for (const [inputs, outputs] of [
    [width, width],
    [width, 2 * width],
    [2 * width, 4 * width],
  ] as const) {
    count += layer(inputs, outputs) + (2 * blocks - 1) * layer(outputs, outputs);
  }
  return count + 4 * width * classes + classes;
}

describe('resnet', () => {
  it('has 269,722 parameters at depth 20 and width 16', () => {
    assert.equal(compile(resnet20()).parameterCount, 269_722);
    assert.deepEqual(resnet20(), resnet());
  });

  it('exists at every depth 6n + 2 and every even width', () => {
    for (const [depth, width, classes] of [
      [8, 2, 10],
      [14, 6, 3],
      [32, 16, 100],
      [56, 4, 1],
    ] as const) {
      const network = compile(resnet({ depth, width, classes }));
      assert.equal(network.parameterCount, parametersOf((depth - 2) / 6, width, classes));
      assert.equal(network.outputs, classes);
      const weights = network.parameters.filter(({ maskable }) => maskable);
      assert.equal(weights.length, depth);
    }
  });

  it("calls and orders its tensors as PyTorch's state_dict does", () => {
    const norm = (name: string): string[] => [`${name}.weight`, `${name}.bias`];
    const blocks = [1, 2, 3].flatMap((stage) => [0, 1, 2].map((i) => `layer${stage}.${i}`));
    const expected = [
      'conv1.weight',
      ...norm('bn1'),
      ...blocks.flatMap((block) => [
        `${block}.conv1.weight`,
        ...norm(`${block}.bn1`),
        `${block}.conv2.weight`,
        ...norm(`${block}.bn2`),
      ]),
      ...norm('fc'),
    ];
    const { parameters, statistics } = compile(resnet20());
    assert.deepEqual(
      parameters.map(({ name }) => name),
      expected,
    );
    const norms = expected.filter((name) => /bn\d\.weight$/.test(name)).map((name) => name.replace('.weight', ''));
    assert.deepEqual(
      statistics.map(({ name }) => name),
      norms.flatMap((name) => [`${name}.running_mean`, `${name}.running_var`]),
    );
  });

  it('has the shapes of 16, 32 and 64 channels on maps of 32, 16 and 8', () => {
    const shapes = new Map(compile(resnet20()).parameters.map(({ name, shape }) => [name, shape]));
    assert.deepEqual(shapes.get('conv1.weight'), [16, 3, 3, 3]);
    assert.deepEqual(shapes.get('layer1.2.conv2.weight'), [16, 16, 3, 3]);
    assert.deepEqual(shapes.get('layer2.0.conv1.weight'), [32, 16, 3, 3]);
    assert.deepEqual(shapes.get('layer3.0.conv1.weight'), [64, 32, 3, 3]);
    assert.deepEqual(shapes.get('fc.weight'), [10, 64]);
    const network = resnet20();
    const trunk = { ...network, layers: network.layers.slice(0, -2) };
    assert.deepEqual(compile(trunk).outputShape, [64, 8, 8]);
  });

  it('reduces by option A where stages begin, and adds the input itself elsewhere', () => {
    const { operations } = programOf(resnet20());
    const shortcuts = operations.filter((operation) => operation.kind === 'optionA');
    assert.deepEqual(
      shortcuts.map(({ channels, stride }) => [channels, stride]),
      [
        [32, 2],
        [64, 2],
      ],
    );
    const additions = operations.flatMap((operation) => (operation.kind === 'add' ? [operation.inputs] : []));
    assert.equal(additions.length, 9);
    for (const [body, around] of additions) {
      const shortcut = operations[around - 1];
      assert.equal(operations[body - 1]?.kind, 'batchNorm');
      assert.ok(shortcut?.kind === 'relu' || shortcut?.kind === 'optionA');
    }
    assert.equal(operations.filter(({ kind }) => kind === 'relu').length, 19);
  });

  it('refuses options that make no network', () => {
    const depths = '6n + 2 from 8 to 1202 (8, 14, 20, 26, 32, 38, 44, 50, 56, …)';
    const refusals: [() => unknown, string][] = [
      [() => resnet({ depth: 21 }), `Expected depth to be ${depths}, received 21`],
      [() => resnet({ depth: 2 }), `Expected depth to be ${depths}, received 2`],
      [() => resnet({ depth: -4 }), `Expected depth to be ${depths}, received -4`],
      [() => resnet({ depth: '20' as never }), `Expected depth to be ${depths}, received "20"`],
      [() => resnet({ width: 15 }), 'Expected width to be an even integer from 2 to 262144, received 15'],
      [() => resnet({ width: 0 }), 'Expected width to be an even integer from 2 to 262144, received 0'],
      [() => resnet({ classes: 0 }), 'Expected classes to be an integer from 1 to 1048576, received 0'],
      [() => resnet({ depth: 2147483648 }), `Expected depth to be ${depths}, received 2147483648`],
      [() => resnet({ width: 2 ** 31 }), 'Expected width to be an even integer from 2 to 262144, received 2147483648'],
      [() => resnet({ input: [3, 32, 0] }), 'Expected input[2] to be an integer from 1 to 1048576, received 0'],
      [() => resnet({ dept: 20 } as never), 'Unknown option "dept" in resnet; did you mean "depth"?'],
      [() => resnet20({ depth: 56 } as never), 'Unknown option "depth" in resnet20; known are classes, input'],
    ];
    for (const [action, message] of refusals) assert.throws(action, { code: 'DEEPZERO_INVALID_ARGUMENT', message });
  });
});
