import assert from 'node:assert/strict';
import { mkdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { amendLog, readLog, readStep, RunLog } from '../../lib/training/log.js';
import type { TrainStep } from '../../lib/training/log.js';
import { withFolder } from '../helpers/tiny.js';

describe('RunLog', () => {
  const lines = (...steps: number[]): string => steps.map((step) => `{"step":${step},"loss":1}\n`).join('');

  it('drops the lines after those of the steps done, torn ones too', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'log.jsonl');
      await writeFile(file, `${lines(0, 1, 2)}{"st`);
      const log = await RunLog.open(file, 2);
      assert.equal(await readFile(file, 'utf8'), lines(0, 1));
      await log.append(JSON.parse(lines(2)) as TrainStep);
      await log.close();
      assert.equal(await readFile(file, 'utf8'), lines(0, 1, 2));
      // Without its end a line does not count, even if the rest of it is there.
      await writeFile(file, lines(0, 1).trimEnd());
      assert.equal((await readLog(file)).length, 1);
    });
  });

  it('refuses a log without a line for each of the steps done, and leaves it as it is', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'log.jsonl');
      for (const [content, message] of [
        [lines(0, 1), 'has 2 lines, expected one for each of the 3 steps done'],
        [lines(0, 2, 1), 'expected line 2 to be the log entry of step 1'],
      ] as const) {
        await writeFile(file, content);
        await assert.rejects(RunLog.open(file, 3), { name: 'FileError', message: `${file}: ${message}` });
        assert.equal(await readFile(file, 'utf8'), content);
      }
    });
  });
});

describe('readLog', () => {
  it('refuses a line that is torn, of another step or nested deeply, by file and number', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'log.jsonl');
      const deep = '[{"a":'.repeat(1e5) + '1' + '}]'.repeat(1e5);
      const first = '{"step":0,"loss":1}';
      for (const line of ['{"st', '{"step":2,"loss":1}', `{"step":1,"loss":1,"deep":${deep}}`, '7', '\u001b[2J']) {
        await writeFile(file, `${first}\n${line}\n`);
        await assert.rejects(readLog(file), {
          name: 'FileError',
          message: `${file}: expected line 2 to be the log entry of step 1`,
        });
        assert.deepEqual(await readStep(file, 0), JSON.parse(first));
      }
    });
  });
});

describe('a log', () => {
  const entry = (step: number): TrainStep => {
    return { step, epoch: 0, loss: 1 / (step + 1), lr: 0.1, queries: 3, seconds: 1, queriesPerSecond: 3, machine: 'µ' };
  };

  it('is read in parts, and cut and amended at a line', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'log.jsonl');
      // 2 MB, which are read in two parts.
      const steps = Array.from({ length: 20000 }, (_, step) => entry(step));
      const text = (count: number): string =>
        steps
          .slice(0, count)
          .map((step) => `${JSON.stringify(step)}\n`)
          .join('');
      await writeFile(file, `${text(20000)}{"step`);
      assert.deepEqual(await readLog(file), steps);
      assert.deepEqual(await readStep(file, 19000), steps[19000]);
      const log = await RunLog.open(file, 18000);
      await log.append(steps[18000]!);
      await log.close();
      assert.equal(await readFile(file, 'utf8'), text(18001));
      const test = { loss: 1, count: 3 };
      await amendLog(file, { ...steps[18000]!, test });
      assert.equal(await readFile(file, 'utf8'), `${text(18000)}${JSON.stringify({ ...steps[18000], test })}\n`);
    });
  });

  it('is resumed at any size and with any text after its steps', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'log.jsonl');
      const line = `${JSON.stringify(entry(0))}\n`;
      const enlarge = async (): Promise<void> => {
        await writeFile(file, line);
        await truncate(file, 2 ** 40);
      };
      await enlarge();
      assert.deepEqual(await readStep(file, 0), entry(0));
      await amendLog(file, entry(0));
      assert.equal(await readFile(file, 'utf8'), line);
      await enlarge();
      await (await RunLog.open(file, 1)).close();
      assert.equal(await readFile(file, 'utf8'), line);
      await enlarge();
      await assert.rejects(readLog(file), /log\.jsonl: expected lines of at most 16777216 bytes, found a longer one$/);
    });
  });

  it('names its file and the reason where it cannot be opened', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'log.jsonl');
      const refused = async (message: string): Promise<void> => {
        await assert.rejects(RunLog.open(file, 0), { name: 'FileError', message: `${file}: ${message}` });
      };
      await symlink('/dev/full', file);
      await refused('is not a regular file');
      await rm(file);
      await symlink(join(folder, 'none', 'log'), file);
      await refused('no such file or directory');
      await rm(file);
      await mkdir(file);
      await refused('is a folder, expected a file');
    });
  });
});
