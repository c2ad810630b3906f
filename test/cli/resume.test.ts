import assert from 'node:assert/strict';
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withRoom } from '../../lib/cli/train/resume.js';
import { cosine } from '../../lib/optimizers/schedules.js';
import { FileError } from '../../lib/support/errors.js';
import { readSafetensors, writeSafetensors } from '../../lib/support/safetensors.js';
import { deepzero, fails, json, TINY, writeImages } from '../helpers/command.js';
import { writeRun } from '../helpers/small-runs.js';
import { withFolder } from '../helpers/tiny.js';
import { readLog, RECIPE } from '../helpers/train-command.js';

describe('deepzero train, from weights and on from a run', () => {
  it('refuses to go on with other data or other weights to start from', () =>
    withFolder(async (folder) => {
      const data = await writeImages(folder);
      const [run, next] = [join(folder, 'run'), join(folder, 'next')];
      const args = ['train', ...RECIPE, '--data', data, '--steps', '2'];
      await json([...args, '--out', run]);
      const file = join(data, 'test_batch.bin');
      const bytes = await readFile(file);
      bytes[5]! ^= 1;
      await writeFile(file, bytes);
      const other = /config\.json: the run began with other data or weights: inputs\.test\.content was "\w{16}", /;
      await fails(['train', '--resume', run], 1, other);
      bytes[5]! ^= 1;
      await writeFile(file, bytes);

      // Weights are needed until there is a checkpoint.
      const weights = join(folder, 'weights');
      await copyFile(join(run, 'model.safetensors'), weights);
      await json([...args, '--weights', weights, '--out', next]);
      await rm(weights);
      assert.equal((await json(['train', '--resume', next]))['steps'], 2);
      await rm(join(next, 'run.safetensors'));
      await fails(['train', '--resume', next], 1, /weights: file does not exist$/);
      const replaced = await readSafetensors(join(run, 'model.safetensors'));
      const bias = replaced.tensors.get('fc.bias')!;
      (bias.data as Float32Array)[0]! += 1;
      await writeSafetensors(weights, replaced.tensors, replaced.metadata);
      await fails(['train', '--resume', next], 1, /inputs\.weights was "\w{16}", and is "\w{16}" now$/);
    }));

  it('starts from weights, under the normalisation that is given', () =>
    withFolder(async (folder) => {
      const data = await writeImages(folder);
      const [first, second] = [join(folder, 'first'), join(folder, 'second')];
      const look = ['--mean', '0.5,0.5,0.5', '--std', '0.25,0.25,0.25'];
      const shared = ['--data', data, ...RECIPE.slice(TINY.length), '--ratios', 'uniform', ...look];
      const args = shared.filter((arg, i) => !/grasp|samples/.test(arg) && !/grasp|samples/.test(shared[i - 1] ?? ''));
      await json(['train', ...TINY, ...args, '--steps', '2', '--out', first]);
      const weights = join(first, 'model.safetensors');
      // The file names its network.
      await json(['train', ...args, '--weights', weights, '--epochs', '0.5', '--lr', '1e-9', '--out', second]);
      const before = (await readSafetensors(weights)).tensors.get('fc.weight')!.data as Float32Array;
      const after = (await readSafetensors(join(second, 'model.safetensors'))).tensors.get('fc.weight')!;
      (after.data as Float32Array).forEach((value, i) => {
        assert.ok(Math.abs(value - before[i]!) < 1e-6);
      });
      // 60 images make 7 steps of 8.
      assert.equal((await readLog(second)).length, 4);
      const { options } = JSON.parse(await readFile(join(second, 'config.json'), 'utf8')) as {
        options: Record<string, unknown>;
      };
      assert.deepEqual(
        [options['weights'], options['epochs'], options['network'], options['mean']],
        [weights, 0.5, null, [0.5, 0.5, 0.5]],
      );
      assert.equal((await json(['train', '--resume', second]))['steps'], 4);
      const none = ['train', ...args, '--weights', join(folder, 'none'), '--steps', '1'];
      await fails(none, 1, /none: file does not exist$/);
    }));

  it('goes on for longer and at another rate, and records what changed and when', () =>
    withFolder(async (folder) => {
      const run = join(folder, 'run');
      const data = await writeImages(folder);
      await json(['train', ...RECIPE, '--data', data, '--steps', '5', '--out', run]);
      const longer = await deepzero(['train', '--resume', run, '--epochs', '1', '--lr', '0.05', '--momentum', '0.8']);
      assert.equal(longer.code, 0, longer.stderr);
      assert.match(longer.stdout, /^Going on after 5 of 7 steps\.$/m);
      assert.match(longer.stdout, /^Changed after 5 steps: steps from 5 to 7$/m);
      assert.match(longer.stdout, /^Changed after 5 steps: optimizer\.momentum from 0\.9 to 0\.8$/m);
      assert.match(longer.stdout, /^Changed after 5 steps: optimizer\.lr\.peak from [\d.]+ to 0\.05$/m);
      const schedule = cosine({ peak: 0.05, warmupEpochs: 0.1 });
      assert.deepEqual(
        (await readLog(run)).slice(5).map(({ lr }) => lr),
        [5, 6].map((step) => schedule.at({ step, stepsPerEpoch: 7, epochs: 1 })),
      );
      const { options, changes } = JSON.parse(await readFile(join(run, 'config.json'), 'utf8')) as {
        options: Record<string, unknown>;
        changes: { step: number; time: string; option: string; from: unknown; to: unknown }[];
      };
      assert.deepEqual([options['epochs'], options['steps'], options['lr']], [1, null, 0.05]);
      assert.deepEqual(
        changes.map(({ step, option }) => [step, option]),
        [
          [5, 'optimizer.lr'],
          [5, 'optimizer.momentum'],
          [5, 'steps'],
        ],
      );
      // And without further changes, also where the last one is not in a checkpoint yet.
      assert.equal((await json(['train', '--resume', run]))['steps'], 7);
      await json(['train', '--resume', run, '--steps', '8']);
      await fails(
        ['train', '--resume', run, '--steps', '3'],
        2,
        /Expected --steps to be at least 8 steps, those done, received 3 steps$/,
      );
      await fails(
        ['train', '--resume', run, '--epochs', '0.5'],
        2,
        /Expected --epochs to be at least 8 steps, those done, received \d steps?$/,
      );
      await fails(['train', '--resume', run, '--lr', '0.01'], 2, /for a change of optimizer\.lr to have an effect/);
      for (const extra of [
        ['--seed', '1'],
        ['--data', data],
        ['--mu', '1'],
        ['--batch-size', '4'],
        ['--optimizer', 'adam'],
      ]) {
        const why = `${extra[0]} cannot be used with --resume: the results so far depend on it\\. A resumed run can change --steps, --epochs, --lr, `;
        await fails(['train', '--resume', run, ...extra], 2, new RegExp(why));
      }
      await fails(['train', '--resume', run, '--out', folder], 2, /--out cannot be used with --resume: a run stays in/);
      const both = ['train', '--resume', run, '--steps', '9', '--epochs', '2'];
      await fails(both, 2, /Expected --epochs or --steps, received both$/);
      const warmup = ['train', '--resume', run, '--schedule', 'constant'];
      assert.equal((await json([...warmup, '--steps', '9']))['steps'], 9);
      await fails(['train', '--resume', run, '--warmup-epochs', '1'], 2, /--warmup-epochs requires --schedule cosine/);
    }));

  it('makes a change again that was lost when the run was killed before its next checkpoint', () =>
    withFolder(async (folder) => {
      const run = join(folder, 'run');
      await json(['train', ...RECIPE, '--data', await writeImages(folder), '--steps', '3', '--out', run]);
      const checkpoint = join(run, 'run.safetensors');
      const before = await readFile(checkpoint);
      await json(['train', '--resume', run, '--steps', '5']);
      await writeFile(checkpoint, before);
      const { code, stdout, stderr } = await deepzero(['train', '--resume', run, '--steps', '6']);
      assert.equal(code, 0, stderr);
      assert.match(
        stdout,
        /^Going on after 3 of 6 steps, from the checkpoint; the 2 steps after it are made again\.$/m,
      );
      assert.match(stdout, /^Changed after 3 steps: steps from 3 to 6$/m);
      const { metadata } = await readSafetensors(checkpoint);
      const { changes } = JSON.parse(await readFile(join(run, 'config.json'), 'utf8')) as { changes: object[] };
      assert.deepEqual(changes, (JSON.parse(metadata['run']!) as { changes: object[] }).changes);
    }));

  it('says of a folder that it cannot continue what to do', () =>
    withFolder(async (folder) => {
      const refused = (path: string, message: RegExp): Promise<void> =>
        fails(['train', '--resume', path], 1, message, { cwd: folder });
      await refused('none', /none: no such file or directory$/);
      await writeRun(join(folder, 'runs/by program'));
      await refused(
        'runs/by program',
        /holds the run of a program, without config\.json: start that program again to /,
      );
      await refused('runs', /runs: holds folders of runs, expected that of one, such as 'runs\/by program'$/);
      await mkdir(join(folder, 'empty'));
      await refused('empty', /empty: expected a run's folder, which holds config\.json$/);
    }));

  it('says of a full disk what continues the run', () => {
    const full = (code: string): FileError =>
      new FileError('a/log.jsonl', 'no space left on device', { cause: Object.assign(new Error(), { code }) });
    const { message } = withRoom(full('ENOSPC'), 'a') as FileError;
    assert.match(
      message,
      /^a\/log\.jsonl: no space left on device: make room, then: (npx )?deepzero train --resume a$/,
    );
    const other = full('EACCES');
    assert.equal(withRoom(other, 'a'), other);
  });

  it('predicts the cost in a dry run, and leaves nothing behind', () =>
    withFolder(async (folder) => {
      const data = await writeImages(folder);
      const [out, run] = [join(folder, 'out'), join(folder, 'run')];
      const args = ['train', ...RECIPE, '--data', data, '--steps', '5'];
      const before = await readdir(folder);
      for (const place of [['--out', out], []]) {
        const cost = await json([...args, ...place, '--dry-run'], { cwd: folder });
        assert.equal(cost['steps'], 5);
        assert.ok(Number(cost['queriesPerStep']) > 0 && Number(cost['secondsPerStep']) > 0);
        assert.deepEqual(await readdir(folder), before);
      }
      await json([...args, '--out', run]);
      const files = await readdir(run);
      const contents = await Promise.all(files.map((name) => readFile(join(run, name))));
      const left = await json(['train', '--resume', run, '--steps', '8', '--dry-run']);
      assert.equal(left['steps'], 3);
      assert.deepEqual(await Promise.all(files.map((name) => readFile(join(run, name)))), contents);
      await fails([...args, '--out', run, '--dry-run'], 1, /already holds a run: continue it with --resume/);
    }));
});
