import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Augmentation, Dataset } from '../../lib/data/dataset.js';
import type { Estimator } from '../../lib/estimators/estimator.js';
import { cge } from '../../lib/estimators/cge.js';
import { rge } from '../../lib/estimators/rge.js';
import { Model } from '../../lib/model/model.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import { cosine } from '../../lib/optimizers/schedules.js';
import type { TrainOptions } from '../../lib/training/options.js';
import type { TrainStep } from '../../lib/training/log.js';
import type { TrainRun } from '../../lib/training/train.js';
import { train } from '../../lib/training/train.js';
import { readSafetensors } from '../../lib/support/safetensors.js';
import { bits, tinyImages, tinyNetwork, tinyTensors, withFolder } from '../helpers/tiny.js';
import { finish } from '../helpers/trained.js';

const OPTIONS = {
  estimator: cge({ mu: 5e-3, sparsity: 0.5, redrawEvery: 1 }),
  optimizer: sgd({ lr: 0.1, momentum: 0.9 }),
  steps: 5,
  batchSize: 8,
} satisfies TrainOptions;

/** A data set that records its requests. */
function spied(dataset: Dataset): {
  dataset: Dataset;
  calls: { indices: number[]; augmentation: Augmentation | undefined }[];
} {
  const calls: { indices: number[]; augmentation: Augmentation | undefined }[] = [];
  const { name, count, shape, classes, labels } = dataset;
  return {
    calls,
    dataset: {
      ...{ name, count, shape, ...(classes && { classes }), ...(labels && { labels }) },
      batch: (indices, augmentation) => {
        calls.push({ indices: [...indices], augmentation });
        return dataset.batch(indices, augmentation);
      },
    },
  };
}

const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('train', () => {
  it('learns: loss falls and accuracy rises on stripes', async () => {
    using model = new Model(tinyNetwork(), { seed: 2 });
    const optimizer = sgd({ lr: cosine({ peak: 0.1, warmupEpochs: 1 }), momentum: 0.9 });
    const run = train(model, tinyTensors(48), { ...OPTIONS, optimizer, estimator: cge({ mu: 5e-3 }), steps: 60 });
    const steps = await finish(run);
    const loss = (part: TrainStep[]): number => mean(part.map((step) => step.loss));
    assert.ok(loss(steps.slice(-10)) < 0.5 * loss(steps.slice(0, 10)), `${loss(steps.slice(-10))}`);
    assert.ok((await model.evaluate(tinyTensors(48, 2))).accuracy! > 0.9);
  });

  it('is an estimate, an update and new running statistics at every step', async () => {
    const { dataset, calls } = spied(tinyTensors());
    using model = new Model(tinyNetwork(), { seed: 3 });
    using twin = new Model(tinyNetwork(), { seed: 3 });
    const { estimator, optimizer } = OPTIONS;
    const run = train(model, dataset, { ...OPTIONS, seed: 6 });
    const state = optimizer.init(twin.parameterCount);
    for await (const { step, epoch, loss, lr, queries } of run) {
      assert.equal(run.step, step + 1);
      assert.equal(epoch, Math.floor(step / 3));
      const batch = tinyTensors().batch(Uint32Array.from(calls[step]!.indices));
      const estimate = await estimator.estimate(twin, batch, { seed: 6, step, epoch });
      optimizer.update(twin.parameters, estimate.gradient, state, 0.1);
      twin.statistics.set(estimate.statistics!);
      assert.deepEqual([loss, lr, queries], [estimate.loss, 0.1, estimate.queries]);
      assert.equal(bits(model.parameters), bits(twin.parameters));
      assert.equal(bits(model.statistics), bits(twin.statistics));
    }
    assert.equal(run.step, 5);
    assert.equal(calls.length, 5);
  });

  it('visits every image once in an epoch, in a new order every epoch', async () => {
    const { dataset, calls } = spied(tinyTensors(26));
    using model = new Model(tinyNetwork());
    const run = train(model, dataset, {
      ...OPTIONS,
      estimator: rge({ mu: 5e-3, queries: 1 }),
      steps: undefined,
      epochs: 2,
    });
    assert.equal(run.stepsPerEpoch, 3);
    assert.equal(run.totalSteps, 6);
    await finish(run);
    const orders = [calls.slice(0, 3), calls.slice(3)].map((epoch) => epoch.flatMap(({ indices }) => indices));
    for (const order of orders) assert.equal(new Set(order).size, 24);
    assert.notDeepEqual(orders[0], orders[1]);
  });

  it('augments images of bytes, not tensors, by default', async () => {
    const augmentations = async (images: Dataset, augment?: boolean): Promise<unknown[]> => {
      const asked: unknown[] = [];
      const batch = images.batch.bind(images);
      images.batch = (indices, augmentation) => (asked.push(augmentation), batch(indices, augmentation));
      using model = new Model(tinyNetwork());
      const choice = augment === undefined ? {} : { augment };
      await finish(train(model, images, { ...OPTIONS, ...choice, seed: 9, steps: 4 }));
      return asked;
    };
    const [first, second] = [0, 1].map((epoch) => ({ seed: 9, epoch }));
    assert.deepEqual(await augmentations(tinyImages()), [first, first, first, second]);
    assert.deepEqual(await augmentations(tinyImages(), false), [undefined, undefined, undefined, undefined]);
    assert.deepEqual(await augmentations(tinyTensors()), [undefined, undefined, undefined, undefined]);
  });

  it('has the same bits on one thread and two', async () => {
    const trained = async (threads: number): Promise<string> => {
      using model = new Model(tinyNetwork(), { threads });
      await finish(train(model, tinyImages(), OPTIONS));
      return bits(model.parameters);
    };
    assert.equal(await trained(1), await trained(2));
  });

  it('asks the schedule for the learning rate by position', async () => {
    using model = new Model(tinyNetwork());
    const asked: object[] = [];
    const lr = { config: {}, at: (position: object) => (asked.push(position), 0.01 * asked.length) };
    const estimator = rge({ mu: 5e-3, queries: 1 });
    const steps = await finish(
      train(model, tinyTensors(), { ...OPTIONS, estimator, optimizer: sgd({ lr }), steps: 2 }),
    );
    assert.deepEqual(
      asked,
      [0, 1].map((step) => ({ step, stepsPerEpoch: 3, epochs: 2 / 3 })),
    );
    assert.deepEqual(
      steps.map((step) => step.lr),
      [0.01, 0.02],
    );
  });

  it('that is aborted in a step stays at the last finished one, and can be saved and resumed', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'run.safetensors');
      const run = async (options: Partial<TrainOptions>, then?: (run: TrainRun) => Promise<void>): Promise<string> => {
        using model = new Model(tinyNetwork());
        const started = train(model, tinyTensors(), { ...OPTIONS, ...options });
        await (then ?? finish)(started);
        return bits(model.parameters);
      };
      const controller = new AbortController();
      const reason = new Error('enough');
      const { estimator } = OPTIONS;
      const estimate: Estimator['estimate'] = (model, batch, context) => {
        const underWay = estimator.estimate(model, batch, context);
        if (context.step === 2) controller.abort(reason);
        return underWay;
      };
      const aborting = { signal: controller.signal, estimator: { ...estimator, estimate } };
      const stopped = await run(aborting, async (started) => {
        await assert.rejects(finish(started), (error) => error === reason);
        assert.equal(started.step, 2);
        await started.save(file);
      });
      const two = await run({}, async (started) => {
        for await (const { step } of started) if (step === 1) break;
      });
      assert.equal(stopped, two);
      assert.equal(await run({ resume: file }), await run({}));
    });
  });

  it('is aborted after the step of an estimator that does not look at the signal', async () => {
    using model = new Model(tinyNetwork());
    const controller = new AbortController();
    const { estimator } = OPTIONS;
    const estimate: Estimator['estimate'] = (objective, batch, { seed, step, epoch }) => {
      if (step === 1) controller.abort();
      return estimator.estimate(objective, batch, { seed, step, epoch });
    };
    const options = { ...OPTIONS, signal: controller.signal, estimator: { ...estimator, estimate } };
    const run = train(model, tinyTensors(), options);
    await assert.rejects(finish(run), { name: 'AbortError' });
    assert.equal(run.step, 2);
  });

  it('whose loss is not finite rejects with the step', async () => {
    using model = new Model(tinyNetwork());
    const run = train(model, tinyTensors(), { ...OPTIONS, optimizer: sgd({ lr: 1e38 }) });
    const before: string[] = [];
    const loop = async (): Promise<void> => {
      for await (const { step } of run) before[step] = bits(model.parameters);
    };
    await assert.rejects(loop(), (error: { name: string; step: number }) => {
      assert.equal(error.name, 'NonFiniteLossError');
      assert.equal(error.step, before.length);
      return true;
    });
    assert.equal(bits(model.parameters), before.at(-1));
  });

  it('refuses a step that would leave the floats, and stays at the one before', async () => {
    using model = new Model(tinyNetwork());
    const optimizer = sgd({ lr: 1e38, weightDecay: 1e5, momentum: 0.9 });
    const run = train(model, tinyTensors(), { ...OPTIONS, optimizer });
    const before = bits(model.parameters);
    await assert.rejects(finish(run), {
      name: 'NonFiniteLossError',
      message:
        /^At step 0: expected a finite loss, but after its update conv\.weight\[0\] is -?Infinity; lower the learning rate$/,
      step: 0,
    });
    assert.equal(bits(model.parameters), before);
    assert.equal(run.step, 0);
    await withFolder(async (folder) => {
      const file = join(folder, 'run.safetensors');
      await run.save(file);
      const { tensors, metadata } = await readSafetensors(file);
      assert.equal((JSON.parse(metadata['run']!) as { updates: number }).updates, 0);
      const slots = [...tensors].filter(([name]) => name.startsWith('optimizer.'));
      assert.ok(slots.length > 0 && slots.every(([, { data }]) => data.every((value) => Number(value) === 0)));
    });
  });

  it('makes no step with a wrong result of its estimator or schedule', async () => {
    const { estimator } = OPTIONS;
    const changed = (change: object): Estimator => ({
      ...estimator,
      estimate: async (...given) => ({ ...(await estimator.estimate(...given)), ...change }),
    });
    const lr = { config: {}, at: () => NaN };
    const wrong: [Partial<TrainOptions>, RegExp][] = [
      [
        { estimator: changed({ statistics: new Float32Array(9) }) },
        /the estimate's statistics to be a Float32Array of 8/,
      ],
      [{ estimator: changed({ gradient: [1] }) }, /the estimate's gradient to be a Float32Array of 99, received \[1\]/],
      [{ estimator: changed({ loss: NaN }) }, /the estimate's loss to be a finite number, received NaN/],
      [{ estimator: changed({ outputs: undefined }) }, /the estimate's outputs to be a Float32Array of \d+, received/],
      [
        { optimizer: sgd({ lr }), estimator: { ...estimator, estimate: () => assert.fail() } },
        /the schedule's learning rate to be a finite number >= 0, received NaN/,
      ],
    ];
    for (const [options, message] of wrong) {
      using model = new Model(tinyNetwork());
      const before = [bits(model.parameters), bits(model.statistics)];
      const run = train(model, tinyTensors(), { ...OPTIONS, ...options });
      await assert.rejects(finish(run), { name: 'InvalidArgumentError', message });
      assert.deepEqual([bits(model.parameters), bits(model.statistics)], before);
      assert.equal(run.step, 0);
    }
  });

  it('is iterated once', async () => {
    using model = new Model(tinyNetwork());
    const run = train(model, tinyTensors(), OPTIONS);
    await finish(run);
    assert.throws(() => run[Symbol.asyncIterator](), /A run is iterated once/);
  });

  it('refuses wrong results of a custom estimator, in a step and in a sample', async () => {
    using model = new Model(tinyNetwork());
    const own = cge({ mu: 5e-3 });
    const cases: [object | undefined, RegExp][] = [
      [undefined, /the result of the estimator's estimate to be an object, received undefined/],
      [{ loss: NaN }, /the estimate's loss to be a finite number, received NaN/],
      [{ queries: undefined }, /the estimate's queries to be an integer >= 0, received undefined/],
      [{ outputs: [] }, /the estimate's outputs to be a Float32Array of 24, received \[\]/],
      [
        { gradient: new Float32Array(3) },
        /the estimate's gradient to be a Float32Array of 99, received a Float32Array of 3/,
      ],
      [{ statistics: undefined }, /the estimate's statistics to be a Float32Array of \d+, received undefined/],
    ];
    for (const [amiss, message] of cases) {
      const estimator: Estimator = {
        ...own,
        sample: () => estimator,
        estimate: async (...given) => {
          const estimate = await own.estimate(...given);
          return (amiss && { ...estimate, ...amiss }) as never;
        },
      };
      await assert.rejects(finish(train(model, tinyTensors(), { ...OPTIONS, estimator })), message);
      await assert.rejects(train(model, tinyTensors(), { ...OPTIONS, estimator }).estimateCost(), message);
    }
    const infinite: Estimator = {
      ...own,
      estimate: async (...given) => {
        const estimate = await own.estimate(...given);
        estimate.gradient[2] = Infinity;
        return estimate;
      },
    };
    const run = train(model, tinyTensors(), { ...OPTIONS, estimator: infinite });
    await assert.rejects(
      finish(run),
      /^NonFiniteLossError: At step 0: .* estimated gradient of conv\.weight\[2\] is Infinity$/,
    );
  });

  it('refuses to step a model that another run is stepping, and goes on between its steps', async () => {
    using model = new Model(tinyNetwork());
    const [one, other] = [1, 2].map(() => train(model, tinyTensors(), OPTIONS)[Symbol.asyncIterator]());
    const first = one!.next();
    await assert.rejects(other!.next(), /Another training run is currently updating this model/);
    assert.equal((await first).value?.step, 0);
    const third = train(model, tinyTensors(), OPTIONS);
    await finish(third);
    assert.equal((await one!.next()).value?.step, 1);
  });

  it('reads no checkpoint into a model that another run is updating or testing', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'run.safetensors');
      using model = new Model(tinyNetwork());
      await train(model, tinyTensors(), OPTIONS).save(file);
      const other = train(model, tinyTensors(), { ...OPTIONS, resume: file });
      const refused: string[] = [];
      const refuse = async (during: string): Promise<void> => {
        for (const read of [() => other.resume(), () => other.estimateCost(), () => other.save(`${file}2`)]) {
          await assert.rejects(read(), /^Error: Another training run is currently updating this model$/);
        }
        refused.push(during);
      };
      const estimator: Estimator = {
        ...OPTIONS.estimator,
        estimate: async (...given) => {
          await refuse('step');
          return OPTIONS.estimator.estimate(...given);
        },
      };
      const evaluate = model.evaluate.bind(model);
      model.evaluate = async (...given) => {
        await refuse('test');
        return evaluate(...given);
      };
      const steps = train(model, tinyTensors(), { ...OPTIONS, estimator, test: tinyTensors(), testEvery: 1 });
      for await (const { test } of steps) if (test) break;
      assert.deepEqual(refused, ['step', 'test']);
      const before = bits(model.parameters);
      assert.deepEqual(await other.resume(), []);
      assert.notEqual(bits(model.parameters), before);
    });
  });
});
