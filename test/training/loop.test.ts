import assert from 'node:assert/strict';
import { join } from 'node:path';
import { makeFolder } from '../../lib/support/files.js';
import { cge } from '../../lib/estimators/cge.js';
import { Model } from '../../lib/model/model.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import { RunFolder, RunLog } from '../../lib/training/run-folder.js';
import { train } from '../../lib/training/train.js';
import { trainInFolder } from '../../lib/training/loop.js';
import { tinyImages, tinyNetwork, withFolder } from '../helpers/tiny.js';

const data = { train: tinyImages(), test: tinyImages(12, 2) };

/** Runs to the end, or until the test of a step aborts; says whether it was stopped. */
async function run(path: string, resume: boolean, stopIn?: number): Promise<boolean> {
  await makeFolder(path);
  const folder = new RunFolder(path);
  const stop = new AbortController();
  using model = new Model(tinyNetwork(), { seed: 1 });
  const training = train(model, data.train, {
    ...{ estimator: cge({ mu: 5e-3 }), optimizer: sgd({ lr: 0.1 }), steps: 12, batchSize: 8, seed: 1 },
    ...{ signal: stop.signal, resume: resume ? folder.checkpoint : undefined },
  });
  const evaluate = model.evaluate.bind(model);
  model.evaluate = async (...args) => {
    if (training.step === stopIn) stop.abort();
    return evaluate(...args);
  };
  try {
    await trainInFolder(training, { model, folder, test: data.test, batchSize: 8, testEvery: 5, signal: stop.signal });
    return false;
  } catch (error) {
    assert.equal(error, stop.signal.reason);
    return true;
  }
}

async function courseOf(path: string): Promise<object[]> {
  const steps = await RunLog.steps(new RunFolder(path).log);
  return steps.map(({ step, loss, test }) => ({ step, loss, test }));
}

describe('the loop of a run in a folder', () => {
  it('tests every so many steps, and makes up for a test that was stopped', () =>
    withFolder(async (folder) => {
      const [whole, parts] = [join(folder, 'whole'), join(folder, 'parts')];
      assert.equal(await run(whole, false), false);
      const expected = await courseOf(whole);
      assert.deepEqual(
        (expected as { step: number; test?: object }[]).filter(({ test }) => test).map(({ step }) => step),
        [4, 9],
      );
      assert.equal(await run(parts, false, 5), true);
      assert.equal((await courseOf(parts)).length, 5);
      assert.notDeepEqual(await courseOf(parts), expected.slice(0, 5));
      assert.equal(await run(parts, true, 10), true);
      assert.equal(await run(parts, true), false);
      assert.deepEqual(await courseOf(parts), expected);
    }));
});
