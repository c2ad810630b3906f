import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { adam } from '../../lib/optimizers/optimizers.js';
import { cge } from '../../lib/estimators/cge.js';
import { Model } from '../../lib/model/model.js';
import { WRITER } from '../../lib/support/writers.js';
import { RunFolder } from '../../lib/training/folder.js';
import { minimize } from '../../lib/training/minimize.js';
import { readAbout } from '../../lib/training/record/about.js';
import { readStatus } from '../../lib/training/record/status.js';
import { Search } from '../../lib/training/search.js';
import { train } from '../../lib/training/train.js';
import { tinyImages, tinyNetwork, withFolder } from '../helpers/tiny.js';
import { timeless } from '../helpers/train-command.js';
import { finish } from '../helpers/trained.js';

/** A run of training. */
const TRAINING = {
  estimator: cge({ mu: 5e-3, sparsity: 0.4 }),
  optimizer: adam({ lr: 0.01 }),
  ...{ steps: 2, batchSize: 8, seed: 1 },
};

async function trainIn(path: string): Promise<RunFolder> {
  await using folder = await RunFolder.open(path);
  using model = new Model(tinyNetwork(), { seed: 1 });
  await finish(train(model, tinyImages(), { ...TRAINING, folder }));
  return folder;
}

describe('a run over a black box in a folder', () => {
  const START = { w: [3, -1, 0.5, 2], b: [0.25] };
  const bowl = (x: ArrayLike<number>): number =>
    Array.from(x).reduce((sum, value, i) => sum + (i + 1) * (value - 1) ** 2, 0);
  const SEARCH = {
    estimator: cge({ mu: 1e-4, ratios: { w: 0.5, b: 0 }, redrawEvery: 2 }),
    optimizer: adam({ lr: 0.1 }),
  };
  const search = async (path: string, steps: number, loss = bowl): Promise<RunFolder> => {
    await using folder = await RunFolder.open(path);
    await minimize(loss, START, { ...SEARCH, budget: { steps }, folder });
    return folder;
  };

  it('leaves the files that training leaves, and its journal', () =>
    withFolder(async (path) => {
      const folder = await search(path, 5);
      const steps = await folder.steps();
      assert.deepEqual(
        steps.map(({ step, queries, totalQueries }) => [step, queries, totalQueries]),
        [0, 1, 2, 3, 4].map((step) => [step, 4, 4 * step + 4]),
      );
      assert.equal(steps[0]!.loss, bowl([3, -1, 0.5, 2, 0.25]));
      assert.ok(steps.every(({ gradientNorms }) => gradientNorms!['w']! > 0 && gradientNorms!['b']! > 0));
      assert.deepEqual(steps[0]!.density, { w: 0.5, b: 1 });
      assert.equal(steps[1]!.density, undefined);
      assert.deepEqual((await readdir(path)).sort(), [
        'journal.jsonl',
        'log.jsonl',
        'mask.safetensors',
        'run.json',
        'status.json',
      ]);
      const { time, ...status } = await readStatus(folder.status);
      assert.ok(Date.parse(time) > 0);
      const message = 'The budget of 5 steps is used up';
      const counts = { step: 5, totalSteps: 5, within: 0.25, done: 1, of: 4 };
      assert.deepEqual(status, { ...counts, state: 'finished', message, writer: WRITER });
    }));

  it('is not mixed with a training run, whatever is started first', () =>
    withFolder(async (path) => {
      const [trained, searched] = ['trained', 'searched'].map((name) => join(path, name)) as [string, string];
      const before = await (await trainIn(trained)).steps();
      await assert.rejects(
        search(trained, 2),
        /trained: holds run\.safetensors without the journal of a run of minimize: /,
      );
      assert.deepEqual(await new RunFolder(trained).steps(), before);
      const kept = await (await search(searched, 2)).steps();
      await assert.rejects(
        trainIn(searched),
        /searched: holds journal\.jsonl, of a run of minimize: choose another folder$/,
      );
      assert.deepEqual(await new RunFolder(searched).steps(), kept);
      await rm(new RunFolder(searched).journal);
      await assert.rejects(
        search(searched, 2),
        /searched: holds log\.jsonl without the journal of a run of minimize: /,
      );
    }));

  it('is stopped, and says so, before its folder is unlocked', () =>
    withFolder(async (path) => {
      const broken = { ...SEARCH.optimizer, init: () => ({ step: 0, slots: { a: new Float64Array(1) } }) };
      const options = { ...SEARCH, budget: { steps: 5 } };
      {
        await using folder = await RunFolder.open(path);
        await assert.rejects(Search.open(START, { ...options, optimizer: broken, folder }), /slots\.a to be /);
        assert.equal((await readStatus(folder.status)).state, 'failed');
      }
      const { status } = new RunFolder(path);
      {
        await using folder = await RunFolder.open(path);
        const run = await Search.open(START, { ...options, folder });
        assert.ok((await run.ask()).length > 0);
        run.close();
      }
      assert.equal((await readStatus(status)).state, 'stopped');
      {
        await using folder = await RunFolder.open(path);
        await (await Search.open(START, { ...options, folder })).ask();
      }
      assert.equal((await readStatus(status)).state, 'stopped');
    }));

  it('goes on in it, also where log and journal were cut, and asks for nothing twice', () =>
    withFolder(async (path) => {
      const whole = await search(join(path, 'whole'), 9);
      const parts = join(path, 'parts');
      await search(parts, 4);
      const { log } = new RunFolder(parts);
      const kept = (await readFile(log, 'utf8')).split('\n').slice(0, 2);
      await writeFile(log, `${kept.join('\n')}\n{"step":2,"lo`);
      let calls = 0;
      const folder = await search(parts, 9, (x) => (calls++, bowl(x)));
      // The loss at the end of the first part has its answer too.
      assert.equal(calls, 5 * 4);
      assert.deepEqual(timeless(await folder.steps()), timeless(await whole.steps()));
      assert.deepEqual((await readFile(log, 'utf8')).split('\n').slice(0, 2), kept);
      const { starts } = await readAbout(folder.about);
      assert.deepEqual(
        starts.map(({ step }) => step),
        [0, 2],
      );
    }));

  it('is as long as its evaluations suffice for, but for those of the loss at the end', () =>
    withFolder(async (path) => {
      for (const [evaluations, repeats, steps] of [
        [24, 1, 5],
        [25, 1, 6],
        [33, 2, 3],
      ] as const) {
        const place = join(path, String(evaluations));
        await using folder = await RunFolder.open(place);
        await minimize(bowl, START, { ...SEARCH, repeats, budget: { evaluations }, folder });
        const { state, step, totalSteps } = await readStatus(folder.status);
        assert.deepEqual([state, step, totalSteps], ['finished', steps, steps]);
      }
    }));

  it('keeps the steps of a larger budget before it, and is as long as they are', () =>
    withFolder(async (path) => {
      const before = await (await search(path, 5)).steps();
      const folder = await search(path, 2, () => assert.fail('asked for what the journal has'));
      const { state, step, totalSteps } = await readStatus(folder.status);
      assert.deepEqual([state, step, totalSteps], ['finished', 5, 5]);
      assert.deepEqual(await folder.steps(), before);
    }));

  it('tells how it failed, and takes no other journal', () =>
    withFolder(async (path) => {
      const failing = search(path, 5, () => {
        throw new Error('no light');
      });
      await assert.rejects(failing, { name: 'RefusedStepError' });
      const { state, message, step } = await readStatus(new RunFolder(path).status);
      assert.deepEqual([state, step], ['failed', 0]);
      assert.match(message!, /no light/);
      await using folder = await RunFolder.open(path);
      const both = { ...SEARCH, budget: { seconds: 1 }, folder, journal: join(path, 'journal') };
      await assert.rejects(minimize(bowl, START, both), /Expected either journal or folder, received both$/);
    }));
});
