import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { findRuns } from '../../lib/runs/find.js';
import { RunFiles } from '../../lib/runs/run-files.js';
import * as summary from '../../lib/runs/summary.js';
import type { RunSummary } from '../../lib/runs/types.js';
import { WRITER } from '../../lib/support/writers.js';
import { RunFolder } from '../../lib/training/folder.js';
import type { Content } from '../helpers/small-runs.js';
import { at, lineOf, START, writeCheckpoint, writeRun } from '../helpers/small-runs.js';
import { withFolder } from '../helpers/tiny.js';

/** What is told of the run in a folder. */
async function summarise(path: string): Promise<RunSummary> {
  const files = new RunFiles(path);
  await files.update();
  return summary.summarise(files, basename(path));
}

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
      const [machine, , start] = WRITER.split('-') as [string, string, string];
      const files = async (writer: string | undefined, time = new Date().toISOString()): Promise<RunFiles> => {
        const run = await writeRun(join(path, 'a'), { status: { state: 'running', time, ...(writer && { writer }) } });
        const found = new RunFiles(run.path);
        await found.update();
        return found;
      };
      const stateOf = async (found: RunFiles): Promise<string> => (await summary.summarise(found, 'a')).state;
      assert.equal(await stateOf(await files(`${machine}-${pid}-${start}`)), 'killed');
      // Another process has its number by now.
      assert.equal(await stateOf(await files(`${machine}-${process.pid}-1`)), 'killed');
      // In another network namespace, whose locks are not seen.
      assert.equal(await stateOf(await files(WRITER)), 'running');
      // Of another machine or container, and of earlier versions, only the age tells.
      for (const writer of [`${'0'.repeat(16)}-${pid}-${start}`, 'me', undefined]) {
        assert.equal(await stateOf(await files(writer)), 'running', writer);
        for (const days of [-1, 1]) {
          const other = new Date(Date.now() + days * 86_400_000).toISOString();
          assert.equal(await stateOf(await files(writer, other)), 'killed', writer);
        }
      }
      const ending = await files(`${machine}-${pid}-${start}`);
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
        assert.deepEqual((await told())[0], 'running', open.path);
      }
      // A run that was killed after 4 steps and goes on from its checkpoint, before it writes its status.
      await writeRun(folder.path, { steps: 3, status: { state: 'running', step: 4 } });
      await writeCheckpoint(folder, { step: 3 });
      assert.deepEqual(await told(), ['killed', 3, 99, 9, 3]);
      await rm(folder.status);
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
