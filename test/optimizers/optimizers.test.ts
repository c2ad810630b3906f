import assert from 'node:assert/strict';

import type { Optimizer } from '../../lib/optimizers/optimizers.js';
import { adam, sgd } from '../../lib/optimizers/optimizers.js';
import { cosine } from '../../lib/optimizers/schedules.js';

const { fround } = Math;

/** Applies `optimizer` with the gradients of successive steps and returns the parameters after each. */
function trajectory(
  optimizer: Optimizer,
  start: readonly number[],
  gradients: readonly number[][],
  lr: number,
): number[][] {
  const parameters = Float32Array.from(start);
  const state = optimizer.init(start.length);
  return gradients.map((gradient) => {
    optimizer.update(parameters, Float32Array.from(gradient), state, lr);
    return [...parameters];
  });
}

/** Numbers that repeat themselves never, a fifth of them zero, as a sparse gradient's. */
const wave = (count: number, steps: number): number[][] =>
  Array.from({ length: steps }, (_, t) =>
    Array.from({ length: count }, (_, i) => ((i + t) % 5 === 0 ? 0 : Math.sin(1 + i + 3 * t))),
  );

function assertClose(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  actual.forEach((value, i) => {
    const scale = Math.max(1, Math.abs(expected[i]!));
    assert.ok(Math.abs(value - expected[i]!) <= tolerance * scale, `[${i}]: ${value} is not ${expected[i]}`);
  });
}

interface SgdSettings {
  momentum: number;
  nesterov: boolean;
  weightDecay: number;
}

/** One parameter's way by the documented algorithm of torch.optim.SGD, rounded to float32 after each operation as there. */
function naiveSgd(start: number, gradients: readonly number[], lr: number, settings: SgdSettings): number[] {
  const { momentum, nesterov, weightDecay } = settings;
  let theta = fround(start);
  let buffer: number | undefined;
  return gradients.map((gradient) => {
    let g = fround(fround(gradient) + fround(weightDecay * theta));
    if (momentum !== 0) {
      buffer = buffer === undefined ? g : fround(fround(momentum * buffer) + g);
      g = nesterov ? fround(g + fround(momentum * buffer)) : buffer;
    }
    theta = fround(theta - fround(lr * g));
    return theta;
  });
}

interface AdamSettings {
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
}

/** The same for torch.optim.Adam. */
function naiveAdam(start: number, gradients: readonly number[], lr: number, settings: AdamSettings): number[] {
  const { beta1, beta2, eps, weightDecay } = settings;
  let theta = fround(start);
  let m = 0;
  let v = 0;
  return gradients.map((gradient, t) => {
    const g = fround(fround(gradient) + fround(weightDecay * theta));
    m = fround(fround(beta1 * m) + fround((1 - beta1) * g));
    v = fround(fround(beta2 * v) + fround((1 - beta2) * fround(g * g)));
    const denominator = fround(fround(fround(Math.sqrt(v)) / Math.sqrt(1 - beta2 ** (t + 1))) + eps);
    theta = fround(theta - fround((lr / (1 - beta1 ** (t + 1))) * fround(m / denominator)));
    return theta;
  });
}

function assertFollows(
  optimizer: Optimizer,
  naive: (start: number, gradients: number[]) => number[],
  lr: number,
): void {
  const start = Array.from({ length: 7 }, (_, i) => Math.cos(i));
  const gradients = wave(start.length, 60);
  const ours = trajectory(optimizer, start, gradients, lr);
  const theirs = start.map((value, i) =>
    naive(
      value,
      gradients.map((gradient) => gradient[i]!),
    ),
  );
  ours.forEach((parameters, t) => {
    assertClose(
      parameters,
      theirs.map((way) => way[t]!),
      5e-6,
    );
  });
}

describe('optimizers', () => {
  it('SGD takes the steps that one computes by hand', () => {
    const ones = [[1], [1], [1]];
    assert.deepEqual(trajectory(sgd({ lr: 1 }), [0], ones, 0.5), [[-0.5], [-1], [-1.5]]);
    assert.deepEqual(trajectory(sgd({ lr: 1, momentum: 0.5 }), [0], ones, 1), [[-1], [-2.5], [-4.25]]);
    assert.deepEqual(trajectory(sgd({ lr: 1, momentum: 0.5, nesterov: true }), [0], ones, 1), [
      [-1.5],
      [-3.25],
      [-5.125],
    ]);
    assert.deepEqual(trajectory(sgd({ lr: 1, weightDecay: 0.5 }), [1], [[0], [0], [1]], 1), [[0.5], [0.25], [-0.875]]);
  });

  const sgdSettings: SgdSettings[] = [
    { momentum: 0, nesterov: false, weightDecay: 0 },
    { momentum: 0, nesterov: false, weightDecay: 0.1 },
    { momentum: 0.9, nesterov: false, weightDecay: 5e-4 },
    { momentum: 0.9, nesterov: true, weightDecay: 5e-4 },
  ];
  for (const settings of sgdSettings) {
    it(`SGD follows PyTorch's algorithm with ${JSON.stringify(settings)}`, () => {
      assertFollows(
        sgd({ lr: 1, ...settings }),
        (start, gradients) => naiveSgd(start, gradients, 0.05, settings),
        0.05,
      );
    });
  }

  it('Adam moves by the learning rate at the first step, whatever the gradient', () => {
    const [after] = trajectory(adam({ lr: 1 }), [0, 0, 0, 0], [[1e-3, -7, 1e4, 0]], 0.125);
    assertClose(after!, [-0.125, 0.125, -0.125, 0], 2e-6);
  });

  const adamSettings: AdamSettings[] = [
    { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 },
    { beta1: 0.5, beta2: 0.9, eps: 1e-3, weightDecay: 0.1 },
    { beta1: 0, beta2: 0.9, eps: 1e-8, weightDecay: 0 },
  ];
  for (const settings of adamSettings) {
    it(`Adam follows PyTorch's algorithm with ${JSON.stringify(settings)}`, () => {
      assertFollows(
        adam({ lr: 1, ...settings }),
        (start, gradients) => naiveAdam(start, gradients, 0.05, settings),
        0.05,
      );
    });
  }

  it('end where PyTorch ended', () => {
    // From torch 1.13 in float32: θ = cos(i), i = 0, 1, 2; ten steps with gradients sin(1 + i + 3t), t = 0 … 9; lr 0.1.
    const recorded: [Optimizer, number[]][] = [
      [sgd({ lr: 1, momentum: 0.9, weightDecay: 0.01 }), [0.659547806, 0.243434548, -0.396491379]],
      [sgd({ lr: 1, momentum: 0.9, nesterov: true, weightDecay: 0.01 }), [0.6257689, 0.257326394, -0.347700745]],
      [adam({ lr: 1, weightDecay: 0.01 }), [0.801930308, 0.386543959, -0.490878433]],
    ];
    const start = [0, 1, 2].map(Math.cos);
    const gradients = Array.from({ length: 10 }, (_, t) => [0, 1, 2].map((i) => Math.sin(1 + i + 3 * t)));
    for (const [optimizer, end] of recorded)
      assertClose(trajectory(optimizer, start, gradients, 0.1).at(-1)!, end, 1e-6);
  });

  it('keep parameters without gradient, momentum and decay to the bit', () => {
    for (const optimizer of [sgd({ lr: 1 }), adam({ lr: 1 })]) {
      const [after] = trajectory(optimizer, [0.1, 0.2, 0.3], [[0, 1, 0]], 0.1);
      assert.equal(after![0], fround(0.1));
      assert.notEqual(after![1], fround(0.2));
      assert.equal(after![2], fround(0.3));
    }
  });

  it('hold all they remember in the state: a copy of it continues to the same bits', () => {
    const gradients = wave(5, 8);
    for (const optimizer of [sgd({ lr: 1, momentum: 0.9, nesterov: true }), adam({ lr: 1 })]) {
      const whole = trajectory(optimizer, [1, 2, 3, 4, 5], gradients, 0.1);
      const parameters = Float32Array.from(whole[3]!);
      const early = optimizer.init(5);
      const replay = Float32Array.from([1, 2, 3, 4, 5]);
      for (const gradient of gradients.slice(0, 4)) optimizer.update(replay, Float32Array.from(gradient), early, 0.1);
      const state = structuredClone(early);
      for (const gradient of gradients.slice(4)) optimizer.update(parameters, Float32Array.from(gradient), state, 0.1);
      assert.deepEqual([...parameters], whole[7]);
      assert.equal(state.step, 8);
    }
  });

  it('describe kind, options and schedule, defaults included', () => {
    assert.deepEqual(sgd({ lr: cosine({ peak: 0.1, warmupEpochs: 3 }), momentum: 0.9 }).config, {
      kind: 'sgd',
      lr: { kind: 'cosine', peak: 0.1, warmupEpochs: 3, floor: 0 },
      momentum: 0.9,
      nesterov: false,
      weightDecay: 0,
    });
    assert.deepEqual(adam({ lr: 0.1 }).config, {
      kind: 'adam',
      lr: { kind: 'constant', lr: 0.1 },
      beta1: 0.9,
      beta2: 0.999,
      eps: 1e-8,
      weightDecay: 0,
    });
  });

  it('refuse options, gradients and states that do not fit', () => {
    const three = new Float32Array(3);
    const optimizer = sgd({ lr: 1 });
    const refusals: [() => unknown, string][] = [
      [() => sgd({ lr: -1 }), 'Expected lr to be a finite number > 0 or a schedule, received -1'],
      [() => sgd({} as never), 'Expected lr to be a finite number > 0 or a schedule, received undefined'],
      [() => sgd({ lr: 1, momentum: 1 }), 'Expected momentum to be a number >= 0 and < 1, received 1'],
      [() => sgd({ lr: 1, nesterov: true }), 'Expected momentum to be > 0 for nesterov, received 0'],
      [() => sgd({ lr: 1, weightDecay: -1 }), 'Expected weightDecay to be a finite number >= 0, received -1'],
      [
        () => sgd({ lr: 1, weightdecay: 0.1 } as never),
        'Unknown option "weightdecay" in sgd; did you mean "weightDecay"?',
      ],
      [() => adam({ lr: 1, beta2: 1 }), 'Expected beta2 to be a number >= 0 and < 1, received 1'],
      [() => adam({ lr: 1, eps: 0 }), 'Expected eps to be a finite number > 0, received 0'],
      [
        () => {
          optimizer.update(three, new Float32Array(2), optimizer.init(3), 1);
        },
        "Expected the gradient's length to be the parameters', 3, received 2",
      ],
      [
        () => {
          optimizer.update(three, three, optimizer.init(2), 1);
        },
        "Expected the length of the optimizer's momentum to be the parameters', 3, received 2",
      ],
      [
        () => {
          optimizer.update(three, three, { step: 0, slots: {} }, 1);
        },
        "Expected the length of the optimizer's momentum to be the parameters', 3, received undefined",
      ],
      [
        () => {
          optimizer.update(three, three, optimizer.init(3), Number.NaN);
        },
        'Expected lr to be a finite number >= 0, received NaN',
      ],
    ];
    for (const [action, message] of refusals) assert.throws(action, { code: 'DEEPZERO_INVALID_ARGUMENT', message });
  });
});
