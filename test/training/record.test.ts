import assert from 'node:assert/strict';
import { once } from 'node:events';
import { appendFile, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { adam } from '../../lib/optimizers/optimizers.js';
import { cge } from '../../lib/estimators/cge.js';
import { rge } from '../../lib/estimators/rge.js';
import type { Estimator } from '../../lib/estimators/estimator.js';
import { Model } from '../../lib/model/model.js';
import { machine } from '../../lib/native/machine.js';
import type { Objective } from '../../lib/objectives/objective.js';
import { exists } from '../../lib/support/files.js';
import { WRITER } from '../../lib/support/writers.js';
import { readSafetensors } from '../../lib/support/safetensors.js';
import { runMetadata } from '../../lib/training/checkpoint.js';
import { Descent } from '../../lib/training/descent.js';
import { RunFolder } from '../../lib/training/folder.js';
import type { TrainStep } from '../../lib/training/log.js';
import type { TrainOptions } from '../../lib/training/options.js';
import { readAbout } from '../../lib/training/record/about.js';
import { readStatus } from '../../lib/training/record/status.js';
import type { TrainRun } from '../../lib/training/train.js';
import { train } from '../../lib/training/train.js';
import { until } from '../helpers/resources.js';
import { bits, tinyImages, tinyNetwork, withFolder } from '../helpers/tiny.js';
import { timeless } from '../helpers/train-command.js';
import { writeCheckpoint } from '../helpers/trained.js';

/** Three steps an epoch, and another mask in each. */
const OPTIONS = {
  estimator: cge({ mu: 5e-3, sparsity: 0.4, redrawEvery: 1 }),
  optimizer: adam({ lr: 0.01 }),
  ...{ steps: 7, batchSize: 8, seed: 1 },
};

/** Makes a run in a folder, or its steps up to one. */
async function trainIn(
  path: string,
  options: Partial<TrainOptions> = {},
  last = Infinity,
  see: (run: TrainRun, model: Model, step: TrainStep) => unknown = () => undefined,
): Promise<RunFolder> {
  await using folder = await RunFolder.open(path);
  using model = new Model(tinyNetwork(), { seed: 1 });
  const run = train(model, tinyImages(), { ...OPTIONS, folder, ...options });
  for await (const step of run) {
    await see(run, model, step);
    if (step.step === last) break;
  }
  return folder;
}

describe("the log of a run's steps", () => {
  it('has norms of gradient and update, all queries, and the time', () =>
    withFolder(async (path) => {
      const gradients: Float32Array[] = [];
      const moved: number[] = [];
      let before: Float32Array | undefined;
      const estimator: Estimator = {
        ...OPTIONS.estimator,
        async estimate(model, batch, context) {
          const estimate = await OPTIONS.estimator.estimate(model, batch, context);
          before = model.parameters.slice() as Float32Array;
          gradients.push(estimate.gradient as Float32Array);
          return estimate;
        },
      };
      const begun = Date.now();
      const folder = await trainIn(path, { estimator }, Infinity, (_, { parameters }) => {
        moved.push(Math.hypot(...parameters.map((value, i) => value - before![i]!)));
      });
      const steps = await folder.steps();
      const near = (found: number | undefined, expected: number): void => {
        assert.ok(Math.abs(found! - expected) <= 1e-6 * expected, `${found}, ${expected}`);
      };
      let queries = 0;
      for (const [i, step] of steps.entries()) {
        queries += step.queries;
        assert.equal(step.totalQueries, queries);
        near(step.gradientNorm, Math.hypot(...gradients[i]!));
        near(step.updateNorm, moved[i]!);
        // conv.weight has 72 of the 99 numbers, and the four biases follow; fc.weight has 12 before three.
        assert.deepEqual(Object.keys(step.gradientNorms!), ['conv.weight', 'fc.weight']);
        near(step.gradientNorms!['conv.weight'], Math.hypot(...gradients[i]!.subarray(0, 72)));
        near(step.gradientNorms!['fc.weight'], Math.hypot(...gradients[i]!.subarray(84, 96)));
        const time = Date.parse(step.time!);
        assert.ok(time >= begun && time <= Date.now());
      }
    }));

  it('has the density of the mask where that changes, and none without a mask', () =>
    withFolder(async (path) => {
      const steps = await (await trainIn(join(path, 'masked'))).steps();
      const dense = { 'conv.bias': 1, 'bn.weight': 1, 'bn.bias': 1, 'fc.bias': 1 };
      const density = { 'conv.weight': 43 / 72, 'fc.weight': 7 / 12, ...dense };
      assert.deepEqual(
        steps.map((step) => step.density),
        [0, 1, 2, 3, 4, 5, 6].map((step) => (step % 3 === 0 ? density : undefined)),
      );
      const random = await trainIn(join(path, 'random'), { estimator: rge({ mu: 5e-3, queries: 3 }) });
      assert.ok((await random.steps()).every((step) => step.density === undefined));
      assert.ok(!(await exists(random.mask)));
    }));

  it('says the same, except for times, wherever the run was stopped', () =>
    withFolder(async (path) => {
      const whole = await trainIn(join(path, 'whole'));
      const parts = join(path, 'parts');
      for (const last of [0, 2, 3, 5]) await trainIn(parts, {}, last);
      const folder = await trainIn(parts);
      assert.deepEqual(timeless(await folder.steps()), timeless(await whole.steps()));
      assert.deepEqual(await readFile(folder.mask), await readFile(whole.mask));
    }));

  it('goes on in a folder of an earlier version, whose checkpoint and log lack the new fields', () =>
    withFolder(async (path) => {
      const whole = await trainIn(join(path, 'whole'));
      const old = await trainIn(join(path, 'old'), {}, 3);
      const { tensors, metadata } = await readSafetensors(old.checkpoint);
      const { queries, ...run } = JSON.parse(metadata['run']!) as Record<string, unknown>;
      assert.ok(Number(queries) > 0 && 'queries' in runMetadata.entries);
      await writeCheckpoint(old.checkpoint, { tensors, metadata: { ...metadata, run: JSON.stringify(run) } });
      for (const file of [old.about, old.mask, old.status]) await rm(file);
      const lines = (await old.steps()).map(
        ({ step, loss, queries }) => `${JSON.stringify({ step, loss, queries })}\n`,
      );
      await writeFile(old.log, lines.join(''));
      const resumed = await trainIn(old.path);
      const [mine, its] = [await resumed.steps(), await whole.steps()];
      assert.deepEqual(
        mine.slice(0, 4),
        its.slice(0, 4).map(({ step, loss, queries }) => ({ step, loss, queries })),
      );
      assert.deepEqual(timeless(mine.slice(4)), timeless(its.slice(4)));
      assert.deepEqual(
        (await readAbout(resumed.about)).starts.map(({ step }) => step),
        [4],
      );
    }));

  it('has norms also of numbers whose squares double precision cannot hold', () => {
    const tensors = [{ name: 'x', shape: [2], offset: 0, size: 2, maskable: true }];
    const box = { parameters: new Float64Array(2), tensors } as unknown as Objective;
    const descent = new Descent(box, OPTIONS.estimator, OPTIONS.optimizer);
    const norm = (scale: number): number => {
      const gradient = Float64Array.of(3 * scale, 4 * scale);
      const parameters = box.parameters.slice();
      return descent.norms({ loss: 0, queries: 1, gradient }, { parameters, optimizer: descent.state }).gradientNorm;
    };
    for (const scale of [1e200, 1, 1e-200]) assert.ok(Math.abs(norm(scale) / scale - 5) < 1e-12, String(scale));
    assert.equal(norm(0), 0);
  });
});

describe("run.json, the mask and the status in a run's folder", () => {
  it('say where the run was started and with which options, what it queries, and how it ended', () =>
    withFolder(async (path) => {
      const masks: Uint8Array[] = [];
      const during: string[] = [];
      const folder = await trainIn(path, {}, 3, async (run, model, { step }) => {
        const { tensors } = await readSafetensors(new RunFolder(path).mask);
        assert.deepEqual([...tensors.keys()].sort(), model.tensors.map(({ name }) => name).sort());
        const at = OPTIONS.estimator.coordinates!(model, { seed: 1, step, epoch: Math.floor(step / 3) });
        const queried = model.tensors.flatMap(({ name, shape, offset }) => {
          const { dtype, shape: found, data } = tensors.get(name)!;
          assert.deepEqual([dtype, found], ['BOOL', shape]);
          return [...(data as Uint8Array).entries()].filter(([, is]) => is === 1).map(([i]) => offset + i);
        });
        assert.deepEqual(queried, [...at]);
        masks.push(tensors.get('conv.weight')!.data as Uint8Array);
        during.push((await readStatus(new RunFolder(path).status)).state);
        assert.deepEqual((await readAbout(new RunFolder(path).about)).config, JSON.parse(JSON.stringify(run.config)));
      });
      assert.notDeepEqual(masks[0], masks[3]);
      assert.deepEqual(during, Array(4).fill('running'));
      const { time, ...status } = await readStatus(folder.status);
      assert.ok(Date.now() - Date.parse(time) < 60_000);
      assert.deepEqual(status, { step: 4, totalSteps: 7, within: 0, done: 0, of: 0, state: 'stopped', writer: WRITER });
      await trainIn(path);
      const { step, state } = await readStatus(folder.status);
      assert.deepEqual([step, state], [7, 'finished']);
      const { version, starts } = await readAbout(folder.about);
      const { isa, processor, node, version: here } = machine();
      assert.equal(version, here);
      assert.deepEqual(
        starts.map(({ step, host, pid, processor, ranks, isa, node }) => ({
          step,
          host,
          pid,
          processor,
          ranks,
          isa,
          node,
        })),
        [0, 4].map((step) => ({ step, host: hostname(), pid: process.pid, processor, ranks: 1, isa, node })),
      );
    }));

  it('say why the run failed, or that it was stopped in a step', () =>
    withFolder(async (path) => {
      const failing = trainIn(path, {}, Infinity, (_, model, { step }) => {
        if (step === 1) model.parameters.fill(NaN);
      });
      await assert.rejects(failing, { name: 'NonFiniteLossError' });
      const { state, message } = await readStatus(new RunFolder(path).status);
      assert.equal(state, 'failed');
      assert.match(message!, /^.*is NaN/);
      const stop = new AbortController();
      const estimate: Estimator['estimate'] = (model, batch, context) => {
        if (context.step === 4) stop.abort();
        return OPTIONS.estimator.estimate(model, batch, context);
      };
      const other = join(path, 'other');
      const stopped = trainIn(other, { signal: stop.signal, estimator: { ...OPTIONS.estimator, estimate } });
      await assert.rejects(stopped, (error) => error === stop.signal.reason);
      const status = await readStatus(new RunFolder(other).status);
      assert.deepEqual([status.state, status.step, status.message], ['stopped', 4, undefined]);
    }));

  it('tells the progress within a step, once a second', () =>
    withFolder(async (path) => {
      const seen: { within: number; done: number; of: number; step: number }[] = [];
      const estimate: Estimator['estimate'] = async (model, batch, context) => {
        context.onProgress!(30, 40);
        if (context.step === 1) {
          const file = new RunFolder(path).status;
          await until(async () => (await readStatus(file)).done > 0);
          const { within, done, of, step } = await readStatus(file);
          seen.push({ within, done, of, step });
        }
        return OPTIONS.estimator.estimate(model, batch, context);
      };
      const told: number[] = [];
      const onProgress = (done: number): void => void told.push(done);
      await trainIn(path, { steps: 2, estimator: { ...OPTIONS.estimator, estimate }, onProgress });
      const [{ within, ...counts }] = seen as [(typeof seen)[0]];
      assert.deepEqual(counts, { done: 30, of: 40, step: 1 });
      // The expensive queries come first.
      assert.ok(within > 0.75 && within < 1);
      assert.ok(told.filter((done) => done === 30).length >= 2);
    }));

  it('are written again where they are damaged, missing or stale, and the run has the same bits', () =>
    withFolder(async (path) => {
      const ends: string[] = [];
      const see = (run: TrainRun, { parameters }: Model): void => {
        if (run.step === run.totalSteps) ends.push(bits(parameters));
      };
      const whole = await trainIn(join(path, 'whole'), {}, Infinity, see);
      const folder = await trainIn(join(path, 'damaged'), {}, 4);
      await truncate(folder.about, 20);
      await truncate(folder.mask, 20);
      await writeFile(folder.status, '{"state":"running","time":"2001');
      await appendFile(folder.log, '{"step":5,"loss":0}\n{"st');
      await trainIn(folder.path, {}, Infinity, see);
      assert.equal(ends[1], ends[0]);
      assert.deepEqual(timeless(await folder.steps()), timeless(await whole.steps()));
      assert.deepEqual(await readFile(folder.mask), await readFile(whole.mask));
      assert.equal((await readStatus(folder.status)).state, 'finished');
      assert.deepEqual(
        (await readAbout(folder.about)).starts.map(({ step }) => step),
        [5],
      );
      const names = (await readdir(whole.path)).concat('run.json.broken');
      assert.deepEqual((await readdir(folder.path)).sort(), names.sort());
    }));

  it('keeps a run.json of other content, each under another name, says so, and starts no run over one that it cannot read', () =>
    withFolder(async (path) => {
      const { about } = new RunFolder(path);
      const kept = ['{"version":"1","starts', '[]', '{}'];
      for (const [i, content] of kept.entries()) {
        await writeFile(about, content);
        const warned = once(process, 'warning') as Promise<[Error]>;
        await trainIn(path, {}, i);
        const name = `run.json.broken${i === 0 ? '' : `-${i + 1}`}`;
        const [{ name: kind, message }] = await warned;
        assert.equal(kind, 'RunFolderWarning');
        assert.ok(message.startsWith(`${about}: `) && message.endsWith(`; it is kept as ${name}`), message);
        assert.equal(await readFile(join(path, name), 'utf8'), content);
        assert.equal((await readAbout(about)).starts.length, 1);
      }
      await rm(about);
      await mkdir(about);
      await assert.rejects(trainIn(path), { name: 'FileError', message: `${about}: is a folder, expected a file` });
      assert.deepEqual((await readdir(path)).filter((name) => name.includes('broken')).length, kept.length);
    }));

  it('does not end with files for viewing that cannot be written, and says so', () =>
    withFolder(async (path) => {
      const { status, mask } = new RunFolder(path);
      await mkdir(status);
      const warned = once(process, 'warning') as Promise<[Error]>;
      const folder = await trainIn(path, {}, Infinity, async () => {
        await rm(mask, { force: true, recursive: true });
        await mkdir(mask, { recursive: true });
      });
      assert.equal((await folder.steps()).length, 7);
      assert.match((await warned)[0].message, /mask\.safetensors: /);
    }));
});
