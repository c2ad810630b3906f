import assert from 'node:assert/strict';

import type { Estimator } from '../../lib/estimators/estimator.js';
import { cge } from '../../lib/estimators/cge.js';
import { firstOrder } from '../../lib/estimators/first-order.js';
import { patternSearch } from '../../lib/estimators/pattern-search.js';
import { rge } from '../../lib/estimators/rge.js';
import type { OutputsLoss } from '../../lib/model/losses.js';
import { Model } from '../../lib/model/model.js';
import { train } from '../../lib/training/train.js';
import { timeShares, timeStep } from '../../lib/training/cost.js';
import { dearestOf, onRanks } from '../../lib/training/ranks-cost.js';
import { crossEntropy } from '../helpers/outputs.js';
import { bits, tinyImages, tinyNetwork, tinyTensors } from '../helpers/tiny.js';
import { finish, OPTIONS as TRAINING } from '../helpers/trained.js';

const OPTIONS = { ...TRAINING, steps: 5 };

/** Predicts a step on a machine where the n-th sample, of `queries` queries, takes `milliseconds(queries, n)`. */
async function predict(
  milliseconds: (queries: number, n: number) => number,
  { queriesPerStep, threads = 1 }: { queriesPerStep: number; threads?: number },
): Promise<{ seconds: number; perQuery: number; samples: number[] }> {
  let time = 1e6;
  const samples: number[] = [];
  const sample = (limit: number): Promise<number> => {
    const queries = Math.min(limit, queriesPerStep);
    time += milliseconds(queries, samples.length);
    samples.push(queries);
    return Promise.resolve(queries);
  };
  const step = await timeStep(sample, queriesPerStep, threads, () => time);
  return { seconds: step.secondsPerStep, perQuery: step.secondsPerQuery, samples };
}

describe('timeStep', () => {
  it('extends the time of a query by what an estimate takes besides', async () => {
    const { seconds, samples } = await predict((queries) => 2000 + 125 * queries, { queriesPerStep: 10_000 });
    assert.equal(seconds, 2 + 0.125 * 10_000);
    assert.deepEqual(samples, [2, 2, 65]);
  });

  it('does not count the first sample, which allocates', async () => {
    const steady = await predict(() => 1500, { queriesPerStep: 40 });
    const slow = await predict((_, n) => (n === 0 ? 60_000 : 1500), { queriesPerStep: 40 });
    assert.deepEqual(slow, steady);
  });

  it('takes a larger sample where the machine is fast, of about 1.5 seconds', async () => {
    const { seconds, samples } = await predict((queries) => 4 * queries, { queriesPerStep: 100_000, threads: 2 });
    assert.deepEqual(samples, [3, 3, 65, 377]);
    assert.equal(Number(seconds.toPrecision(12)), 400);
  });

  it('is the time of a step itself that a sample covers', async () => {
    // Not extended from the sample before it, which may have as many queries.
    for (const queriesPerStep of [2, 50]) {
      const { seconds, samples } = await predict((_, n) => [9000, 200, 250][n]!, { queriesPerStep });
      assert.equal(seconds, 0.25);
      assert.deepEqual(samples, [2, 2, queriesPerStep]);
    }
  });

  it('divides the time of a step that is no longer than the least sample', async () => {
    const { seconds, perQuery } = await predict((_, n) => [9000, 200, 250][n]!, { queriesPerStep: 3, threads: 2 });
    assert.deepEqual([seconds, perQuery], [0.25, (2 * 0.25) / 3]);
  });

  it('does not take queries for free where the larger sample is as quick as the smaller, or quicker', async () => {
    for (const milliseconds of [2000, 1000]) {
      const { seconds } = await predict((queries) => (queries < 10 ? 2000 : milliseconds), { queriesPerStep: 6500 });
      assert.equal(seconds, (milliseconds / 1000 / 65) * 6500);
    }
  });
});

describe('timeShares', () => {
  it('is by the work of the queries, of which the expensive come first', async () => {
    using model = new Model(tinyNetwork());
    const workOf = async (name: string): Promise<number> => {
      const { offset } = model.tensors.find((tensor) => tensor.name === name)!;
      return (await model.cost(Uint32Array.of(offset))).incremental.done;
    };
    const [dear, cheap] = await Promise.all(['conv.weight', 'fc.weight'].map(workOf));
    assert.ok(dear! > 5 * cheap!);
    // One coordinate of the convolution, and three of the classifier, in the order of their offsets.
    const fc = model.tensors.find(({ name }) => name === 'fc.weight')!.offset;
    const share = await timeShares(model, Uint32Array.of(0, fc, fc + 1, fc + 2));
    const all = dear! + 3 * cheap!;
    assert.deepEqual([0, 0.25, 0.5, 1].map(share), [0, dear! / all, (dear! + cheap!) / all, 1]);
    assert.equal((await timeShares(model, undefined))(0.3), 0.3);
  });
});

describe('onRanks', () => {
  const step = { queries: 27_700, threads: 16, dearest: 8, bytes: 5e6 };
  const time = { secondsPerStep: 26, secondsOnce: 0.02, secondsPerQuery: 0.0148 };

  it('divides the queries, and makes the unperturbed pass on every rank', () => {
    const [alone, four] = onRanks(time, step, 3600);
    assert.equal(alone!.ranks, 1);
    assert.equal(alone!.secondsPerStep, 0.02 + Math.ceil(27_700 / 16) * 0.0148);
    assert.equal(alone!.hours, alone!.secondsPerStep);
    assert.equal(alone!.efficiency, 1);
    assert.equal(four!.ranks, 4);
    assert.equal(four!.secondsPerStep, 0.02 + Math.ceil(27_700 / 64) * 0.0148 + 8 * 5e-5 + 5e-3);
    assert.equal(four!.efficiency, alone!.secondsPerStep / (4 * four!.secondsPerStep));
  });

  it('is never quicker than the dearest query', () => {
    const last = onRanks(time, step, 1).at(-1)!;
    assert.ok(last.secondsPerStep > 0.02 + 8 * 0.0148 && last.efficiency < 0.2);
  });
});

describe('estimateCost', () => {
  it('counts queries and steps, and changes nothing', async () => {
    using model = new Model(tinyNetwork());
    const run = train(model, tinyImages(), OPTIONS);
    const before = [bits(model.parameters), bits(model.statistics)];
    const cost = await run.estimateCost();
    assert.deepEqual([bits(model.parameters), bits(model.statistics)], before);
    assert.equal(cost.steps, 5);
    assert.ok(cost.secondsPerStep > 0);
    assert.equal(cost.hours, (5 * cost.secondsPerStep) / 3600);
    const steps = await finish(run);
    assert.ok(steps.every(({ queries }) => queries === cost.queriesPerStep));
    assert.equal((await run.estimateCost()).steps, 0);

    using other = new Model(tinyNetwork());
    await finish(train(other, tinyImages(), OPTIONS));
    assert.equal(bits(model.parameters), bits(other.parameters));
  });

  it('is predicted on more ranks where they share queries', async () => {
    const shown = async (estimator: Estimator, loss?: OutputsLoss): Promise<number[]> => {
      using model = new Model(tinyNetwork(), loss && { loss });
      const optimizer = estimator.optimizer ?? OPTIONS.optimizer;
      const { ranks } = await train(model, tinyImages(), { ...OPTIONS, estimator, optimizer }).estimateCost();
      assert.equal(ranks[0]?.efficiency ?? 1, 1);
      return ranks.map(({ ranks: count }) => count);
    };
    const all = [1, 4, 16, 64, 256, 1024, 4096];
    const dense = cge({ mu: 5e-3 });
    for (const estimator of [dense, cge({ mu: 5e-3, sparsity: 0.5 }), rge({ mu: 5e-3, queries: 8 })]) {
      assert.deepEqual(await shown(estimator), all);
    }
    for (const estimator of [firstOrder(), patternSearch({ radius: 0.1, decay: 0.9, queries: 8 })]) {
      assert.deepEqual(await shown(estimator), []);
    }
    assert.deepEqual(await shown(dense, crossEntropy), []);
  });

  it('is never below the time of the dearest coordinate, whose queries one thread makes', async () => {
    using model = new Model(tinyNetwork());
    const all = Uint32Array.from({ length: model.parameterCount }, (_, flat) => flat);
    const dearest = async (options: object): Promise<number> => dearestOf(model, all, { config: options });
    assert.equal(await dearest({ reuse: 'none' }), 1);
    assert.equal(await dearest({ reuse: 'none', central: true }), 2);
    const incremental = await dearest({});
    assert.ok(incremental > 1 && incremental < all.length);
    assert.equal(await dearest({ reuse: 'incremental', central: true }), 2 * incremental);
    assert.equal(await dearestOf(model, undefined, { config: {} }), 1);
  });

  it('asks for a sample of a step, in which every thread has as many queries, not for a whole one', async () => {
    let asked: number[] = [];
    const all = rge({ mu: 5e-3, queries: 1e6 });
    const estimator: Estimator = {
      config: {},
      queriesPerStep: () => 1e6 + 1,
      estimate: () => assert.fail(),
      sample: (queries) => (asked.push(queries), all.sample(Math.min(queries, 100))),
    };
    for (const [threads, samples] of [
      [3, [4, 4, 67]],
      [64, [65, 65, 513]],
    ] as const) {
      asked = [];
      using model = new Model(tinyNetwork(), { threads });
      const cost = await train(model, tinyTensors(), { ...OPTIONS, estimator }).estimateCost();
      assert.deepEqual(asked.slice(0, 3), samples);
      assert.equal(cost.queriesPerStep, 1e6 + 1);
    }
  });
});
