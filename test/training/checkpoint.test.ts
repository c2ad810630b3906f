import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Dataset } from '../../lib/data/dataset.js';
import { cge } from '../../lib/estimators/cge.js';
import type { Estimator } from '../../lib/estimators/estimator.js';
import { rge } from '../../lib/estimators/rge.js';
import { Model } from '../../lib/model/model.js';
import { native } from '../../lib/native/addon.js';
import type { Optimizer } from '../../lib/optimizers/optimizers.js';
import { adam, sgd } from '../../lib/optimizers/optimizers.js';
import type { Tensor } from '../../lib/support/safetensors.js';
import { readSafetensors, writeSafetensors } from '../../lib/support/safetensors.js';
import { cosine, step as stepwise } from '../../lib/optimizers/schedules.js';
import type { TrainOptions } from '../../lib/training/options.js';
import { train } from '../../lib/training/train.js';
import { startRun } from '../helpers/checkpointing-run.js';
import type { Trained } from '../helpers/trained.js';
import { OPTIONS, trained, withCheckpoint, writeCheckpoint } from '../helpers/trained.js';
import { bits, tinyImages, tinyNetwork, tinyTensors, withFolder } from '../helpers/tiny.js';

/** An optimizer whose count of updates is not that of the steps. */
function idleAtEvenSteps(optimizer: Optimizer): Optimizer {
  return {
    ...optimizer,
    lr: { config: {}, at: ({ step }) => (step % 2) * 0.01 },
    update: (parameters, gradient, state, lr) => {
      if (lr > 0) optimizer.update(parameters, gradient, state, lr);
    },
  };
}

describe('a checkpoint', () => {
  const momentum = sgd({ lr: stepwise({ initial: 0.05, every: 1 }), momentum: 0.8, nesterov: true });
  const runs: Record<string, [TrainOptions, Dataset]> = {
    'sparse CGE, SGD with momentum, masks drawn every epoch': [OPTIONS, tinyTensors()],
    'augmented images': [OPTIONS, tinyImages()],
    'RGE, Adam': [
      { ...OPTIONS, estimator: rge({ mu: 5e-3, queries: 5 }), optimizer: adam({ lr: 0.01 }) },
      tinyImages(),
    ],
    'a custom optimizer that counts only the updates it makes': [
      { ...OPTIONS, optimizer: idleAtEvenSteps(adam({ lr: 0.01 })) },
      tinyTensors(),
    ],
    'given coordinates, Nesterov': [
      { ...OPTIONS, estimator: cge({ mu: 5e-3, coordinates: Uint32Array.of(80, 2, 76) }), optimizer: momentum },
      tinyTensors(),
    ],
  };
  for (const [name, [options, dataset]] of Object.entries(runs)) {
    it(`continues to the bits of an uninterrupted run: ${name}`, async () => {
      await withFolder(async (folder) => {
        const whole = await trained(options, dataset);
        for (const until of [1, 3, 5]) {
          const file = join(folder, 'run.safetensors');
          const first = await trained(options, dataset, until, file);
          assert.notEqual(first.parameters, whole.parameters);
          const second = await trained({ ...options, resume: file }, dataset);
          assert.deepEqual([...first.steps, ...second.steps], whole.steps);
          assert.equal(second.parameters, whole.parameters);
          assert.equal(second.statistics, whole.statistics);
        }
      });
    });
  }

  it('of a killed run continues to the same bits', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'run.safetensors');
      const script = fileURLToPath(new URL('../helpers/checkpointing-run.ts', import.meta.url));
      const child = spawn(process.execPath, ['--import', 'tsx', script, file], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      child.stdout.setEncoding('utf8');
      let lines = 0;
      child.stdout.on('data', (text: string) => {
        lines += text.split('\n').length - 1;
        if (lines >= 3) child.kill('SIGKILL');
      });
      const signal = await new Promise((resolve) =>
        child.on('close', (_, by) => {
          resolve(by);
        }),
      );
      assert.equal(signal, 'SIGKILL');

      const [resumed, uninterrupted] = [startRun(file), startRun()];
      const continued: number[] = [];
      for await (const { step } of resumed.run) continued.push(step);
      for await (const { step } of uninterrupted.run) assert.ok(step < 40);
      assert.ok(continued.length < 40 && continued.length > 0, `${continued.length} steps were left`);
      assert.equal(bits(resumed.model.parameters), bits(uninterrupted.model.parameters));
      assert.equal(bits(resumed.model.statistics), bits(uninterrupted.model.statistics));
    });
  });

  it('holds the run as it is when it is called for, though training goes on', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'run.safetensors');
      using model = new Model(tinyNetwork(), { seed: 1 });
      const run = train(model, tinyTensors(), OPTIONS);
      let saving = Promise.resolve();
      for await (const { step } of run) if (step === 1) saving = run.save(file);
      await saving;
      const two = await trained(OPTIONS, tinyTensors(), 2);
      using loaded = await Model.load(file);
      assert.equal(bits(loaded.parameters), two.parameters);
      assert.equal((await trained({ ...OPTIONS, resume: file }, tinyTensors())).parameters, bits(model.parameters));
    });
  });

  it('holds the model as it is when it is called for, though others write to that', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'run.safetensors');
      using model = new Model(tinyNetwork(), { seed: 1 });
      const before = bits(model.parameters);
      const saving = train(model, tinyTensors(), OPTIONS).save(file);
      model.parameters.fill(0);
      await saving;
      using loaded = await Model.load(file);
      assert.equal(bits(loaded.parameters), before);
    });
  });

  it('is a weights file, with momentum and mask beside the weights', async () => {
    await withCheckpoint(async (file) => {
      using model = await Model.load(file);
      const three = await trained(OPTIONS, tinyTensors(), 3);
      assert.equal(bits(model.parameters), three.parameters);
      assert.equal(bits(model.statistics), three.statistics);
      const { tensors } = await readSafetensors(file);
      assert.deepEqual(tensors.get('optimizer.momentum.conv.weight')?.shape, [4, 2, 3, 3]);
      const mask = OPTIONS.estimator.coordinates!(model, { seed: 1, step: 3, epoch: 1 });
      assert.deepEqual(tensors.get('mask.coordinates')?.data, mask);
    });
  });

  it('of a finished run has nothing left to do', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'run.safetensors');
      const done = await trained(OPTIONS, tinyTensors(), 6, file);
      const again = await trained({ ...OPTIONS, resume: file }, tinyTensors());
      assert.deepEqual(again.steps, []);
      assert.equal(again.parameters, done.parameters);
    });
  });

  it('is refused by a run with other options, naming the first that differs', async () => {
    const others: [string, TrainOptions][] = [
      ['seed to be 1, as when the run was saved, received 2', { ...OPTIONS, seed: 2 }],
      ['batchSize to be 8, as when the run was saved, received 4', { ...OPTIONS, batchSize: 4 }],
      ['steps to be 6, as when the run was saved, received 7', { ...OPTIONS, steps: 7 }],
      ['steps to be 6, as when the run was saved, received 9', { ...OPTIONS, steps: undefined, epochs: 3 }],
      [
        'optimizer.momentum to be 0.9, .* received 0',
        { ...OPTIONS, optimizer: sgd({ lr: cosine({ peak: 0.1, warmupEpochs: 1 }), weightDecay: 5e-4 }) },
      ],
      ['optimizer.kind to be "sgd", .* received "adam"', { ...OPTIONS, optimizer: adam({ lr: 0.1 }) }],
      [
        'estimator.sparsity to be 0.5, .* received 0.25',
        { ...OPTIONS, estimator: cge({ mu: 5e-3, sparsity: 0.25, redrawEvery: 1 }) },
      ],
      [
        'estimator.reuse to be "incremental", .* received "layer"',
        { ...OPTIONS, estimator: cge({ mu: 5e-3, sparsity: 0.5, redrawEvery: 1, reuse: 'layer' }) },
      ],
      ['estimator.kind to be "cge", .* received "rge"', { ...OPTIONS, estimator: rge({ mu: 5e-3, queries: 1 }) }],
    ];
    await withCheckpoint(async (file) => {
      for (const [message, options] of others) {
        await assert.rejects(trained({ ...options, resume: file }, tinyTensors()), {
          name: 'FileError',
          message: new RegExp(`run\\.safetensors: expected ${message}$`),
        });
      }
      const more = trained({ ...OPTIONS, resume: file }, tinyTensors(30));
      await assert.rejects(more, /expected dataset.count to be 24, .* received 30$/);
      const different = trained({ ...OPTIONS, resume: file }, tinyTensors(24, 2));
      await assert.rejects(different, /expected dataset.content to be "\w{16}", .* received "\w{16}"$/);
    });
  });

  it('is refused by a run on other images, or under another normalisation', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'run.safetensors');
      await trained(OPTIONS, tinyImages(), 1, file);
      const resumed = (dataset: Dataset): Promise<Trained> => trained({ ...OPTIONS, resume: file }, dataset);
      await assert.rejects(resumed(tinyImages(24, 2)), /expected dataset.content to be/);
      const dark = tinyImages().withNormalization([0.5, 0.25], [0.25, 0.25]);
      await assert.rejects(resumed(dark), /expected dataset.mean.1 to be 0.5, .* received 0.25$/);
    });
  });

  it('says under which instruction set it was written', async () => {
    await withCheckpoint(async (file) => {
      using model = new Model(tinyNetwork());
      const run = train(model, tinyTensors(), { ...OPTIONS, resume: file });
      assert.equal(run.resumedIsa, undefined);
      await run.estimateCost();
      assert.equal(run.resumedIsa, native.isa);
    });
  });

  it('is the last of several that were called for at once', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'run.safetensors');
      using model = new Model(tinyNetwork(), { seed: 1 });
      const run = train(model, tinyTensors(), OPTIONS);
      const saving: Promise<void>[] = [];
      for await (const { step } of run) if (step < 4) saving.push(run.save(file));
      await Promise.all(saving);
      const four = await trained(OPTIONS, tinyTensors(), 4);
      assert.equal(bits((await Model.load(file)).parameters), four.parameters);
    });
  });

  it('is not written with a value that is not finite', async () => {
    await withCheckpoint(async (file) => {
      const before = await readFile(file);
      using model = new Model(tinyNetwork());
      const run = train(model, tinyTensors(), OPTIONS);
      model.statistics[2] = NaN;
      await assert.rejects(run.save(file), { name: 'FileError', message: /bn\.running_mean\[2\] is NaN/ });
      assert.deepEqual(await readFile(file), before);
    });
  });

  it('is refused by a run on another network, or with other coordinates', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'run.safetensors');
      const at = (...flat: number[]): TrainOptions => ({
        ...OPTIONS,
        estimator: cge({ mu: 5e-3, coordinates: Uint32Array.from(flat) }),
      });
      await trained(at(1, 2, 3), tinyTensors(), 1, file);
      await assert.rejects(
        trained({ ...at(1, 2, 4), resume: file }, tinyTensors()),
        /expected estimator\.coordinates\.digest to be ".*", as when the run was saved/,
      );
      const network = tinyNetwork();
      using model = new Model({ ...network, layers: network.layers.with(3, { type: 'maxPool', kernel: 4 }) });
      const run = train(model, tinyTensors(), { ...at(1, 2, 3), resume: file });
      await assert.rejects(run.estimateCost(), /expected network.layers.3.kernel to be 2, .* received 4$/);
    });
  });

  it('is refused where other code draws other coordinates, fewer, more or none under the same options', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'run.safetensors');
      const estimator = cge({ mu: 5e-3, coordinates: Uint32Array.of(1, 2, 3) });
      await trained({ ...OPTIONS, estimator }, tinyTensors(), 1, file);
      const drawing = (...flat: number[]): Estimator => ({ ...estimator, coordinates: () => Uint32Array.from(flat) });
      const none: Estimator = { ...estimator };
      delete none.coordinates;
      for (const other of [drawing(1, 2, 4), drawing(1, 2), drawing(1, 2, 3, 4), none]) {
        await assert.rejects(
          trained({ ...OPTIONS, estimator: other, resume: file }, tinyTensors()),
          /expected mask\.coordinates to be what the options yield at step 1$/,
        );
      }
    });
  });

  it('is refused by a run with another loss, even if that may change options', async () => {
    await withCheckpoint(async (file) => {
      using model = new Model(tinyNetwork(), { loss: 'mean-squared-error' });
      for (const mayChange of [false, true]) {
        const run = train(model, tinyTensors(), { ...OPTIONS, resume: file, mayChange });
        await assert.rejects(run.resume(), /expected loss to be "cross-entropy", .* received "mean-squared-error"/);
      }
    });
  });

  it("is refused where a tensor of the optimizer's state has another length or type, or is missing", async () => {
    await withCheckpoint(async (file) => {
      const { tensors, metadata } = await readSafetensors(file);
      const name = 'optimizer.momentum.fc.bias';
      const others: (Tensor | undefined)[] = [
        { dtype: 'F32', shape: [2], data: new Float32Array(2) },
        { dtype: 'F32', shape: [4], data: new Float32Array(4) },
        { dtype: 'U32', shape: [3], data: new Uint32Array(3) },
        undefined,
      ];
      for (const other of others) {
        const changed = new Map(tensors);
        if (other) changed.set(name, other);
        else changed.delete(name);
        await writeCheckpoint(file, { tensors: changed, metadata });
        const resumed = trained({ ...OPTIONS, resume: file }, tinyTensors());
        await assert.rejects(resumed, {
          name: 'FileError',
          message: `${file}: expected a tensor ${name} of 3 numbers`,
        });
      }
    });
  });

  it('that is damaged, missing or none is refused in one line, and the model stays as it is', async () => {
    await withCheckpoint(async (file) => {
      const content = await readFile(file);
      const refused = async (message: RegExp): Promise<void> => {
        using model = new Model(tinyNetwork(), { seed: 5 });
        const before = bits(model.parameters);
        const run = train(model, tinyTensors(), { ...OPTIONS, resume: file });
        await assert.rejects(run.save(join(file, '..', 'other')), (error: Error) => {
          assert.equal(error.name, 'FileError');
          assert.match(error.message, message);
          assert.ok(error.message.startsWith(file) && !error.message.includes('\n'), error.message);
          return true;
        });
        assert.equal(bits(model.parameters), before);
        assert.equal(run.step, 0);
      };
      await writeFile(file, content.subarray(0, content.length - 100));
      await refused(/truncated/);
      const flipped = Buffer.from(content);
      flipped[flipped.length - 101]! ^= 1;
      await writeFile(file, flipped);
      await refused(/is damaged: its content does not match its checksum/);
      await writeFile(file, 'x'.repeat(1000));
      await refused(/safetensors/);
      await writeFile(file, '');
      await refused(/0 bytes/);
      using model = new Model(tinyNetwork());
      await model.save(file);
      await refused(/expected a checkpoint, found weights without a run to resume/);
      await writeFile(file, content);
      const { tensors, metadata } = await readSafetensors(file);
      for (const format of [1, 2, 4]) {
        const other = metadata['run']!.replace('"format":3', `"format":${format}`);
        await writeSafetensors(file, tensors, { ...metadata, run: other });
        await refused(
          new RegExp(`: was written by another version \\(format ${format}, expected 3\\): start a new run; `),
        );
        using weights = await Model.load(file);
        assert.equal(weights.parameterCount, model.parameterCount);
      }
      const run = JSON.parse(metadata['run']!) as Record<string, unknown>;
      const rewrite = (text: string): Promise<void> =>
        writeCheckpoint(file, { tensors, metadata: { ...metadata, run: text } });
      await rewrite(JSON.stringify({ ...run, step: '3' }));
      await refused(/: expected step to be an integer >= 0, received "3"$/);
      await rewrite(JSON.stringify({ ...run, steps: 3 }));
      await refused(/: unknown "steps"; did you mean "step"\?$/);
      await rewrite(JSON.stringify({ ...run, updates: undefined }));
      await refused(/: expected updates to be an integer >= 0, received undefined$/);
      await rewrite(JSON.stringify({ ...run, config: [1] }));
      await refused(/: expected config to be an object, received \[1\]$/);
      await rewrite('[{"a":'.repeat(1e5) + '1' + '}]'.repeat(1e5));
      await refused(/: "run" in the metadata has objects and lists nested more than 500 deep$/);
      await rewrite('\u001b');
      await refused(/: "run" in the metadata is not JSON: [ -~]*$/);
      await rewrite(JSON.stringify({ ...run, changes: [{ step: 1 }] }));
      await refused(/: expected changes\[0\]\.time to be a non-empty string, received undefined$/);
      const renamed = [...tensors].map(([name, tensor]) => [name.replace('bn.bias', 'bn.biat'), tensor] as const);
      await writeSafetensors(file, new Map(renamed), metadata);
      await refused(/is damaged: its content does not match its checksum/);
    });
  });

  it('that cannot be written leaves the one before', async () => {
    await withCheckpoint(async (file) => {
      const before = await readFile(file);
      using model = new Model(tinyNetwork());
      const run = train(model, tinyTensors(), OPTIONS);
      await assert.rejects(run.save(join(file, 'below')), { name: 'FileError' });
      await assert.rejects(run.save(join(file, '..', 'none', 'run')), /folder does not exist/);
      assert.deepEqual(await readFile(file), before);
    });
  });
});
