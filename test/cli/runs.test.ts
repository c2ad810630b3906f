import assert from 'node:assert/strict';
import { readdir, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunSummary } from '../../lib/runs/types.js';
import { RunFolder } from '../../lib/training/folder.js';
import { deepzero, fails, json, stoppedAfter, writeImages } from '../helpers/command.js';
import { at, START, writeRun } from '../helpers/small-runs.js';
import { withFolder } from '../helpers/tiny.js';
import { readLog, RECIPE } from '../helpers/train-command.js';

describe('deepzero runs', () => {
  it('lists the runs, the newest first, and names broken folders', () =>
    withFolder(async (path) => {
      assert.deepEqual(await json(['runs'], { cwd: path }), { runs: [] });
      await fails(['runs', 'none'], 1, /none: no such file or directory$/, { cwd: path });
      await writeRun(join(path, 'runs/old'));
      await writeRun(join(path, 'runs/漢字'), { starts: [{ ...START, time: at(25) }], status: { state: 'finished' } });
      const broken = await writeRun(join(path, 'runs/broken'), { starts: [{ ...START, time: at(20) }] });
      await truncate(broken.status, 10);
      const { code, stdout, stderr } = await deepzero(['runs'], { cwd: path });
      assert.deepEqual([code, stderr], [0, '']);
      assert.deepEqual(stdout.split('\n').slice(0, 5), [
        'run     state     network  estimator   steps   loss  accuracy  test accuracy  queries  time',
        '漢字    finished  tiny     sparse-cge  40/50  65.50    27.0 %         50.0 %      120  15 s',
        'broken  stopped   tiny     sparse-cge  40/50  65.50    27.0 %         50.0 %      120  20 s',
        'old     stopped   tiny     sparse-cge  40/50  65.50    27.0 %         50.0 %      120  40 s',
        '',
      ]);
      assert.match(stdout.split('\n')[5]!, /^runs\/broken\/status\.json: is not JSON: /);
    }));

  it('says what makes a run, and what continues one of the command', () =>
    withFolder(async (path) => {
      const shown = async (): Promise<string> => (await deepzero(['runs'], { cwd: path })).stdout;
      assert.equal(await shown(), 'No runs in runs: deepzero train writes them into runs/.\n');
      await writeRun(join(path, 'runs/program'));
      await writeRun(join(path, 'runs/done'), { status: { state: 'finished' } });
      await writeFile(join(path, 'runs/done/config.json'), '{}');
      assert.doesNotMatch(await shown(), /To continue/);
      for (const name of ['a', 'b b']) {
        await writeRun(join(path, 'runs', name), { starts: [{ ...START, time: at(name.length) }] });
        await writeFile(join(path, 'runs', name, 'config.json'), '{}');
      }
      assert.match(await shown(), /\n\nTo continue: deepzero train --resume 'runs\/b b', and 1 more\n$/);
      await rm(join(path, 'runs/a'), { recursive: true });
      assert.match(await shown(), /\n\nTo continue: deepzero train --resume 'runs\/b b'\n$/);
    }));

  it('compares runs: settings that differ, and results side by side', () =>
    withFolder(async (path) => {
      const [a, b] = [join(path, 'a'), join(path, 'b')];
      await writeRun(a, { config: { optimizer: { lr: 0.1, momentum: 0.9 }, layers: [1, { size: 2 }] } });
      await writeRun(b, { steps: 12, config: { optimizer: { lr: 0.2 }, layers: [1, { size: 3 }] } });
      const result = await json(['runs', '--compare', b, a]);
      assert.deepEqual(result['settings'], {
        'optimizer.lr': [0.2, 0.1],
        'layers.1.size': [3, 2],
        'optimizer.momentum': [null, 0.9],
      });
      const { stdout } = await deepzero(['runs', '--compare', b, a]);
      assert.match(stdout, /^setting +b +a$/m);
      assert.match(stdout, /^optimizer\.lr +0\.2 +0\.1$/m);
      assert.match(stdout, /^optimizer\.momentum +– +0\.9$/m);
      assert.match(stdout, /^loss +93\.50 +65\.50$/m);
      assert.match(stdout, /^loss after 12 steps +93\.50 +93\.50$/m);
      await fails(
        ['runs', '--compare', a],
        2,
        /Expected --compare with the folders of two runs at least, received 1 run$/,
      );
      await fails(['runs', '--compare', '--tensorboard', a], 2, /Expected --compare or --tensorboard, received both$/);
    }));

  it('compares networks layer by layer, after the settings that a layer cannot hide', () =>
    withFolder(async (path) => {
      const [a, b] = [join(path, 'a'), join(path, 'b')];
      const config = (count: number, lr: number): object => ({
        network: { layers: Array.from({ length: count }, (_, i) => ({ name: `conv${i}`, channels: 16 })) },
        optimizer: { lr },
      });
      await writeRun(a, { config: config(3, 0.1) });
      await writeRun(b, { config: config(60, 0.2) });
      const { stdout } = await deepzero(['runs', '--compare', b, a]);
      const shown = stdout.split('\n').slice(1, 4);
      assert.deepEqual(
        shown.map((line) => line.split(/ +/)),
        [
          ['optimizer.lr', '0.2', '0.1'],
          ['network.layers.3.name', 'conv3', '–'],
          ['network.layers.3.channels', '16', '–'],
        ],
      );
      assert.match(stdout, /^And 75 more settings, which --json lists\.$/m);
    }));

  it('writes event files from logs, and leaves runs under way and broken logs out', () =>
    withFolder(async (path) => {
      const [a, b, c] = ['a', 'b', 'c'].map((name) => join(path, name)) as [string, string, string];
      for (const run of [a, b, c]) await writeRun(run);
      await writeFile(join(b, 'log.jsonl'), 'x\n');
      // Those that changed last come first: one that can be written after one that cannot.
      for (const name of await readdir(a)) await utimes(join(a, name), 1, 1);
      await using open = await RunFolder.open(c);
      const { written, skipped } = await json(['runs', '--tensorboard', path]);
      assert.deepEqual(written, [a]);
      const messages = (skipped as { message: string }[]).map(({ message }) => message.slice(path.length)).sort();
      assert.deepEqual(messages, [
        '/b/log.jsonl: expected line 1 to be the log entry of step 0',
        '/c: is in use by another run, of this or another process',
      ]);
      assert.ok(open.isOpen);
      assert.equal((await readdir(a)).filter((name) => name.includes('tfevents')).length, 1);
    }));

  it('reads what deepzero train leaves, also where that was killed, and its end', () =>
    withFolder(async (path) => {
      const run = join(path, 'run');
      const args = [
        'train',
        ...RECIPE,
        '--data',
        await writeImages(path),
        '--epochs',
        '2',
        '--tensorboard',
        '--out',
        run,
      ];
      await stoppedAfter(12, 'SIGKILL', args);
      const [killed] = (await json(['runs', path]))['runs'] as RunSummary[];
      assert.deepEqual([killed!.state, killed!.steps, killed!.totalSteps], ['killed', (await readLog(run)).length, 14]);
      const { test } = await json(['train', '--resume', run]);
      const [whole] = (await json(['runs', run]))['runs'] as RunSummary[];
      assert.deepEqual(
        [whole!.state, whole!.steps, whole!.estimator, whole!.problems],
        ['finished', 14, 'sparse-cge', []],
      );
      const { loss, accuracy } = test as { loss: number; accuracy: number };
      assert.deepEqual(whole!.test, { step: 13, loss, accuracy });
      assert.ok(whole!.seconds! > 0);
      for (const file of ['log.jsonl', 'status.json']) await rm(join(run, file));
      const [saved] = (await json(['runs', run]))['runs'] as RunSummary[];
      assert.deepEqual([saved!.state, saved!.steps], ['finished', 14]);
    }));
});
