import assert from 'node:assert/strict';
import { join } from 'node:path';
import { cge } from '../../lib/estimators/cge.js';
import { Model } from '../../lib/model/model.js';
import { adam, sgd } from '../../lib/optimizers/optimizers.js';
import { cosine } from '../../lib/optimizers/schedules.js';
import type { RunChange } from '../../lib/training/checkpoint.js';
import type { TrainOptions } from '../../lib/training/options.js';
import { train } from '../../lib/training/train.js';
import { OPTIONS, trained, withCheckpoint } from '../helpers/trained.js';
import { tinyNetwork, tinyTensors, withFolder } from '../helpers/tiny.js';

describe('a checkpoint', () => {
  it('is resumed by a run of the same length in epochs', async () => {
    await withCheckpoint(async (file) => {
      const whole = await trained(OPTIONS, tinyTensors());
      const rest = await trained({ ...OPTIONS, steps: undefined, epochs: 2, resume: file }, tinyTensors());
      assert.equal(rest.parameters, whole.parameters);
    });
  });

  describe('that is resumed with changes', () => {
    const mayChange = true;
    const lr = (peak: number) => cosine({ peak, warmupEpochs: 1 });

    it('goes on at its position under the new length, learning rate, momentum and weight decay', async () => {
      await withFolder(async (folder) => {
        const file = join(folder, 'run.safetensors');
        // The rate is constant, so a longer run begins like a shorter one.
        const options = { ...OPTIONS, optimizer: sgd({ lr: 0.05, momentum: 0.9 }) };
        await trained(options, tinyTensors(), 6, file);
        const long = await trained({ ...options, steps: 10 }, tinyTensors());
        const longer = await trained({ ...options, steps: 10, resume: file, mayChange }, tinyTensors());
        assert.equal(longer.parameters, long.parameters);
        assert.deepEqual(longer.steps, long.steps.slice(6));

        await trained(OPTIONS, tinyTensors(), 3, file);
        const optimizer = sgd({ lr: lr(0.2), momentum: 0.5, nesterov: true, weightDecay: 0 });
        const changed = await trained({ ...OPTIONS, steps: 9, optimizer, resume: file, mayChange }, tinyTensors());
        assert.deepEqual(
          changed.steps.map((step) => step.lr),
          [3, 4, 5, 6, 7, 8].map((step) => lr(0.2).at({ step, stepsPerEpoch: 3, epochs: 3 })),
        );
        assert.notEqual(changed.parameters, (await trained({ ...OPTIONS, steps: 9 }, tinyTensors())).parameters);
      });
    });

    it('lists what changed and when, in this and all later checkpoints', async () => {
      await withCheckpoint(async (file) => {
        const resumed = async (options: Partial<TrainOptions>, until: number): Promise<readonly RunChange[]> => {
          using model = new Model(tinyNetwork());
          const run = train(model, tinyTensors(), { ...OPTIONS, ...options, resume: file });
          assert.deepEqual(run.changes, []);
          const made = await run.resume();
          assert.deepEqual(made, run.changes.slice(run.changes.length - made.length));
          counts.push(made.length);
          for await (const { step } of run) if (step + 1 === until) break;
          await run.save(file);
          return run.changes;
        };
        const counts: number[] = [];
        const before = Date.now();
        const first = await resumed({ steps: 8, mayChange }, 5);
        const optimizer = sgd({ lr: 0.01, momentum: 0.9, weightDecay: 0 });
        const second = await resumed({ steps: 8, optimizer, mayChange }, 6);
        assert.deepEqual(await resumed({ steps: 8, optimizer }, 7), second);
        assert.deepEqual(
          second.map(({ step, option, from, to }) => ({ step, option, from, to })),
          [
            { step: 3, option: 'steps', from: 6, to: 8 },
            { step: 5, option: 'optimizer.lr', from: OPTIONS.optimizer.lr.config, to: { kind: 'constant', lr: 0.01 } },
            { step: 5, option: 'optimizer.weightDecay', from: 5e-4, to: 0 },
          ],
        );
        assert.deepEqual(first, second.slice(0, 1));
        assert.deepEqual(counts, [1, 2, 0]);
        for (const { time } of second) assert.ok(Date.parse(time) >= before && Date.parse(time) <= Date.now(), time);
      });
    });

    it('lists every option of the optimizer that changed', async () => {
      await withCheckpoint(async (file) => {
        using model = new Model(tinyNetwork());
        const optimizer = sgd({ lr: lr(0.2), momentum: 0.5, nesterov: true, weightDecay: 0 });
        const run = train(model, tinyTensors(), { ...OPTIONS, optimizer, resume: file, mayChange });
        await run.resume();
        assert.deepEqual(
          run.changes.map(({ option }) => option).sort(),
          ['lr', 'momentum', 'nesterov', 'weightDecay'].map((name) => `optimizer.${name}`),
        );
      });
    });

    it('changes nothing that the results so far depend on', async () => {
      const others: [string, Partial<TrainOptions>][] = [
        ['seed to be 1', { seed: 2 }],
        ['batchSize to be 8', { batchSize: 4 }],
        ['augment to be false', { augment: true }],
        ['optimizer\\.kind to be "sgd"', { optimizer: adam({ lr: 0.1 }) }],
        ['estimator\\.mu to be 0\\.005', { estimator: cge({ mu: 1e-3, sparsity: 0.5, redrawEvery: 1 }) }],
      ];
      await withCheckpoint(async (file) => {
        for (const [message, options] of others) {
          await assert.rejects(trained({ ...OPTIONS, ...options, resume: file, mayChange }, tinyTensors()), {
            name: 'FileError',
            message: new RegExp(`run\\.safetensors: expected ${message}`),
          });
        }
        const images = trained({ ...OPTIONS, resume: file, mayChange }, tinyTensors(24, 2));
        await assert.rejects(images, /run\.safetensors: expected dataset\.content to be /);
        const network = tinyNetwork();
        const layers = network.layers.with(3, { type: 'maxPool', kernel: 4 });
        using model = new Model({ ...network, layers });
        const run = train(model, tinyTensors(), { ...OPTIONS, resume: file, mayChange });
        await assert.rejects(run.resume(), /run\.safetensors: expected network\.layers\.3\.kernel to be 2/);
        const other = trained({ ...OPTIONS, seed: 2, resume: file, mayChange }, tinyTensors());
        await assert.rejects(other, /: a resumed run can only change steps and the options of its optimizer, /);
      });
    });

    it('is not made shorter than the steps done', async () => {
      await withCheckpoint(async (file) => {
        await assert.rejects(trained({ ...OPTIONS, steps: 2, resume: file, mayChange }, tinyTensors()), {
          name: 'InvalidArgumentError',
          option: 'steps',
          message: 'Expected steps to be at least 3 steps, those done, received 2 steps',
        });
        await assert.rejects(
          trained({ ...OPTIONS, steps: undefined, epochs: 0.5, resume: file, mayChange }, tinyTensors()),
          {
            option: 'epochs',
            message: 'Expected epochs to be at least 3 steps, those done, received 2 steps',
          },
        );
      });
    });

    it('refuses a change that no step would follow', async () => {
      await withCheckpoint(async (file) => {
        await trained(OPTIONS, tinyTensors(), 6, file);
        const optimizer = sgd({ lr: 0.01, momentum: 0.9 });
        await assert.rejects(trained({ ...OPTIONS, optimizer, resume: file, mayChange }, tinyTensors()), {
          name: 'InvalidArgumentError',
          option: 'steps',
          message:
            'Expected steps to be more than 6 steps, those done, for a change of optimizer.lr to have an effect, received 6 steps',
        });
      });
    });

    it('can end at the steps done', async () => {
      await withCheckpoint(async (file) => {
        const ended = await trained({ ...OPTIONS, steps: 3, resume: file, mayChange }, tinyTensors());
        assert.deepEqual(ended.steps, []);
      });
    });

    it('has the bits of a run that changed nothing, if it changes nothing', async () => {
      await withCheckpoint(async (file) => {
        const same = await trained({ ...OPTIONS, resume: file, mayChange }, tinyTensors());
        assert.equal(same.parameters, (await trained(OPTIONS, tinyTensors())).parameters);
      });
    });
  });
});
