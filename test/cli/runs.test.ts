import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { findRuns } from '../../lib/runs/find.js';
import { endOfStep, lastSteps, lastTested, linesBackward } from '../../lib/runs/log-end.js';
import { RunFiles } from '../../lib/runs/run-files.js';
import * as summary from '../../lib/runs/summary.js';
import type { RunSummary } from '../../lib/runs/types.js';
import { withInputFile } from '../../lib/support/files.js';
import { writeSafetensors } from '../../lib/support/safetensors.js';
import { RunFolder } from '../../lib/training/folder.js';
import type { RunStatus } from '../../lib/training/record/status.js';
import { deepzero, fails, json, stoppedAfter, writeImages } from '../helpers/command.js';
import { withFolder } from '../helpers/tiny.js';
import { readLog, RECIPE } from '../helpers/train-command.js';

const START = {
  ...{ time: '2030-01-01T00:00:00.000Z', step: 0, host: 'h', pid: 1, processor: 'p', threads: 2, ranks: 1 },
  ...{ isa: 'avx2', node: 'v20.0.0' },
};

/** What is told of the run in a folder. */
async function summarise(path: string): Promise<RunSummary> {
  const files = new RunFiles(path);
  await files.update();
  return summary.summarise(files, basename(path));
}

/** A time so many seconds after the first start. */
const at = (seconds: number): string => new Date(Date.parse(START.time) + 1000 * seconds).toISOString();

const lineOf = (step: number, more: object = {}): string =>
  `${JSON.stringify({ step, loss: 100 - step, accuracy: step / 128, queries: 3, totalQueries: 3 * step + 3, ...more })}\n`;

interface Content {
  steps?: number;
  starts?: object[];
  status?: Partial<RunStatus> | undefined;
  config?: object;
  log?: string;
}

/** Writes a run's folder; its steps take a second each. */
async function writeRun(path: string, { steps = 40, starts = [START], status, config = {}, log }: Content = {}) {
  await mkdir(path, { recursive: true });
  const folder = new RunFolder(path);
  const lines = Array.from({ length: steps }, (_, step) =>
    lineOf(step, {
      time: at(step + 1),
      queriesPerSecond: 9,
      ...(step % 20 === 9 && { test: { loss: step, accuracy: 0.5 } }),
    }),
  );
  await writeFile(folder.log, log ?? lines.join(''));
  const about = {
    ...{ network: { name: 'tiny' }, estimator: { kind: 'cge', mu: 5e-3, sparsity: 0.9 }, optimizer: { lr: 0.1 } },
    ...{ steps: 50, ...config },
  };
  await writeFile(folder.about, JSON.stringify({ version: '1', config: about, starts }));
  const whole = {
    time: at(steps),
    step: steps,
    totalSteps: 50,
    within: 0,
    done: 0,
    of: 0,
    state: 'stopped',
    ...status,
  };
  await writeFile(folder.status, JSON.stringify(whole));
  return folder;
}

/** Writes a checkpoint of one tensor. */
async function writeCheckpoint({ checkpoint }: RunFolder, run: object | undefined): Promise<void> {
  const tensors = new Map([['x', { dtype: 'F32' as const, shape: [3], data: new Float32Array(3) }]]);
  await writeSafetensors(checkpoint, tensors, run && { run: JSON.stringify(run) });
}

describe("the end of a run's log", () => {
  it('is read backward, and a step is found, whatever the lengths of lines', () =>
    withFolder(async (folder) => {
      const file = join(folder, 'log');
      for (const [count, length] of [
        [1, 10],
        [700, 1000],
        [5, 400_000],
        [3000, 3],
      ] as const) {
        const lines = Array.from({ length: count }, (_, step) =>
          lineOf(step, { x: 'y'.repeat(((step * 7919) % 13) * length), ...(step === 2 && { test: { loss: 1 } }) }),
        );
        await writeFile(file, `${lines.join('')}{"step":${count},"lo`);
        await withInputFile(file, async (input) => {
          const found: string[] = [];
          for await (const line of linesBackward(input)) found.unshift(`${line.toString()}\n`);
          assert.ok(found.join('') === lines.join(''));
          const { steps, broken } = await lastSteps(input, 3);
          assert.deepEqual(
            [steps.map(({ step }) => step), broken],
            [[3, 2, 1].map((i) => count - i).filter((i) => i >= 0), 0],
          );
          assert.equal((await lastTested(input))?.step, count > 2 ? 2 : undefined);
          for (const step of [0, 1, Math.floor(count / 3), count - 2, count - 1]) {
            if (step < 0 || step >= count) continue;
            const end = (await endOfStep(input, step))!;
            assert.equal(end, lines.slice(0, step + 1).join('').length);
            assert.equal((await lastSteps(input, 1, end)).steps[0]!.step, step);
          }
          assert.equal(await endOfStep(input, count), undefined);
        });
      }
      await writeFile(file, '');
      await withInputFile(file, async (input) => {
        assert.deepEqual(await lastSteps(input, 3), { steps: [], broken: 0 });
        assert.equal(await endOfStep(input, 0), undefined);
      });
    }));
});

describe("a run's summary", () => {
  it('has its position, means over the last steps, the last test, all queries and the time without pauses', () =>
    withFolder(async (path) => {
      const starts = [START, { ...START, step: 20, time: at(1000) }, { ...START, step: 20, time: at(2000) }];
      const folder = await writeRun(join(path, 'a'), { starts });
      // The steps since the third start come after it.
      const lines = (await readFile(folder.log, 'utf8'))
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as { step: number });
      await writeFile(
        folder.log,
        lines
          .map((line) => `${JSON.stringify({ ...line, time: at(line.step + (line.step < 20 ? 1 : 2001)) })}\n`)
          .join(''),
      );
      const { problems, ...run } = await summarise(folder.path);
      assert.deepEqual(run, {
        ...{ name: 'a', path: folder.path, state: 'stopped', message: null, network: 'tiny' },
        ...{ estimator: 'sparse-cge', inProgress: null, secondsPerStep: 2 },
        ...{ steps: 40, totalSteps: 50, loss: 65.5, accuracy: 34.5 / 128, queriesPerSecond: 9 },
        test: { step: 29, loss: 29, accuracy: 0.5 },
        ...{ queries: 120, seconds: 20 + 40, processor: 'p', threads: 2, started: at(2000) },
      } satisfies Omit<RunSummary, 'problems'>);
      assert.deepEqual(problems, []);
      await writeRun(folder.path, { log: [1, 2, 3, 9].map((end, step) => lineOf(step, { time: at(end) })).join('') });
      assert.equal((await summarise(folder.path)).secondsPerStep, 3.5);
      await writeRun(folder.path, { log: [2, 4].map((seconds, step) => lineOf(step, { seconds })).join('') });
      assert.equal((await summarise(folder.path)).secondsPerStep, 3);
      await writeRun(folder.path);
      assert.equal(await summary.lossAfter(folder.path, 30), 75.5);
      assert.equal(await summary.lossAfter(folder.path, 41), null);
    }));

  it('tells a run that is under way from one that was killed, by the time and the lock', () =>
    withFolder(async (path) => {
      const stateOf = async (content: Content): Promise<string> =>
        (await summarise((await writeRun(join(path, 'a'), content)).path)).state;
      assert.equal(await stateOf({ status: { state: 'running', time: new Date().toISOString() } }), 'running');
      assert.equal(await stateOf({ status: { state: 'running' } }), 'running');
      const old = { status: { state: 'running', time: at(-1e9) } } as const;
      assert.equal(await stateOf(old), 'killed');
      for (const state of ['finished', 'failed', 'stopped'] as const)
        assert.equal(await stateOf({ status: { state } }), state);
      {
        await using open = await RunFolder.open(join(path, 'a'));
        assert.equal(await stateOf(old), 'running');
        await rm(open.status);
        assert.equal((await summarise(open.path)).state, 'running');
        await rm(open.log);
        assert.equal((await summarise(open.path)).state, 'starting');
        // Looking did not unlock it.
        await assert.rejects(RunFolder.open(open.path), /is in use by another run/);
      }
      assert.equal((await summarise(join(path, 'a'))).state, 'stopped');
    }));

  it('knows at once that a run of this machine was killed, and hears its last word', () =>
    withFolder(async (path) => {
      const { pid } = spawnSync(process.execPath, ['-e', '']);
      const files = async (start: object): Promise<RunFiles> => {
        const status = { state: 'running', time: new Date().toISOString() } as const;
        const run = await writeRun(join(path, 'a'), { starts: [{ ...START, ...start }], status });
        const found = new RunFiles(run.path);
        await found.update();
        return found;
      };
      const stateOf = async (found: RunFiles): Promise<string> => (await summary.summarise(found, 'a')).state;
      const host = hostname();
      assert.equal(await stateOf(await files({ host, pid })), 'killed');
      assert.equal(await stateOf(await files({ host: `not-${host}`, pid })), 'running');
      // In another network namespace, whose locks are not seen.
      assert.equal(await stateOf(await files({ host, pid: process.pid })), 'running');
      const ending = await files({ host, pid });
      await writeRun(join(path, 'a'), { status: { state: 'finished' } });
      assert.equal(await stateOf(ending), 'finished');
    }));

  it('names files that are broken, missing or half-written, and says what the others do', () =>
    withFolder(async (path) => {
      const folder = await writeRun(join(path, 'a'));
      await truncate(folder.about, 30);
      await writeFile(folder.status, '[]');
      await writeFile(join(folder.path, 'config.json'), '\u001b');
      const { state, steps, totalSteps, network, queries, problems } = await summarise(folder.path);
      assert.deepEqual([state, steps, totalSteps, network, queries], ['stopped', 40, null, null, 120]);
      assert.deepEqual(problems.map((problem) => /\/(\S+): /.exec(problem)![1]!.replace(/.*\//, '')).sort(), [
        'config.json',
        'run.json',
        'status.json',
      ]);
      await writeRun(folder.path, { log: `${lineOf(0)}x\n\n${lineOf(3)}{"step` });
      await rm(join(folder.path, 'config.json'));
      const broken = await summarise(folder.path);
      assert.deepEqual(
        broken.problems.map((problem) => problem.slice(folder.log.length)),
        [': has lines that are no steps', ': ends after 4 of the 40 steps done'],
      );
      await rm(folder.log);
      await symlink('/dev/zero', folder.log);
      assert.deepEqual((await summarise(folder.path)).problems, [`${folder.log}: is a symbolic link, expected a file`]);
      for (const file of await readdir(folder.path)) await rm(join(folder.path, file));
      await writeFile(folder.about, '{}');
      const empty = await summarise(folder.path);
      assert.deepEqual([empty.state, empty.steps, empty.loss, empty.seconds], ['stopped', 0, null, null]);
    }));

  it('takes its position from status and checkpoint where the log lacks the last steps, and says so', () =>
    withFolder(async (path) => {
      const folder = await writeRun(join(path, 'a'), { steps: 4, status: { state: 'finished', totalSteps: 4 } });
      await writeFile(folder.log, lineOf(0, { time: at(1) }));
      const told = async (): Promise<unknown[]> => {
        const { state, steps, loss, queries, seconds, problems } = await summarise(folder.path);
        return [state, steps, loss, queries, seconds, ...problems.map((problem) => problem.slice(folder.log.length))];
      };
      assert.deepEqual(await told(), ['finished', 4, 100, null, null, ': ends after 1 of the 4 steps done']);
      await writeCheckpoint(folder, { step: 3 });
      await rm(folder.status);
      assert.deepEqual(await told(), ['stopped', 3, 100, null, null, ': ends after 1 of the 3 steps done']);
      {
        await using open = await RunFolder.open(folder.path);
        assert.deepEqual(await told(), ['running', 1, 100, 3, 1], open.path);
      }
      await rm(folder.log);
      assert.deepEqual(await told(), ['stopped', 3, null, null, null, ': ends after 0 of the 3 steps done']);
    }));

  it('names a checkpoint whose header is broken or that does not have all its bytes', () =>
    withFolder(async (path) => {
      const folder = await writeRun(join(path, 'a'));
      const problem = async (): Promise<string> => {
        const { state, steps, problems } = await summarise(folder.path);
        assert.deepEqual([state, steps], ['stopped', 40]);
        return problems.map((one) => one.slice(folder.checkpoint.length)).join();
      };
      await writeCheckpoint(folder, { step: 40 });
      assert.equal(await problem(), '');
      const whole = await readFile(folder.checkpoint);
      await truncate(folder.checkpoint, whole.length - 1);
      assert.match(await problem(), /^: tensor "x": data ends at byte 12 of 11: the file is truncated$/);
      await truncate(folder.checkpoint, 0);
      assert.match(await problem(), /^: 0 bytes are too few for a safetensors file$/);
      await writeFile(folder.checkpoint, whole.fill(0, 12, 20));
      assert.match(await problem(), /^: the header is not JSON/);
      await writeCheckpoint(folder, { step: -1 });
      assert.match(await problem(), /^: expected step to be an integer >= 0, received -1$/i);
      await writeCheckpoint(folder, undefined);
      assert.equal(await problem(), ': expected a checkpoint, found weights without a run to resume');
    }));

  it('finds the runs in folders, and folders that are runs, each once', () =>
    withFolder(async (path) => {
      for (const name of ['a', 'b', 'c/d']) await writeRun(join(path, name));
      await mkdir(join(path, 'empty'));
      await writeFile(join(path, 'file'), '');
      const found = await findRuns([path, join(path, 'b'), join(path, 'c')]);
      assert.deepEqual(
        found.sort(),
        ['a', 'b', 'c/d'].map((name) => join(path, name)),
      );
      await assert.rejects(findRuns([join(path, 'none')]), /none: no such file or directory$/);
    }));
});

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
      await using open = await RunFolder.open(c);
      const { written, skipped } = await json(['runs', '--tensorboard', path]);
      assert.deepEqual(written, [a]);
      const messages = (skipped as { message: string }[]).map(({ message }) => message).sort();
      assert.match(messages[0]!, /b\/log\.jsonl: expected line 1 to be the log entry of step 0$/);
      assert.match(messages[1]!, /c: is in use by another run/);
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
