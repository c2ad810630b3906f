import assert from 'node:assert/strict';

import { Model } from '../../lib/model/model.js';
import { onRanks, timeShares, timeStep } from '../../lib/training/cost.js';
import { tinyNetwork } from '../helpers/tiny.js';

/** Predicts a step on a machine where the n-th sample, of `queries` queries, takes `milliseconds(queries, n)`. */
async function predict(
  milliseconds: (queries: number, n: number) => number,
  { queriesPerStep, threads = 1 }: { queriesPerStep: number; threads?: number },
): Promise<{ seconds: number; samples: number[] }> {
  let time = 1e6;
  const samples: number[] = [];
  const sample = (limit: number): Promise<number> => {
    const queries = Math.min(limit, queriesPerStep);
    time += milliseconds(queries, samples.length);
    samples.push(queries);
    return Promise.resolve(queries);
  };
  const { seconds } = await timeStep(sample, queriesPerStep, threads, () => time);
  return { seconds, samples };
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
  const time = { seconds: 26, once: 0.02, perQuery: 0.0148 };

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
