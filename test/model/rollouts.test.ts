/**
 * Models whose loss is one of rollouts.
 *
 * @module
 */
import assert from 'node:assert/strict';
import { copyFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { TensorDataset } from '../../lib/data/dataset.js';
import { cge } from '../../lib/estimators/cge.js';
import { firstOrder } from '../../lib/estimators/first-order.js';
import { gradcheck } from '../../lib/estimators/gradcheck.js';
import { patternSearch } from '../../lib/estimators/pattern-search.js';
import { rge } from '../../lib/estimators/rge.js';
import type { OutputsLoss, RolloutLoss } from '../../lib/model/losses.js';
import { outputsLoss } from '../../lib/model/losses.js';
import { Model } from '../../lib/model/model.js';
import type { RolloutOptions } from '../../lib/model/rollouts.js';
import { rollout } from '../../lib/model/rollouts.js';
import type { Network } from '../../lib/network/description.js';
import { batchNorm, conv2d, relu } from '../../lib/network/description.js';
import { adam, sgd } from '../../lib/optimizers/optimizers.js';
import { zoGrasp } from '../../lib/pruning/zo-grasp.js';
import type { TrainOptions } from '../../lib/training/options.js';
import { train } from '../../lib/training/train.js';
import { relativeError } from '../helpers/outputs.js';
import { linearSimulator } from '../helpers/simulators.js';
import { bits, whole, withFolder } from '../helpers/tiny.js';
import { finish } from '../helpers/trained.js';

const [ENTRIES, STEPS, COUNT] = [6, 4, 5];

const network: Network = {
  name: 'row',
  input: [1, 1, ENTRIES],
  layers: [
    conv2d({ channels: 4, kernel: 3, padding: 1, bias: true }),
    relu(),
    conv2d({ channels: 1, kernel: 1, bias: true }),
  ],
};

const lossOf = (more: Partial<RolloutOptions> = {}): RolloutLoss =>
  rollout({ simulator: linearSimulator(), config: String(ENTRIES), steps: STEPS, ...more });

const number = (i: number): number => Math.sin(12.9898 * (i + 1));

/** Trajectories of parameter about 0.8, with targets. */
const trajectories = (count = COUNT, steps = STEPS): TensorDataset =>
  new TensorDataset({
    images: Float32Array.from({ length: count * (1 + ENTRIES) }, (_, i) =>
      i % (1 + ENTRIES) === 0 ? 0.8 + 0.1 * number(i) : number(i),
    ),
    shape: [1 + ENTRIES, 1, 1],
    targets: Float32Array.from({ length: count * steps * ENTRIES }, (_, i) => 0.5 * number(3 * i)),
  });

const every = (model: Model): Uint32Array => Uint32Array.from({ length: model.parameterCount }, (_, i) => i);
const batch = whole(trajectories());

describe('a loss of rollouts', () => {
  it('is that of the network and the simulator in turn, whose values are the outputs', async () => {
    const linear: Network = { ...network, layers: [conv2d({ name: 'c', channels: 1, kernel: 1, bias: true })] };
    using model = new Model(linear, { loss: lossOf(), seed: 1 });
    const [weight, bias] = model.parameters as unknown as [number, number];
    const expected: number[] = [];
    for (let item = 0; item < COUNT; item++) {
      const [a, ...first] = batch.images.subarray(item * (1 + ENTRIES), (item + 1) * (1 + ENTRIES));
      let state = [...first];
      for (let step = 0; step < STEPS; step++) {
        state = state.map((entry) => a! * entry + weight * entry + bias);
        expected.push(...state);
      }
    }
    const { loss, outputs } = await model.forward(batch);
    assert.ok(relativeError(outputs, expected) < 1e-7);
    const squares = expected.reduce((sum, value, i) => sum + (value - batch.targets![i]!) ** 2, 0);
    assert.ok(Math.abs(loss - squares / expected.length) < 1e-12 * loss);
    assert.equal(bits(await model.predict(batch)), bits(outputs));
    const result = await model.evaluate(trajectories(), { batchSize: 2 });
    assert.ok(Math.abs(result.loss - loss) < 1e-12);
    assert.ok(!model.carriesChanges);
  });

  it('is not asked for where only outputs are', async () => {
    const demanding = lossOf({ config: `${ENTRIES} demanding`, loss: 'simulator' });
    using model = new Model(network, { loss: demanding, seed: 1 });
    const { images, count } = batch;
    const { outputs } = await model.forward(batch);
    assert.equal(bits(await model.predict({ images, count })), bits(outputs));
    await assert.rejects(model.forward({ images, count }), { name: 'NonFiniteLossError' });
  });

  it('is estimated over as by plain loops, with and without correction, and to the same bits on any threads', async () => {
    for (const simulator of [linearSimulator(), linearSimulator('CORRECT=correct')]) {
      for (const loss of ['mean-squared-error', 'mean-absolute-error', 'simulator'] as const) {
        using model = new Model(network, { loss: lossOf({ simulator, loss }), seed: 2, threads: 2 });
        using alone = new Model(network, { loss: lossOf({ simulator, loss }), seed: 2, threads: 1 });
        const options = { mu: 1e-4, coordinates: every(model), central: true };
        const found = await model.coordinatewise(batch, options);
        const reference = await model.reference(batch, options);
        assert.ok(relativeError(found.values, reference.values) < 1e-6);
        assert.equal(bits((await alone.coordinatewise(batch, options)).values), bits(found.values));
        const checked = await gradcheck(model, batch, { mu: 1e-4, coordinates: every(model), central: true });
        assert.ok(checked.relativeError < 1e-6);
        const along = { mu: 1e-4, queries: 4, seed: 1, distribution: 'sphere', perTensor: false } as const;
        assert.equal(
          bits((await alone.randomized(batch, along)).values),
          bits((await model.randomized(batch, along)).values),
        );
      }
    }
  });

  it('trains under every estimator of losses, sparse ones too', async () => {
    using start = new Model(network, { loss: lossOf(), seed: 3 });
    const before = (await start.evaluate(trajectories())).loss;
    const ratios = await zoGrasp(start, trajectories(), { sparsity: 0.5, queries: 8, samplesPerClass: 4, seed: 1 });
    for (const [estimator, optimizer] of [
      [cge({ mu: 1e-3 }), adam({ lr: 0.02 })],
      [cge({ mu: 1e-3, ratios }), adam({ lr: 0.02 })],
      [rge({ mu: 1e-3, queries: 10 }), adam({ lr: 0.02 })],
      [patternSearch({ radius: 0.05, queries: 40 }), sgd({ lr: 1 })],
    ] as const) {
      using model = new Model(network, { loss: lossOf(), seed: 3 });
      const run = train(model, trajectories(), { estimator, optimizer, steps: 30, batchSize: 4 });
      assert.equal((await run.estimateCost()).ranks.length > 0, estimator.optimizer === undefined);
      await finish(run);
      const after = (await model.evaluate(trajectories())).loss;
      assert.ok(after < 0.9 * before, `${JSON.stringify(estimator.config)}: ${after} of ${before}`);
    }
  });

  it('is resumed to the same bits, and loads with its loss alone', () =>
    withFolder(async (folder) => {
      const options: TrainOptions = {
        ...{ estimator: cge({ mu: 1e-3, sparsity: 0.5 }), optimizer: adam({ lr: 0.02 }) },
        ...{ steps: 6, batchSize: 4, seed: 1 },
      };
      const file = join(folder, 'run.safetensors');
      using all = new Model(network, { loss: lossOf(), seed: 3 });
      await finish(train(all, trajectories(), options));
      using part = new Model(network, { loss: lossOf(), seed: 3 });
      const run = train(part, trajectories(), options);
      for await (const { step } of run) if (step === 2) break;
      await run.save(file);
      using rest = new Model(network, { loss: lossOf(), seed: 9 });
      await finish(train(rest, trajectories(), { ...options, resume: file }));
      assert.equal(bits(rest.parameters), bits(all.parameters));
      using other = new Model(network, { loss: lossOf({ steps: 5 }), seed: 9 });
      await assert.rejects(
        async () => {
          await finish(train(other, trajectories(COUNT, 5), { ...options, resume: file }));
        },
        {
          name: 'FileError',
          message: /expected loss to be "4 steps of linear\.so\(\\"6\\"\), mean-squared-error", .* received "5 steps/,
        },
      );
      await assert.rejects(Model.load(file), /its loss is "4 steps of .*", one of rollouts: give it by loss/);
      using loaded = await Model.load(file, { loss: lossOf() });
      assert.equal(bits(loaded.parameters), bits(part.parameters));
    }));

  it('leaves out queries that fail, counts them, and refuses a step whose own loss fails', async () => {
    const loss = lossOf({ config: `${ENTRIES} fail` });
    const low = { ...network, layers: [conv2d({ name: 'c', channels: 1, kernel: 1, bias: true })] };
    using model = new Model(low, { loss });
    model.parameters.fill(0);
    const start = (first: number): TensorDataset =>
      new TensorDataset({
        images: Float32Array.of(1, first, 1, 1, 1, 1, 1),
        shape: [1 + ENTRIES, 1, 1],
        targets: new Float32Array(STEPS * ENTRIES),
      });
    const options: TrainOptions = { estimator: cge({ mu: 2 }), optimizer: sgd({ lr: 1e-4 }), steps: 1, batchSize: 1 };
    for await (const { failed, loss: found } of train(model, start(60), options)) {
      assert.equal(failed, 1);
      assert.ok(Number.isFinite(found));
    }
    assert.equal(model.parameters[0], 0);
    assert.notEqual(model.parameters[1], 0);
    const coordinates = Uint32Array.of(0, 1);
    const { missing } = await model.coordinatewise(whole(start(60)), { mu: 2, coordinates });
    assert.deepEqual(missing, Uint32Array.of(0));
    const refused = async (): Promise<void> => {
      await finish(train(model, start(101), options));
    };
    await assert.rejects(refused, {
      name: 'NonFiniteLossError',
      message:
        'At step 0: expected a finite loss, but the simulator fails for trajectory 0 in its step 0 at the parameters themselves; ' +
        'check the simulator and the first states, or lower the learning rate',
    });
  });

  it('says which trajectory has no loss, in which step, and what to check', async () => {
    const rejects = (call: Promise<unknown>, message: string): Promise<void> =>
      assert.rejects(call, { name: 'NonFiniteLossError', message });
    const beginning = 'Expected a finite loss, but';
    using model = new Model(network, { loss: lossOf({ config: `${ENTRIES} fail` }), seed: 1 });
    const images = batch.images.slice();
    images[3 * (1 + ENTRIES) + 1] = 101;
    const check = 'check the simulator and the first states';
    const grown = 'and whether the weights grew too large, as at too high a learning rate';
    const fails = `${beginning} the simulator fails for trajectory 3 in its step 0 at the parameters themselves; ${check}, ${grown}`;
    await rejects(model.forward({ ...batch, images }), fails);
    await rejects(model.predict(images), fails);
    using lost = new Model(network, { loss: lossOf({ config: `${ENTRIES} nan` }), seed: 1 });
    await rejects(lost.predict(images), fails.replace('the simulator fails for trajectory 3', 'trajectory 3 has a value that is not finite')); // prettier-ignore
    images[3 * (1 + ENTRIES) + 1] = NaN;
    await rejects(
      model.forward({ ...batch, images }),
      `${beginning} trajectory 3 has a value that is not finite in its step 0 at the parameters themselves: ` +
        'trajectory 3 of the batch holds NaN at 1 of its 7 values',
    );
    images[3 * (1 + ENTRIES) + 1] = 20;
    const { offset } = model.tensors.find(({ name }) => name === '2.bias')!;
    const queries = { mu: 1000, coordinates: Uint32Array.of(offset), step: 7 };
    await rejects(
      model.coordinatewise({ ...batch, images }, queries),
      `At step 7: expected a finite loss, but 1 of 1 queries fail, the first with 2.bias[0] moved by mu = 1000; ` +
        `${check}, or lower mu or the learning rate`,
    );
    const along = { mu: 1000, queries: 3, seed: 1, distribution: 'gaussian', perTensor: false } as const;
    await assert.rejects(model.randomized({ ...batch, images }, along), /[23] of 3 queries fail, the first along random direction 0 with mu = 1000; check the simulator and the first states, or lower mu$/); // prettier-ignore
  });

  it('is of a file by its URL too, and refuses one that has changed since it was loaded', () =>
    withFolder((folder) => {
      const [path, next] = [join(folder, 'changing.so'), join(folder, 'next.so')];
      copyFileSync(linearSimulator(), path);
      const { name } = lossOf({ simulator: path });
      assert.equal(lossOf({ simulator: pathToFileURL(path) }).name, name);
      copyFileSync(linearSimulator('LOSS=NULL'), next);
      renameSync(next, path);
      assert.throws(() => lossOf({ simulator: path }), {
        name: 'InvalidArgumentError',
        message: `${path} has changed since this process loaded it: start a new process, or give the build another name`,
      });
      renameSync(path, next);
      assert.ok(!lossOf({ simulator: next }).sizes.hasLoss);
      return Promise.resolve();
    }));

  it('has a name that holds its config, or the digest of a long one', () => {
    const nameOf = (config: string): string => lossOf({ config }).name;
    assert.equal(nameOf('6 "a"'), '4 steps of linear.so("6 \\"a\\""), mean-squared-error');
    assert.equal(nameOf('6'.padEnd(64)), `4 steps of linear.so("${'6'.padEnd(64)}"), mean-squared-error`);
    assert.match(nameOf('6'.padEnd(65)), /^4 steps of linear\.so\([\da-f]+\), mean-squared-error$/);
    assert.notEqual(nameOf('6'.padEnd(65)), nameOf('6'.padEnd(66)));
  });

  it('is aborted, and keeps to a bound on memory', async () => {
    using model = new Model(network, { loss: lossOf(), threads: 2 });
    const controller = new AbortController();
    const call = model.coordinatewise(batch, { mu: 1e-3, coordinates: every(model), signal: controller.signal });
    controller.abort();
    await assert.rejects(call, { name: 'AbortError' });
    const { bytes } = model.memoryOf(batch, { coordinates: every(model) });
    using bounded = new Model(network, { loss: lossOf(), threads: 2, memory: bytes - 1 });
    assert.equal(bounded.memoryOf(batch, { coordinates: every(model) }).threads, 1);
    using none = new Model(network, { loss: lossOf(), memory: 1000 });
    await assert.rejects(none.forward(batch), { name: 'InvalidArgumentError', message: /memory/ });
  });

  it('refuses what does not fit, with one clear line', async () => {
    const refusals: [() => unknown, RegExp][] = [
      [
        () => lossOf({ simulator: 'missing.so' }),
        /missing\.so: cannot open shared object file.*; expected a shared object, as cc -shared -fPIC makes$/,
      ],
      [() => lossOf({ config: 'lines' }), /linear\.so: expected\\u000aone line$/],
      [
        () => lossOf({ config: '6\0' }),
        /Expected config to be a text without the character NUL, .*, received "6\\u0000"/,
      ],
      [() => lossOf({ simulator: '' }), /Expected simulator to be the path of a shared object, or a URL object of protocol file:, received ""/], // prettier-ignore
      [() => lossOf({ simulator: 'file:///a.so' }), /a URL object of protocol file:, received "file:\/\/\/a\.so"/],
      [() => lossOf({ simulator: new URL('https://a.org/a.so') }), /protocol file:, received "https:\/\/a\.org\/a\.so"/], // prettier-ignore
      [() => new Model(network, { loss: { simulator: linearSimulator(), steps: 3 } as never }), /Expected loss to be one of .*, or of rollouts, from rollout\(…\), received an object/], // prettier-ignore
      [() => lossOf({ config: 'x' }), /linear\.so: expected the number of entries, received "x"/],
      [
        () => lossOf({ simulator: linearSimulator('VERSION=2') }),
        /expected a simulator of version 1 .* found version 2/,
      ],
      [
        () => lossOf({ simulator: linearSimulator('LOSS=NULL'), loss: 'simulator' }),
        /Expected loss to be mean-squared-error or mean-absolute-error, as .* has none/,
      ],
      [() => lossOf({ steps: 0 }), /Expected steps to be an integer from 1 to 1048576, received 0/],
      [() => lossOf({ loss: 'hinge' as never }), /Expected loss to be one of mean-squared-error/],
      [() => new Model({ ...network, input: [1, 1, 7] }, { loss: lossOf() }), /an input of 1×1×6, the simulator's observation, received 1×1×7: the simulator is linear\.so$/], // prettier-ignore
      [
        () => new Model({ ...network, layers: [conv2d({ channels: 2, kernel: 1 })] }, { loss: lossOf() }),
        /an output of 1×1×6, the simulator's output, received 2×1×6/,
      ],
      [() => new Model({ ...network, layers: [batchNorm()] }, { loss: lossOf() }), /a network without batch norm for rollouts/], // prettier-ignore
    ];
    for (const [make, message] of refusals) {
      assert.throws(make, (error: Error) => {
        assert.equal(error.name, 'InvalidArgumentError');
        assert.match(error.message, message);
        assert.ok(!error.message.includes('\n'));
        return true;
      });
    }
    // A loss of outputs may hold a simulator of its own.
    using own = new Model(network, { loss: { ...outputsLoss('own', () => 0), simulator: 'x' } as OutputsLoss });
    assert.ok(!own.carriesChanges);
    using model = new Model(network, { loss: lossOf() });
    await assert.rejects(model.forward({ ...batch, targets: new Float32Array(3) }), /batch\.targets to be 120, 4 steps × 6 values for each of 5 trajectories, for the loss 4 steps .* \(the simulator's own loss needs none\)/); // prettier-ignore
    await assert.rejects(model.forward({ images: batch.images, count: COUNT }), /batch\.targets to be of type Float32Array, 4 steps × 6 values for each of 5 trajectories/); // prettier-ignore
    await assert.rejects(model.forward({ ...batch, images: new Float32Array(5) }), /batch\.images to be 35, 5 images of 7×1×1/); // prettier-ignore
    await assert.rejects(model.predict(new Float32Array(6)), /a multiple of 7, from the simulator's parameters and state 7×1×1, received 6/); // prettier-ignore
    await assert.rejects(model.cost(Uint32Array.of(0)), /The cost of a query requires a built-in loss, .* is a loss of rollouts/); // prettier-ignore
    await assert.rejects(model.gradient(batch), /Back-propagation requires a built-in loss, .* is a loss of rollouts/);
    const wrong = new TensorDataset({ images: new Float32Array(12), shape: [1, 1, 6], targets: new Float32Array(2) });
    await assert.rejects(
      model.evaluate(wrong),
      /images of 7×1×1, the simulator's parameters and state, received 1×1×6/,
    );
    const byGradient = async (): Promise<void> => {
      const options = { estimator: firstOrder(), optimizer: sgd({ lr: 1 }), steps: 1, batchSize: 4 };
      await finish(train(model, trajectories(), options));
    };
    await assert.rejects(byGradient, /requires a built-in loss/);
    using without = new Model(network, { loss: lossOf({ loss: 'simulator' }) });
    assert.ok(Number.isFinite((await without.forward({ images: batch.images, count: COUNT })).loss));
  });
});
