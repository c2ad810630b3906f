import assert from 'node:assert/strict';
import type { Dataset } from '../../lib/data/dataset.js';
import { synthetic } from '../../lib/data/synthetic.js';
import { cge } from '../../lib/estimators/cge.js';
import { patternSearch } from '../../lib/estimators/pattern-search.js';
import { Model } from '../../lib/model/model.js';
import type { Optimizer } from '../../lib/optimizers/optimizers.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import { keptCoordinates, magnitudePruning, randomPruning } from '../../lib/pruning/ratios.js';
import type { TrainOptions } from '../../lib/training/options.js';
import { train } from '../../lib/training/train.js';
import { tinyNetwork, tinyTensors } from '../helpers/tiny.js';

const OPTIONS: TrainOptions = {
  estimator: cge({ mu: 5e-3 }),
  optimizer: sgd({ lr: 0.1 }),
  steps: 5,
  batchSize: 8,
};

describe("a training run's options", () => {
  it('are refused where they are wrong', () => {
    using model = new Model(tinyNetwork());
    const start =
      (options: object, dataset: Dataset = tinyTensors()) =>
      () =>
        train(model, dataset, { ...OPTIONS, ...options });
    assert.throws(
      start({ batchSize: 25 }),
      /batchSize to be at most 24, the images in data set "stripes", received 25/,
    );
    assert.throws(
      () => train(model, undefined as never, OPTIONS),
      /the data set to be one such as .*, received undefined/,
    );
    assert.throws(
      () => train(model, OPTIONS as never, undefined as never),
      /the data set to be one such as the train or/,
    );
    assert.throws(() => train(model, tinyTensors(), undefined as never), /the options of train to be an object/);
    for (const none of [undefined, tinyNetwork()]) {
      const message = new RegExp(
        `^InvalidArgumentError: Expected model to be a Model, received ${none ? 'an object' : none}`,
      );
      assert.throws(() => train(none as never, tinyTensors(), OPTIONS), message);
      assert.throws(() => magnitudePruning(none as never, { sparsity: 0.5 }), message);
      assert.throws(() => randomPruning(none as never, { sparsity: 0.5 }), message);
      assert.throws(() => keptCoordinates(none as never, 0.5), message);
    }
    assert.throws(
      () => train(model, synthetic({ train: 8, test: 8 }) as never, OPTIONS),
      /the data set to be one such as/,
    );
    assert.throws(start({ signal: {} }), /signal to be an AbortSignal/);
    const without = { ...OPTIONS, batchSize: undefined as never };
    assert.throws(
      () => train(model, tinyTensors(), without),
      /batchSize \(default: 256\) to be at most 24, .* received 256$/,
    );
    assert.throws(start({ batchSize: 0 }), /batchSize to be an integer >= 1, received 0/);
    assert.throws(start({ epochs: 1 }), /Expected either epochs or steps, received both/);
    assert.throws(start({ steps: undefined }), /Expected either epochs or steps, received neither/);
    assert.throws(start({ steps: 0 }), /steps to be an integer >= 1, received 0/);
    assert.throws(start({ steps: undefined, epochs: 0 }), /epochs to be a finite number > 0, received 0/);
    assert.throws(start({ batchsize: 2 }), /Unknown option "batchsize" in train; did you mean "batchSize"\?/);
    assert.throws(start({ estimator: 'cge' }), /estimator to be one such as cge\(…\) or rge\(…\), received "cge"/);
    assert.throws(start({ optimizer: undefined as unknown as Optimizer }), /optimizer to be one such as sgd\(…\)/);
    assert.throws(
      start({ estimator: { ...cge({ mu: 1 }), sample: undefined as never } }),
      /estimator\.sample to be a function, as that of cge\(…\) or rge/,
    );
    assert.throws(start({ optimizer: { ...sgd({ lr: 1 }), config: 'sgd' } }), /optimizer\.config to be an object/);
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;
    assert.throws(start({ estimator: { ...cge({ mu: 1 }), config: circular } }), /estimator\.config to be an object/);
    assert.throws(
      start({ estimator: { ...cge({ mu: 1 }), queriesPerStep: () => NaN } }),
      /queriesPerStep to be an integer/,
    );
    assert.throws(start({ optimizer: { ...sgd({ lr: 1 }), lr: 1 } }), /optimizer\.lr to be one such as constant/);
    const held = (state: object) => start({ optimizer: { ...sgd({ lr: 1 }), init: () => state } });
    assert.throws(held({ step: 0, slots: { v: new Float32Array(3) } }), /state\.slots\.v to be a Float32Array of 99/);
    assert.throws(held({ step: 0, slots: {}, norm: 1 }), /state\.norm to be absent, since .*, received 1$/);
    assert.throws(held({ slots: {} }), /state\.step to be an integer >= 0, received undefined/);
    assert.throws(start({ estimator: cge({ mu: 1, ratios: { fc: 0.5 } }) }), /received "fc"/);
    const wide: Dataset = { name: 'wide', count: 24, shape: [2, 4, 16], batch: () => assert.fail() };
    assert.throws(start({}, wide), /"wide" to have images of 2×8×8, the network's input, received 2×4×16/);
  });

  it('are refused with test images that do not fit the network', () => {
    using model = new Model(tinyNetwork());
    const test: Dataset = { name: 'wide', count: 24, shape: [2, 4, 16], batch: () => assert.fail() };
    assert.throws(
      () => train(model, tinyTensors(), { ...OPTIONS, test }),
      /"wide" to have images of 2×8×8, the network's input, received 2×4×16/,
    );
  });

  it('are refused with an optimizer that the estimator does not work with', () => {
    using model = new Model(tinyNetwork());
    const start = (optimizer: Optimizer) => () =>
      train(model, tinyTensors(), { ...OPTIONS, estimator: patternSearch({ radius: 0.1, queries: 2 }), optimizer });
    assert.doesNotThrow(start(sgd({ lr: 1 })));
    assert.throws(start(sgd({ lr: 0.1 })), {
      name: 'InvalidArgumentError',
      option: 'optimizer',
      message: /"lr":1\}.*, the only one that this estimator works with, received .*"lr":0\.1\}/,
    });
  });
});
