import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { endOfStep, lastSteps, lastTested, linesBackward } from '../../lib/runs/log-end.js';
import { withInputFile } from '../../lib/support/files.js';
import { lineOf } from '../helpers/small-runs.js';
import { withFolder } from '../helpers/tiny.js';

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
