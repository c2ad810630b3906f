import assert from 'node:assert/strict';

import { native } from '../../lib/native/addon.js';
import { cnn } from '../../lib/network/cnn.js';
import { compile, programOf } from '../../lib/network/compile.js';
import type { Layer, Network } from '../../lib/network/description.js';
import {
  averagePool,
  batchNorm,
  conv2d,
  flatten,
  globalAveragePool,
  leakyRelu,
  linear,
  maxPool,
  optionA,
  relu,
  residual,
  tanh,
} from '../../lib/network/description.js';
import { initialise } from '../../lib/network/initialise.js';
import { resnet, resnet20 } from '../../lib/network/resnet.js';

const network = (layers: Layer[], input: [number, number, number] = [3, 8, 8]): Network => ({
  name: 'test',
  input,
  layers,
});

/** How many positions a window has, by trying each. */
function countWindows(extent: number, kernel: number, stride: number, padding: number): number {
  let count = 0;
  for (let start = -padding; start + kernel <= extent + padding; start += stride) count++;
  return count;
}

const everyKind = network([
  conv2d({ name: 'stem', channels: 4, kernel: [3, 1], padding: 1, bias: false }),
  batchNorm({ eps: 1e-3 }),
  relu(),
  residual({
    name: 'block',
    body: [conv2d({ name: 'conv', channels: 8, kernel: 3, stride: 2, padding: 1 }), batchNorm(), leakyRelu()],
    shortcut: [optionA({ channels: 8, stride: 2 })],
  }),
  residual({
    body: [conv2d({ channels: 8, kernel: 1 }), batchNorm({ name: 'bn' })],
    shortcut: [batchNorm()],
  }),
  averagePool({ kernel: 2, stride: 1 }),
  maxPool({ kernel: 2 }),
  flatten(),
  linear({ features: 5 }),
  tanh(),
  linear({ name: 'fc', features: 2, bias: false }),
]);

describe('compile', () => {
  it('numbers values and fills in defaults', () => {
    assert.deepEqual(programOf(everyKind).operations, [
      { kind: 'conv2d', inputs: [0], channels: 4, kernel: [3, 1], stride: 1, padding: 1, bias: false },
      { kind: 'batchNorm', inputs: [1], eps: 1e-3 },
      { kind: 'relu', inputs: [2] },
      { kind: 'conv2d', inputs: [3], channels: 8, kernel: [3, 3], stride: 2, padding: 1, bias: true },
      { kind: 'batchNorm', inputs: [4], eps: 1e-5 },
      { kind: 'leakyRelu', inputs: [5], slope: 0.01 },
      { kind: 'optionA', inputs: [3], channels: 8, stride: 2 },
      { kind: 'add', inputs: [6, 7] },
      { kind: 'conv2d', inputs: [8], channels: 8, kernel: [1, 1], stride: 1, padding: 0, bias: true },
      { kind: 'batchNorm', inputs: [9], eps: 1e-5 },
      { kind: 'batchNorm', inputs: [8], eps: 1e-5 },
      { kind: 'add', inputs: [10, 11] },
      { kind: 'averagePool', inputs: [12], kernel: [2, 2], stride: 1 },
      { kind: 'maxPool', inputs: [13], kernel: 2, stride: 2 },
      { kind: 'flatten', inputs: [14] },
      { kind: 'linear', inputs: [15], features: 5, bias: true },
      { kind: 'tanh', inputs: [16] },
      { kind: 'linear', inputs: [17], features: 2, bias: false },
    ]);
  });

  it('makes a global average pool one of a window as large as the map', () => {
    const oblong = network([globalAveragePool()], [3, 4, 6]);
    const { outputShape } = compile(oblong);
    assert.deepEqual(programOf(oblong).operations, [{ kind: 'averagePool', inputs: [0], kernel: [4, 6], stride: 1 }]);
    assert.deepEqual(outputShape, [3, 1, 1]);
  });

  it('calls tensors by name, or by position where there is none, as PyTorch does', () => {
    const { parameters, statistics } = compile(everyKind);
    assert.deepEqual(
      parameters.map(({ name, shape, kind, maskable }) => [name, shape, kind, maskable]),
      [
        ['stem.weight', [4, 3, 3, 1], 'weight', true],
        ['1.weight', [4], 'gamma', false],
        ['1.bias', [4], 'beta', false],
        ['block.conv.weight', [8, 4, 3, 3], 'weight', true],
        ['block.conv.bias', [8], 'bias', false],
        ['block.body.1.weight', [8], 'gamma', false],
        ['block.body.1.bias', [8], 'beta', false],
        ['4.body.0.weight', [8, 8, 1, 1], 'weight', true],
        ['4.body.0.bias', [8], 'bias', false],
        ['4.bn.weight', [8], 'gamma', false],
        ['4.bn.bias', [8], 'beta', false],
        ['4.shortcut.0.weight', [8], 'gamma', false],
        ['4.shortcut.0.bias', [8], 'beta', false],
        // The stem leaves 8×10, the block 4×5 and the pools 3×4 and 1×2, of 8 channels.
        ['8.weight', [5, 16], 'weight', true],
        ['8.bias', [5], 'bias', false],
        ['fc.weight', [2, 5], 'weight', true],
      ],
    );
    assert.deepEqual(
      statistics.map(({ name, shape }) => [name, shape]),
      ['1', 'block.body.1', '4.bn', '4.shortcut.0'].flatMap((layer) => {
        const channels = layer === '1' ? 4 : 8;
        return [
          [`${layer}.running_mean`, [channels]],
          [`${layer}.running_var`, [channels]],
        ];
      }),
    );
  });

  it('lays tensors one behind the other', () => {
    for (const description of [everyKind, resnet20(), cnn()]) {
      const { parameters, statistics, parameterCount, statisticsCount } = compile(description);
      for (const [tensors, total] of [
        [parameters, parameterCount],
        [statistics, statisticsCount],
      ] as const) {
        let end = 0;
        for (const { offset, size, shape } of tensors) {
          assert.equal(offset, end);
          assert.equal(
            size,
            shape.reduce((product, extent) => product * extent, 1),
          );
          end += size;
        }
        assert.equal(end, total);
      }
    }
  });

  it('infers the map of every convolution, pool and option A that fits, and refuses those that do not', () => {
    let refused = 0;
    for (const [rows, columns] of [
      [1, 1],
      [5, 8],
      [9, 4],
    ] as const) {
      for (const kernel of [1, 2, 3, 5]) {
        for (const stride of [1, 2, 3]) {
          for (const padding of [0, 1, 2]) {
            const conv = network([conv2d({ channels: 2, kernel, stride, padding })], [3, rows, columns]);
            const shape = [
              2,
              countWindows(rows, kernel, stride, padding),
              countWindows(columns, kernel, stride, padding),
            ];
            if (shape.includes(0)) {
              refused++;
              assert.throws(
                () => compile(conv),
                /^InvalidArgumentError: layers\.0 \(conv2d\): Expected kernel to be at most /,
              );
            } else {
              assert.deepEqual(compile(conv).outputShape, shape);
            }
          }
          const shape = [3, countWindows(rows, kernel, stride, 0), countWindows(columns, kernel, stride, 0)];
          for (const layer of [maxPool({ kernel, stride }), averagePool({ kernel, stride })]) {
            const pool = network([layer], [3, rows, columns]);
            if (shape.includes(0))
              assert.throws(() => compile(pool), /layers\.0 \((max|average)Pool\): Expected kernel to be at most /);
            else assert.deepEqual(compile(pool).outputShape, shape);
          }
        }
      }
      for (const stride of [1, 2, 3]) {
        const { outputShape } = compile(network([optionA({ channels: 5, stride })], [3, rows, columns]));
        assert.deepEqual(outputShape, [5, countWindows(rows, 1, stride, 0), countWindows(columns, 1, stride, 0)]);
      }
    }
    assert.ok(refused > 0);
  });

  it('treats rows and columns apart', () => {
    const { outputShape, outputs } = compile(network([conv2d({ channels: 2, kernel: [1, 5], padding: 1 })], [1, 4, 6]));
    assert.deepEqual(outputShape, [2, 6, 4]);
    assert.equal(outputs, 48);
  });

  it('compiles the same after a trip through JSON, which leaves the description as it was', () => {
    const copy = structuredClone(everyKind);
    const compiled = compile(JSON.parse(JSON.stringify(everyKind)) as Network);
    assert.deepEqual(compiled, compile(everyKind));
    assert.deepEqual(everyKind, copy);
  });

  it('agrees with the native core on every count', async () => {
    const oblong = network([globalAveragePool()], [3, 4, 6]);
    const others = [resnet20(), resnet({ depth: 8, width: 2, classes: 3 }), cnn({ depth: 3 })];
    for (const description of [everyKind, oblong, ...others]) {
      const compiled = compile(description);
      const core = new native.Network(description.input, programOf(description).operations);
      // It refuses arrays of another length.
      const { outputs, statistics } = await core.evaluate({
        ...initialise(compiled, 1),
        images: new Float32Array(description.input.reduce((product, extent) => product * extent, 1)),
        targets: new Float32Array(compiled.outputs),
        count: 1,
        loss: 'mean-squared-error',
        training: false,
        threads: 1,
      }).promise;
      assert.deepEqual([outputs.length, statistics.length], [compiled.outputs, compiled.statisticsCount]);
      core.release();
    }
  });

  const conv = conv2d({ name: 'conv', channels: 4, kernel: 3, padding: 1 });
  const refusals: [what: string, layers: unknown, message: string][] = [
    ['no layers', [], 'Expected layers to be a non-empty array of layers, received []'],
    ['layers that are none', 'conv', 'Expected layers to be a non-empty array of layers, received "conv"'],
    [
      'a layer of unknown type',
      [conv, { type: 'conv' }],
      'layers.1: Expected type to be one of conv2d, batchNorm, relu, leakyRelu, tanh, maxPool, averagePool, globalAveragePool, flatten, linear, optionA, residual, received "conv"',
    ],
    [
      'a layer that is none',
      [null],
      'layers.0: Expected type to be one of conv2d, batchNorm, relu, leakyRelu, tanh, maxPool, averagePool, globalAveragePool, flatten, linear, optionA, residual, received undefined',
    ],
    [
      'a misspelled option',
      [{ type: 'conv2d', chanels: 3, kernel: 3 }],
      'layers.0 (conv2d): Unknown option "chanels" in conv2d; did you mean "channels"?',
    ],
    [
      'an option of a layer that has none',
      [{ type: 'relu', slope: 0.1 }],
      'layers.0 (relu): Unknown option "slope" in relu; known are type',
    ],
    [
      'a slope of 1',
      [leakyRelu({ slope: 1 })],
      'layers.0 (leakyRelu): Expected slope to be a number >= 0 and < 1, received 1',
    ],
    ['an empty name', [{ ...conv, name: '' }], 'layers.0: Expected name to be a non-empty string, received ""'],
    [
      'channels out of range',
      [relu(), { ...conv, channels: 0 }],
      'layers.1 (conv2d "conv"): Expected channels to be an integer from 1 to 1048576, received 0',
    ],
    [
      'a kernel of three sides',
      [{ ...conv, kernel: [3, 3, 3] }],
      'layers.0 (conv2d "conv"): Expected kernel to be a side or [rows, columns], each an integer from 1 to 1024, received [3, 3, 3]',
    ],
    [
      'a kernel larger than the padded map',
      [conv2d({ channels: 4, kernel: [3, 11], padding: 1 })],
      'layers.0 (conv2d): Expected kernel to be at most 10×10, the map with its padding, received [3, 11]',
    ],
    [
      'a stride of 0',
      [{ ...conv, stride: 0 }],
      'layers.0 (conv2d "conv"): Expected stride to be an integer from 1 to 1048576, received 0',
    ],
    [
      'a negative padding',
      [{ ...conv, padding: -1 }],
      'layers.0 (conv2d "conv"): Expected padding to be an integer from 0 to 1024, received -1',
    ],
    [
      'a bias that is no boolean',
      [{ ...conv, bias: 1 }],
      'layers.0 (conv2d "conv"): Expected bias to be true or false, received 1',
    ],
    [
      'an eps of 0',
      [batchNorm({ eps: 0 })],
      'layers.0 (batchNorm): Expected eps to be a finite number > 0, received 0',
    ],
    [
      'a pool larger than the map',
      [maxPool({ kernel: 8 }), maxPool({ kernel: 2 })],
      'layers.1 (maxPool): Expected kernel to be at most 1 on a map of 1×1, received 2',
    ],
    [
      'a pool with one side longer than the map',
      [conv2d({ channels: 4, kernel: [1, 6] }), averagePool({ kernel: 4 })],
      'layers.1 (averagePool): Expected kernel to be at most 3 on a map of 8×3, received 4',
    ],
    [
      'a pool without kernel',
      [{ type: 'averagePool' }],
      'layers.0 (averagePool): Expected kernel to be an integer >= 1, received undefined',
    ],
    [
      'a pool that does not move on',
      [averagePool({ kernel: 2, stride: 0 })],
      'layers.0 (averagePool): Expected stride to be an integer from 1 to 1048576, received 0',
    ],
    [
      'a window of a global average pool',
      [{ type: 'globalAveragePool', kernel: 2 }],
      'layers.0 (globalAveragePool): Unknown option "kernel" in globalAveragePool; known are type',
    ],
    [
      'a linear layer on a map',
      [conv, linear({ name: 'fc', features: 10 })],
      'layers.1 (linear "fc"): Expected a flat input, received a map of 4×8×8: add a globalAveragePool or flatten before',
    ],
    [
      'a linear layer without outputs',
      [globalAveragePool(), linear({ features: 0 })],
      'layers.1 (linear): Expected features to be an integer from 1 to 1048576, received 0',
    ],
    [
      'option A with an odd number of channels more',
      [optionA({ channels: 4, stride: 2 })],
      "layers.0 (optionA): Expected channels to be the input's 3 or an even number more, received 4",
    ],
    [
      'option A with fewer channels',
      [optionA({ channels: 1, stride: 1 })],
      "layers.0 (optionA): Expected channels to be the input's 3 or an even number more, received 1",
    ],
    [
      'branches of different shapes',
      [residual({ name: 'block', body: [conv], shortcut: [optionA({ channels: 5, stride: 2 })] })],
      'layers.0 (residual "block"): Expected body and shortcut to have the same shape, received 4×8×8 and 5×4×4',
    ],
    [
      'a body that changes the shape of what it is added to',
      [residual({ body: [conv] })],
      'layers.0 (residual): Expected body and input to have the same shape, received 4×8×8 and 3×8×8',
    ],
    [
      'a residual block without body',
      [conv, { type: 'residual', shortcut: [] }],
      'layers.1 (residual): Expected body to be a non-empty array of layers, received undefined',
    ],
    [
      'a shortcut that is no array',
      [{ type: 'residual', body: [relu()], shortcut: 'identity' }],
      'layers.0 (residual): Expected shortcut to be an array of layers, received "identity"',
    ],
    [
      'a bad layer deep inside',
      [residual({ name: 'a', body: [relu(), residual({ name: 'b', body: [{ ...conv, channels: 0.5 }] })] })],
      'layers.0.body.1.body.0 (conv2d "a.b.conv"): Expected channels to be an integer from 1 to 1048576, received 0.5',
    ],
    [
      'a name given twice',
      [conv, relu(), conv],
      'layers.2 (conv2d "conv"): Duplicate layer name "conv": already used by layers.0 (conv2d "conv")',
    ],
    [
      'a name that is the position of another',
      [batchNorm(), batchNorm({ name: '0' })],
      'layers.1 (batchNorm "0"): Duplicate layer name "0": already used by layers.0 (batchNorm)',
    ],
    [
      'a map too large for the core',
      [conv2d({ channels: 2 ** 20, kernel: 1, padding: 100 })],
      'layers.0 (conv2d): Expected a map of at most 268435456 numbers and 1048576 in any direction, received 1048576×208×208',
    ],
    [
      'more parameters than an index can name',
      [globalAveragePool(), linear({ features: 2 ** 20 }), linear({ features: 2 ** 12 })],
      'layers.2 (linear): Expected the number of parameters up to here to be at most 2147483647, received 4299165696',
    ],
  ];
  for (const [what, layers, message] of refusals) {
    it(`refuses ${what}`, () => {
      assert.throws(() => compile(network(layers as Layer[])), { code: 'DEEPZERO_INVALID_ARGUMENT', message });
    });
  }

  it('refuses a network without name, image shape or known keys', () => {
    const layers = [relu()];
    const cases: [unknown, string][] = [
      [undefined, 'Expected network to be an object, received undefined'],
      [{ input: [3, 8, 8], layers }, 'Expected name to be a non-empty string, received undefined'],
      [{ name: 'n', layers }, 'Expected input to be [channels, rows, columns], received undefined'],
      [{ name: 'n', input: [3, 8], layers }, 'Expected input to be [channels, rows, columns], received [3, 8]'],
      [{ name: 'n', input: [3, 8, -8], layers }, 'Expected input[2] to be an integer from 1 to 1048576, received -8'],
      [{ name: 'n', inputs: [3, 8, 8], layers }, 'Unknown option "inputs" in network; did you mean "input"?'],
    ];
    for (const [description, message] of cases) {
      assert.throws(() => compile(description as Network), { code: 'DEEPZERO_INVALID_ARGUMENT', message });
    }
  });
});
