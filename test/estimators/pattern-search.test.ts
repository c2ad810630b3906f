import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Model } from '../../lib/model/model.js';
import type { Optimizer } from '../../lib/optimizers/optimizers.js';
import { adam, sgd } from '../../lib/optimizers/optimizers.js';
import { patternSearch } from '../../lib/estimators/pattern-search.js';
import { Random } from '../../lib/native/random.js';
import { minimize } from '../../lib/training/minimize.js';
import { train } from '../../lib/training/train.js';
import { quadratic, quadraticLoss } from '../helpers/quadratic.js';
import { bits, tinyNetwork, tinyTensors, whole, withFolder } from '../helpers/tiny.js';

const POSITION = { seed: 1, step: 0, epoch: 0 };
const batch = whole(tinyTensors(16));

describe('patternSearch', () => {
  it('makes the moves of a coordinate search on the closed form of a quadratic', async () => {
    const { model, batch: images } = quadratic();
    const [radius, queries, step] = [0.25, 60, 3];
    const random = new Random(1, 'trials', step);
    const theta = Array.from(model.parameters);
    const moves = { up: 0, down: 0, none: 0 };
    for (let left = queries; left > 0;) {
      const at = random.integer(theta.length);
      const tried = [radius, -radius].slice(0, left).map((move) => {
        const moved = theta.with(at, theta[at]! + move);
        return { moved, falls: quadraticLoss(moved) < quadraticLoss(theta) };
      });
      const taken = tried.findIndex(({ falls }) => falls);
      left -= taken === 0 ? 1 : tried.length;
      moves[taken === 0 ? 'up' : taken === 1 ? 'down' : 'none']++;
      if (taken >= 0) theta.splice(0, theta.length, ...tried[taken]!.moved);
    }
    assert.ok(moves.up > 2 && moves.down > 2 && moves.none > 2, JSON.stringify(moves));
    const { gradient } = await patternSearch({ radius, queries }).estimate(model, images, { ...POSITION, step });
    theta.forEach((end, i) => {
      assert.ok(Math.abs(model.parameters[i]! - gradient[i]! - end) < 1e-6, `${i}`);
    });
  });

  it('moves nowhere where no loss falls: an equal one is no improvement', async () => {
    using model = new Model(tinyNetwork(), { seed: 2 });
    const { loss, ...pass } = await model.forward(batch, { training: true });
    model.lossAt = () => Promise.resolve({ loss, ...pass });
    const { gradient, queries } = await patternSearch({ radius: 0.1, queries: 30 }).estimate(model, batch, POSITION);
    assert.equal(queries, 31);
    assert.deepEqual(gradient, new Float32Array(model.parameterCount));
  });

  it('ends the step of plain SGD where its trials ended, to the bit, and no loss rises', async () => {
    using model = new Model(tinyNetwork(), { seed: 3 });
    const estimator = patternSearch({ radius: 0.1, queries: 40 });
    const optimizer = sgd({ lr: 1 });
    const state = optimizer.init(model.parameterCount);
    let last = Infinity;
    for (let step = 0; step < 4; step++) {
      const { loss, gradient, queries } = await estimator.estimate(model, batch, { seed: 1, step, epoch: 0 });
      assert.ok(loss < last, `${step}: ${loss}`);
      assert.equal(queries, 41);
      last = loss;
      const before = model.parameters.slice();
      optimizer.update(model.parameters, gradient, state, 1);
      const ended = before.map((value, i) => value - gradient[i]!);
      assert.equal(bits(model.parameters), bits(ended));
      assert.notEqual(bits(model.parameters), bits(before));
    }
  });

  it('is a pure function of seed and step, also for several at once and after a change of the model', async () => {
    using model = new Model(tinyNetwork(), { seed: 3 });
    const estimator = patternSearch({ radius: 0.1, queries: 12 });
    const at = async (seed: number, step: number): Promise<string> =>
      bits((await estimator.estimate(model, batch, { seed, step, epoch: 0 })).gradient);
    const [first, again, otherStep, otherSeed] = await Promise.all([at(1, 0), at(1, 0), at(1, 1), at(2, 0)]);
    assert.equal(again, first);
    assert.notEqual(otherStep, first);
    assert.notEqual(otherSeed, first);
    const theta = model.parameters.slice();
    model.parameters.fill(0.1);
    assert.notEqual(await at(1, 0), first);
    model.parameters.set(theta);
    assert.equal(await at(1, 0), first);
  });

  it('moves by a radius that decays with the steps done', async () => {
    const { model, batch: images } = quadratic();
    const estimator = patternSearch({ radius: 0.5, decay: 0.5, queries: 1 });
    const lengths = new Set<number>();
    for (let step = 0; step < 24; step++) {
      const { gradient } = await estimator.estimate(model, images, { ...POSITION, step });
      const moved = gradient.filter((value) => value !== 0);
      if (moved.length === 0) continue;
      assert.deepEqual([...moved.map(Math.abs)], [0.5 * 0.5 ** step]);
      lengths.add(moved[0]!);
    }
    assert.ok(lengths.size > 3);
    const tried: number[] = [];
    const loss = ([x = 0]: Float64Array): number => (tried.push(Math.abs(x)), x * x);
    const run = { estimator, optimizer: sgd({ lr: 1 }), budget: { steps: 1200 } };
    assert.equal((await minimize(loss, [0], run)).steps, 1200);
    assert.deepEqual(new Set(tried.slice(2000)), new Set([0, 2 ** -126]));
  });

  it('takes a loss that is not finite for no improvement', async () => {
    const { model, batch: images } = quadratic();
    const { gradient, loss } = await patternSearch({ radius: 3e38, queries: 4 }).estimate(model, images, POSITION);
    assert.ok(Number.isFinite(loss) && gradient.every((value) => value === 0));

    const start = new Float32Array(model.parameterCount).with(0, 3e38);
    await assert.rejects(model.forward(images, { at: start.with(0, Infinity) }), { name: 'NonFiniteLossError' });
    model.parameters.set(start);
    const beyond = await patternSearch({ radius: 3e38, queries: 40 }).estimate(model, images, POSITION);
    const end = start.map((value, i) => value - beyond.gradient[i]!);
    assert.ok((await model.forward(images, { at: end })).loss < beyond.loss);

    model.parameters[0] = NaN;
    const broken = patternSearch({ radius: 1, queries: 4 }).estimate(model, images, { ...POSITION, step: 2 });
    await assert.rejects(broken, { name: 'NonFiniteLossError', step: 2 });
  });

  it('reports its trials, stops when told to, and is refused after the model is freed', async () => {
    using model = new Model(tinyNetwork());
    const controller = new AbortController();
    const seen: [number, number][] = [];
    const onProgress = (done: number, total: number): void => {
      seen.push([done, total]);
      controller.abort();
    };
    const estimator = patternSearch({ radius: 0.1, queries: 1_000_000 });
    const call = estimator.estimate(model, batch, { ...POSITION, signal: controller.signal, onProgress });
    await assert.rejects(call, { name: 'AbortError' });
    assert.equal(seen.length, 1);
    assert.ok(seen[0]![0] > 0 && seen[0]![1] === 1_000_000);
    model[Symbol.dispose]();
    await assert.rejects(estimator.estimate(model, batch, POSITION), /disposed of/);
  });

  it('trains, predicts its cost, and resumes to the bits of a run never stopped', () =>
    withFolder(async (folder) => {
      const file = join(folder, 'run.safetensors');
      const estimator = patternSearch({ radius: 0.2, decay: 0.99, queries: 20 });
      const options = { estimator, optimizer: sgd({ lr: 1 }), batchSize: 8, seed: 5, steps: 9 };
      using whole = new Model(tinyNetwork());
      const losses: number[] = [];
      for await (const { loss } of train(whole, tinyTensors(), options)) losses.push(loss);
      assert.ok(losses.at(-1)! < losses[0]!);
      using stopped = new Model(tinyNetwork());
      const first = train(stopped, tinyTensors(), options);
      assert.equal((await first.estimateCost()).queriesPerStep, 21);
      for await (const { step } of first) if (step === 3) break;
      await first.save(file);
      using resumed = new Model(tinyNetwork(), { seed: 9 });
      const rest = train(resumed, tinyTensors(), { ...options, resume: file });
      for await (const { step, loss } of rest) assert.equal(loss, losses[step]);
      assert.equal(bits(resumed.parameters), bits(whole.parameters));
      assert.equal(bits(resumed.statistics), bits(whole.statistics));
    }));

  it('trains with no optimizer but that which moves to where it ended', () => {
    using model = new Model(tinyNetwork());
    const estimator = patternSearch({ radius: 0.1, queries: 4 });
    const start = (optimizer: Optimizer) => (): unknown =>
      train(model, tinyTensors(), { estimator, optimizer, batchSize: 8, steps: 1 });
    start(sgd({ lr: 1 }))();
    assert.throws(
      start(sgd({ lr: 1, momentum: 0.9 })),
      /^InvalidArgumentError: Expected optimizer to be .*"lr":1},"momentum":0,.* received .*"momentum":0\.9/,
    );
    assert.throws(start(sgd({ lr: 0.1 })), /"lr":1}.* received .*"lr":0\.1}/);
    assert.throws(start(adam({ lr: 1 })), /received .*"adam"/);
  });

  it('refuses options that are wrong', () => {
    assert.throws(
      () => patternSearch({ radius: 0, queries: 1 }),
      /^InvalidArgumentError: Expected radius to be a finite number > 0 that float32 can hold, received 0$/,
    );
    assert.throws(
      () => patternSearch({ radius: 1e60, queries: 1 }),
      /radius to be a finite number > 0 that float32 can hold/,
    );
    assert.throws(() => patternSearch({ radius: 1, queries: 0 }), /queries to be an integer from 1/);
    const decayed = (decay: number) => (): unknown => patternSearch({ radius: 1, queries: 1, decay });
    assert.throws(decayed(0), /Expected decay to be a number > 0 and <= 1, received 0/);
    assert.throws(decayed(1.5), /Expected decay to be a number > 0 and <= 1, received 1\.5/);
    assert.throws(() => patternSearch({ radius: 1, trials: 1 } as never), /Unknown option "trials" in patternSearch/);
  });
});
