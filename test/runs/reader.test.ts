import assert from 'node:assert/strict';
import { appendFile, mkdir, readFile, rename, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findRuns, namesOf, runsIn } from '../../lib/runs/find.js';
import { pictureOf } from '../../lib/runs/mask.js';
import { RunReader } from '../../lib/runs/reader.js';
import { RunFolder } from '../../lib/training/folder.js';
import { writeSafetensors } from '../../lib/support/safetensors.js';
import { appendSteps, lineOf, writeRun } from '../helpers/run-folders.js';
import { withFolder } from '../helpers/tiny.js';

/** Reads all there is. */
async function read(reader: RunReader): Promise<void> {
  while (await reader.update());
}

/** What a reader knows, to compare with another's. */
function knowledge({ series, gradientNorms, density, summary, failed, bestTest, ignoredLines }: RunReader) {
  return [series.rows(), gradientNorms.rows(), density.rows(), summary, failed, bestTest, ignoredLines];
}

/** Fails unless a reader that has followed a run knows what a new one finds. */
async function assertUpToDate(reader: RunReader): Promise<void> {
  await read(reader);
  const other = new RunReader(reader.files.folder.path, reader.name);
  await read(other);
  assert.deepEqual(knowledge(reader), knowledge(other));
}

describe('a reader of a run', () => {
  it('reads what a run writes', async () => {
    await withFolder(async (folder) => {
      await writeRun(folder, { steps: 250, state: 'finished' });
      const reader = new RunReader(folder, 'a');
      await read(reader);
      assert.equal(reader.series.length, 250);
      assert.equal(reader.summary?.steps, 250);
      assert.equal(reader.summary.queries, 250 * 2400);
      assert.equal(reader.summary.test?.step, 199);
      assert.equal(reader.summary.state, 'finished');
      assert.equal(reader.mask?.[0]?.name, 'conv1.weight');
      assert.equal(reader.density.rows().columns['fc.weight']?.mean[0], 0.05);
      assert.deepEqual(reader.summary.problems, []);
      const versions = { ...reader.versions };
      await read(reader);
      assert.deepEqual(reader.versions, versions, 'nothing has changed');
    });
  });

  it('reads logs of earlier versions, and folders without anything', async () => {
    await withFolder(async (folder) => {
      const reader = new RunReader(folder, 'a');
      await read(reader);
      assert.equal(reader.summary?.steps, 0);
      await writeRun(folder, { steps: 20, isOld: true });
      await assertUpToDate(reader);
      assert.equal(reader.summary.queries, 20 * 2400);
    });
  });

  it('follows a log that grows by any bytes, is cut, replaced or removed', async () => {
    await withFolder(async (folder) => {
      const log = join(folder, 'log.jsonl');
      const reader = new RunReader(folder, 'a');
      await appendSteps(folder, 0, 30);
      await assertUpToDate(reader);
      // A line comes in parts.
      const line = lineOf(30);
      for (const part of [line.slice(0, 1), line.slice(1, 40), line.slice(40, -1), '\n']) {
        await appendFile(log, part);
        await assertUpToDate(reader);
      }
      assert.equal(reader.summary?.steps, 31);
      // The run is killed within a line, and resumed at an earlier step: the log is cut, and grows beyond its old length.
      await appendFile(log, lineOf(31).slice(0, 25));
      await assertUpToDate(reader);
      const lines = (await readFile(log, 'utf8')).split('\n');
      await truncate(log, lines.slice(0, 20).join('\n').length + 1);
      await appendSteps(folder, 20, 40, { seed: 2 });
      await assertUpToDate(reader);
      assert.equal(reader.summary.steps, 40);
      // Cut alone.
      await truncate(log, lines.slice(0, 10).join('\n').length + 1);
      await assertUpToDate(reader);
      assert.equal(reader.summary.steps, 10);
      // Replaced by another.
      await writeFile(join(folder, 'new'), lineOf(0, { seed: 3 }));
      await rename(join(folder, 'new'), log);
      await assertUpToDate(reader);
      assert.equal(reader.summary.steps, 1);
      await rm(log);
      await assertUpToDate(reader);
      assert.equal(reader.summary.steps, 0);
    });
  });

  it('ignores lines that are none, however long', async () => {
    await withFolder(async (folder) => {
      const log = join(folder, 'log.jsonl');
      const bad = [
        'x',
        '[]',
        '{"step":-1}',
        '{"step":"2"}',
        '{"loss":1}',
        '',
        `"${'y'.repeat(3 * 2 ** 20)}"`,
        '\u0000',
      ];
      await writeFile(log, `${lineOf(0)}${bad.join('\n')}\n${lineOf(1)}{"step":1,"loss":7}\n{"step":2,"loss":null}\n`);
      const reader = new RunReader(folder, 'a');
      await assertUpToDate(reader);
      assert.equal(reader.summary?.steps, 3);
      assert.equal(reader.series.rows().columns['loss']?.mean[2], null);
      // The longest is skipped as a whole, the empty one does not count.
      assert.equal(reader.ignoredLines, 7);
      assert.match(reader.summary.problems.join(), /log\.jsonl: has lines that are no steps$/);
    });
  });

  it('reads a million steps in bounded memory, a part at a time', async function () {
    await withFolder(async (folder) => {
      const log = join(folder, 'log.jsonl');
      for (let from = 0; from < 1_000_000; from += 50_000) {
        const line = (_: unknown, i: number) =>
          `{"step":${from + i},"loss":${(from + i) % 10},"queries":2,"seconds":1}\n`;
        await appendFile(log, Array.from({ length: 50_000 }, line).join(''));
      }
      const reader = new RunReader(folder, 'a');
      const before = process.memoryUsage().arrayBuffers;
      let parts = 1;
      while (await reader.update()) parts++;
      assert.ok(parts > 30, `${parts} parts`);
      assert.ok(process.memoryUsage().arrayBuffers - before < 2 ** 26);
      assert.equal(reader.series.width, 512);
      assert.equal(reader.summary?.queries, 2_000_000);
      await appendFile(log, '{"step":1000000,"loss":1,"queries":2,"seconds":1}\n');
      assert.equal(await reader.update(), false);
      assert.equal(reader.summary.steps, 1_000_001);
    });
  });

  it('keeps what one step of many shows, and little of long names', async () => {
    await withFolder(async (folder) => {
      const name = (end: string) => `${'x'.repeat(20_000)}${end}`;
      const line = (_: unknown, step: number) => {
        const norm = step === 3000 ? 1000 : 1;
        const layers = { fc: norm, ...(step === 0 && { [name('a')]: 1, [name('b')]: 2 }) };
        return `${JSON.stringify({ step, loss: 1, gradientNorm: norm, updateNorm: norm, gradientNorms: layers, density: { [name('a')]: 1 } })}\n`;
      };
      await appendFile(
        join(folder, 'log.jsonl'),
        Array.from({ length: 5000 }, line)
          .map((text, i) => (i % 1000 === 0 ? text : text.replace(/,"density":.*/, '}')))
          .join(''),
      );
      await writeSafetensors(join(folder, 'mask.safetensors'), new Map([[name('a'), { dtype: 'BOOL', shape: [1], data: Uint8Array.of(1) }]])); // prettier-ignore
      const reader = new RunReader(folder, 'a');
      await read(reader);
      const { columns } = reader.series.rows();
      for (const column of ['gradientNorm', 'updateNorm'])
        assert.equal(Math.max(...columns[column]!.max!.map(Number)), 1000);
      const layers = reader.gradientNorms.rows().columns;
      assert.equal(Math.max(...layers['fc']!.max!.map(Number)), 1000);
      const names = [...Object.keys(layers), ...Object.keys(reader.density.rows().columns), reader.mask![0]!.name];
      assert.equal(names.length, 5);
      assert.ok(names.every((one) => one.length <= 200));
    });
  });

  it('follows no link, waits for no pipe, and says what it cannot read until it can', async () => {
    await withFolder(async (folder) => {
      const [run, secret] = [join(folder, 'run'), join(folder, 'secret.json')];
      await mkdir(run);
      await writeFile(secret, `{"options":{"password":"hunter2"},"step":0,"loss":4711}\n`);
      for (const name of ['log.jsonl', 'config.json', 'mask.safetensors']) await symlink(secret, join(run, name));
      await writeFile(join(run, 'run.json'), '{');
      const reader = new RunReader(run, 'a');
      await read(reader);
      const { files, summary, mask } = reader;
      assert.deepEqual([files.settings.size, summary?.steps, mask], [0, 0, undefined]);
      assert.equal(summary?.problems.length, 4);
      assert.match(
        summary.problems.slice().sort().join(),
        /log\.jsonl: is a symbolic link.*mask\.safetensors: is not a regular file.*run\.json: is not JSON/,
      );
      for (const name of ['log.jsonl', 'config.json', 'mask.safetensors']) await rm(join(run, name));
      await rm(join(run, 'run.json'));
      await read(reader);
      assert.deepEqual(reader.summary?.problems, []);
    });
  });

  it('tells a killed run from one that goes on', async () => {
    await withFolder(async (folder) => {
      await writeRun(folder, { steps: 3 });
      const reader = new RunReader(folder, 'a');
      await read(reader);
      assert.equal(reader.summary?.state, 'running');
      const file = join(folder, 'status.json');
      const old = { ...(JSON.parse(await readFile(file, 'utf8')) as object), time: '2026-01-01T00:00:00Z' };
      await writeFile(file, JSON.stringify(old));
      {
        await using _ = await RunFolder.open(folder);
        await read(reader);
        assert.equal(reader.summary.state, 'running');
      }
      await read(reader);
      assert.equal(reader.summary.state, 'killed');
      await writeFile(file, '{"state":"dancing"}');
      await read(reader);
      assert.equal(reader.summary.state, 'stopped');
      assert.match(reader.summary.problems.join(), /status\.json: expected /);
    });
  });
});

describe('pictures of masks', () => {
  it('count the coordinates of each cell', () => {
    const mask = Uint8Array.from({ length: 128 * 2 }, (_, i) => Number(i % 4 === 0));
    const picture = pictureOf('a', [128, 2], mask);
    assert.deepEqual([picture.rows, picture.columns, picture.kept], [64, 2, 64]);
    assert.deepEqual([...Buffer.from(picture.cells, 'base64')].slice(0, 4), [128, 0, 128, 0]);
  });

  it('are one row for a vector, and empty for nothing', () => {
    const vector = pictureOf('b', [3], Uint8Array.of(0, 1, 0));
    assert.deepEqual([vector.rows, vector.columns, vector.kept], [1, 3, 1]);
    for (const shape of [[0], [0, 3], [3, 0]]) assert.equal(pictureOf('c', shape, new Uint8Array(0)).cells, '');
  });
});

describe('the runs in a folder', () => {
  it('are those with files of a run, the latest first, without links', async () => {
    await withFolder(async (folder) => {
      assert.deepEqual(await runsIn(join(folder, 'none')), []);
      for (const [i, name] of ['a', 'b', 'c'].entries()) {
        await writeRun(join(folder, name), { steps: 1, isOld: true });
        for (const file of ['log.jsonl', 'config.json'])
          await utimes(join(folder, name, file), 0, 1000 + (i === 1 ? 9 : i));
      }
      await mkdir(join(folder, 'empty'));
      await symlink(join(folder, 'a'), join(folder, 'link'));
      await writeFile(join(folder, 'file'), '');
      const found = await runsIn(folder);
      assert.deepEqual(
        found.map(({ path }) => path),
        ['b', 'c', 'a'].map((name) => join(folder, name)),
      );
      assert.deepEqual(await findRuns([join(folder, 'link')]), [join(folder, 'link')]);
    });
  });

  it('are named by as much of their paths as tells them apart', () => {
    assert.deepEqual(namesOf(['runs/a', 'runs/b/']), ['a', 'b']);
    assert.deepEqual(namesOf(['x/runs/a', 'y/runs/a', './b']), ['x/runs/a', 'y/runs/a', 'b']);
    assert.deepEqual(namesOf(['/', '/a', '/b/a']), ['/', 'a', 'b/a']);
  });
});
