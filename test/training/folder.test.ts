import assert from 'node:assert/strict';
import { mkdir, open, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import { cge } from '../../lib/estimators/cge.js';
import type { Estimator } from '../../lib/estimators/estimator.js';
import { Model } from '../../lib/model/model.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import { exists } from '../../lib/support/files.js';
import { FileError } from '../../lib/support/errors.js';
import { RunFolder } from '../../lib/training/folder.js';
import type { TrainStep } from '../../lib/training/log.js';
import { readStatus } from '../../lib/training/record/status.js';
import type { TrainOptions } from '../../lib/training/options.js';
import type { TrainRun } from '../../lib/training/train.js';
import { train } from '../../lib/training/train.js';
import { bits, tinyImages, tinyNetwork, withFolder } from '../helpers/tiny.js';

const data = { train: tinyImages(), test: tinyImages(12, 2) };
const OPTIONS = { estimator: cge({ mu: 5e-3 }), optimizer: sgd({ lr: 0.1 }), steps: 12, batchSize: 8, seed: 1 };

async function finish(run: TrainRun): Promise<void> {
  for await (const { step } of run) assert.equal(run.step, step + 1);
}

/** Makes a run in a folder, or its remaining steps, and returns the final bits. */
async function trainIn(
  path: string,
  options: Partial<TrainOptions> = {},
  use: (run: TrainRun, model: Model) => Promise<void> = finish,
): Promise<string> {
  await using folder = await RunFolder.open(path);
  using model = new Model(tinyNetwork(), { seed: 1 });
  const run = train(model, data.train, { ...OPTIONS, test: data.test, testEvery: 5, folder, ...options });
  await use(run, model);
  return bits(model.parameters);
}

/** The parts of a log that do not depend on time. */
async function courseOf(path: string): Promise<Pick<TrainStep, 'step' | 'loss' | 'test'>[]> {
  const steps = await new RunFolder(path).steps();
  return steps.map(({ step, loss, test }) => ({ step, loss, ...(test && { test }) }));
}

/** Makes a run in a folder, and returns the steps that were saved before they were yielded. */
async function stepsSaved(path: string, options: Partial<TrainOptions>): Promise<number[]> {
  const saved: number[] = [];
  const file = join(path, 'run.safetensors');
  let before: Buffer | undefined;
  await trainIn(path, options, async (run) => {
    for await (const { step } of run) {
      const content = (await exists(file)) ? await readFile(file) : undefined;
      if (content && !(before && content.equals(before))) saved.push(step);
      before = content;
    }
  });
  return saved;
}

/** Puts a folder where the checkpoint is to be, so that none can be written. */
async function blockCheckpoint(path: string): Promise<void> {
  const file = join(path, 'run.safetensors');
  await rm(file, { recursive: true, force: true });
  await mkdir(file);
}

describe('a run in a folder', () => {
  it('logs every step, tests every `testEvery` steps, and repeats a test that was aborted', () =>
    withFolder(async (folder) => {
      const [whole, parts] = [join(folder, 'whole'), join(folder, 'parts')];
      const end = await trainIn(whole);
      const expected = await courseOf(whole);
      assert.deepEqual(
        expected.filter(({ test }) => test).map(({ step }) => step),
        [4, 9, 11],
      );
      /** Aborts in the test of a step. */
      const stopIn = async (at: number): Promise<void> => {
        const stop = new AbortController();
        await trainIn(parts, { signal: stop.signal }, async (run, model) => {
          const evaluate = model.evaluate.bind(model);
          model.evaluate = async (...args) => {
            if (run.step === at) stop.abort();
            return evaluate(...args);
          };
          await assert.rejects(finish(run), (error) => error === stop.signal.reason);
          assert.equal(run.step, at);
        });
      };
      await stopIn(5);
      assert.deepEqual(
        await courseOf(parts),
        expected.slice(0, 5).map(({ step, loss }) => ({ step, loss })),
      );
      await stopIn(10);
      await stopIn(12);
      assert.equal((await readStatus(new RunFolder(parts).status)).state, 'stopped');
      await stopIn(12);
      assert.equal(await trainIn(parts), end);
      assert.deepEqual(await courseOf(parts), expected);
    }));

  it('is saved once after a step', () =>
    withFolder(async (folder) => {
      const saved: number[] = [];
      await trainIn(folder, { testEvery: 4, checkpointEvery: 0 }, async (run) => {
        const save = run.save.bind(run);
        run.save = async (file) => {
          saved.push(run.step);
          await save(file);
        };
        await finish(run);
      });
      assert.deepEqual(saved, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    }));

  it('does not repeat a test that was finished', () =>
    withFolder(async (folder) => {
      const path = join(folder, 'run');
      await trainIn(path, {}, async (run) => {
        for await (const { step } of run) if (step === 4) break;
      });
      let tests = 0;
      await trainIn(path, {}, async (run, model) => {
        const evaluate = model.evaluate.bind(model);
        model.evaluate = async (...args) => (tests++, evaluate(...args));
        await finish(run);
      });
      assert.equal(tests, 2);
    }));

  it('names the machine at its first step and after every resumption', () =>
    withFolder(async (folder) => {
      await trainIn(folder, {}, async (run) => {
        for await (const { step } of run) if (step === 2) break;
      });
      await trainIn(folder);
      const steps = await new RunFolder(folder).steps();
      assert.deepEqual(
        steps.filter(({ machine }) => machine !== undefined).map(({ step }) => step),
        [0, 3],
      );
    }));

  it('is saved where the loop over it is left, also by an error', () =>
    withFolder(async (folder) => {
      const [whole, left] = [join(folder, 'whole'), join(folder, 'left')];
      const end = await trainIn(whole);
      await trainIn(left, {}, async (run) => {
        for await (const { step } of run) if (step === 2) break;
      });
      const failing = trainIn(left, {}, async (run) => {
        for await (const { step } of run) if (step === 6) throw new Error('mine');
      });
      await assert.rejects(failing, /^Error: mine$/);
      const rest: number[] = [];
      const resumed = await trainIn(left, {}, async (run) => {
        for await (const { step } of run) rest.push(step);
      });
      assert.deepEqual(rest, [7, 8, 9, 10, 11]);
      assert.equal(resumed, end);
      assert.deepEqual(await courseOf(left), await courseOf(whole));
    }));

  it('is saved where it is aborted within a step', () =>
    withFolder(async (folder) => {
      const stop = new AbortController();
      const estimate: Estimator['estimate'] = (model, batch, context) => {
        const underWay = OPTIONS.estimator.estimate(model, batch, context);
        if (context.step === 3) stop.abort();
        return underWay;
      };
      const aborting = { signal: stop.signal, estimator: { ...OPTIONS.estimator, estimate } };
      await assert.rejects(trainIn(folder, aborting), (error) => error === stop.signal.reason);
      await trainIn(folder, {}, async (run) => {
        await run.resume();
        assert.equal(run.step, 3);
      });
    }));

  it('writes a checkpoint when the last one is older than `checkpointEvery`, or than the run then was', () =>
    withFolder(async (folder) => {
      // Every step takes a second.
      let time = 0;
      const estimate: Estimator['estimate'] = (...given) => {
        time += 1000;
        return OPTIONS.estimator.estimate(...given);
      };
      const estimator = { ...OPTIONS.estimator, estimate };
      performance.now = () => time;
      try {
        for (const [checkpointEvery, testEvery, expected] of [
          [0, 100, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]],
          [3, 100, [0, 1, 3, 6, 9, 11]],
          [1e6, 100, [0, 1, 3, 7, 11]],
          [1e6, 5, [0, 1, 3, 4, 9, 11]],
        ] as const) {
          const path = join(folder, `${checkpointEvery}-${testEvery}`);
          const saved = await stepsSaved(path, { estimator, testEvery, checkpointEvery });
          assert.deepEqual(saved, expected, path);
        }
      } finally {
        Reflect.deleteProperty(performance, 'now');
      }
    }));

  it('is not saved where its log cannot be flushed', () =>
    withFolder(async (folder) => {
      const handle = await open('/dev/null');
      const prototype = Object.getPrototypeOf(handle) as { datasync: () => Promise<void> };
      await handle.close();
      const { datasync } = prototype;
      prototype.datasync = () => Promise.reject(Object.assign(new Error(), { errno: -constants.errno.EIO }));
      try {
        const log = join(folder, 'log.jsonl');
        await assert.rejects(trainIn(folder, { checkpointEvery: 0 }), { message: `${log}: i/o error` });
      } finally {
        prototype.datasync = datasync;
      }
      assert.ok(!(await exists(join(folder, 'run.safetensors'))));
    }));

  it('reports the first of several errors', () =>
    withFolder(async (folder) => {
      const failing = trainIn(folder, {}, async (run, model) => {
        for await (const { step } of run) {
          if (step < 1) continue;
          // Neither can the step be made, nor the checkpoint be written.
          model.parameters.fill(NaN);
          await blockCheckpoint(folder);
        }
      });
      await assert.rejects(failing, { name: 'NonFiniteLossError', step: 2 });
    }));

  it('needs an open folder, and not a checkpoint beside it', () =>
    withFolder(async (path) => {
      using model = new Model(tinyNetwork());
      const start = (options: object) => () => train(model, data.train, { ...OPTIONS, ...options });
      const open = /^InvalidArgumentError: Expected folder to be a RunFolder that is open, from RunFolder\.open\(…\)/;
      assert.throws(start({ folder: path }), open);
      assert.throws(start({ folder: new RunFolder(path) }), open);
      await using folder = await RunFolder.open(path);
      assert.throws(start({ folder, resume: folder.checkpoint }), /Expected either resume or folder, received both/);
      assert.throws(start({ folder, checkpointEvery: -1 }), /checkpointEvery to be a finite number >= 0, received -1/);
      assert.throws(start({ testEvery: 0 }), /testEvery to be an integer >= 1, received 0/);
      assert.throws(start({ test: 'images' }), /Expected test to be an object, received "images"/);
    }));

  it('goes on with other test images, or none, to the same parameters', () =>
    withFolder(async (folder) => {
      const [whole, parts] = [join(folder, 'whole'), join(folder, 'parts')];
      const end = await trainIn(whole);
      const until = (last: number) => async (run: TrainRun) => {
        for await (const { step } of run) if (step === last) break;
      };
      await trainIn(parts, { test: undefined }, until(3));
      await trainIn(parts, {}, until(6));
      assert.equal(await trainIn(parts, { test: tinyImages(12, 3) }), end);
    }));

  it('closes its log where the last checkpoint cannot be written', () =>
    withFolder(async (folder) => {
      const log = join(folder, 'log.jsonl');
      const open = async (): Promise<number> => {
        const targets = (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''));
        return (await Promise.all(targets)).filter((target) => target === log).length;
      };
      const failing = trainIn(folder, {}, async (run) => {
        for await (const { step } of run) {
          assert.equal(await open(), 1);
          await blockCheckpoint(folder);
          // After the first step a checkpoint has been written.
          if (step === 1) break;
        }
      });
      await assert.rejects(failing, /run\.safetensors: is a folder, expected a file$/);
      assert.equal(await open(), 0);
    }));
});

describe('RunFolder', () => {
  it('keeps others out while it is open', () =>
    withFolder(async (path) => {
      {
        await using folder = await RunFolder.open(path);
        assert.ok(folder.isOpen);
        await assert.rejects(RunFolder.open(path), (error) => {
          assert.ok(error instanceof FileError);
          assert.equal(error.message, `${path}: is in use by another run, of this or another process`);
          // An uncaught error would print that of a socket.
          return error.cause === undefined;
        });
      }
      await using again = await RunFolder.open(path);
      assert.ok(again.isOpen);
    }));

  it('is not open when it is closed', () =>
    withFolder(async (path) => {
      const folder = await RunFolder.open(path);
      await folder[Symbol.asyncDispose]();
      assert.ok(!folder.isOpen);
    }));

  it('that is closed again leaves a folder alone that others have made since', () =>
    withFolder(async (outer) => {
      const path = join(outer, 'run');
      const folder = await RunFolder.open(path);
      await folder[Symbol.asyncDispose]();
      await mkdir(path);
      await folder[Symbol.asyncDispose]();
      assert.ok(await exists(path));
    }));

  it('makes folders, and removes those that it made and that are empty when it is closed', () =>
    withFolder(async (path) => {
      const outer = join(path, 'outer');
      const openAndClose = async (folder: string, file?: string): Promise<void> => {
        await using open = await RunFolder.open(folder);
        assert.ok(await exists(open.path));
        if (file !== undefined) await writeFile(join(open.path, file), '');
      };
      await openAndClose(join(outer, 'inner'));
      assert.ok(!(await exists(outer)));
      await openAndClose(path);
      assert.ok(await exists(path));
      await openAndClose(join(outer, 'inner'), 'mine');
      assert.ok(await exists(join(outer, 'inner', 'mine')));
    }));
});
