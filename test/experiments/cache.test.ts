import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { cached, cachedOptions, readCached } from '../../experiments/support/cache.js';
import type { Trial } from '../../experiments/support/trial.js';
import { runTrial } from '../../experiments/support/trial.js';
import { firstOrder, sgd } from '../../lib/index.js';
import { tinyContext, tinyNetwork, withFolder } from '../helpers/tiny.js';

const schema = v.strictObject({ value: v.number() });

describe('cached results', () => {
  it('are computed once under equal options', () =>
    withFolder(async (folder) => {
      const file = { path: join(folder, 'result.json'), schema };
      const compute = (value: number) => cached(file, { a: { b: 1 }, c: undefined }, () => Promise.resolve({ value }));
      assert.equal(await cachedOptions(file), undefined);
      assert.deepEqual([await compute(3), await compute(4)], [{ value: 3 }, { value: 3 }]);
      assert.deepEqual(await readCached(file, { a: { b: 1 } }), { value: 3 });
      assert.equal(await readCached(file, { a: { b: 2 } }), undefined);
      assert.deepEqual(await cachedOptions(file), { a: { b: 1 } });
      await assert.rejects(
        cached(file, { a: { b: 2 } }, () => Promise.resolve({ value: 5 })),
        /result\.json: is the result of other options or data: a\.b was 1 and is now 2; choose another --out$/,
      );
      await assert.rejects(
        cached(file, { a: { b: 1 }, d: 'x' }, () => Promise.resolve({ value: 5 })),
        /d was nothing and is now "x"/,
      );
      const again = (b: number, value: number) =>
        cached(file, { a: { b } }, () => Promise.resolve({ value }), 'recompute');
      assert.deepEqual(
        [await again(1, 5), await again(2, 6), await again(2, 7)].map(({ value }) => value),
        [3, 6, 6],
      );
    }));

  it('are not written where they could not be read', () =>
    withFolder(async (folder) => {
      const path = join(folder, 'result.json');
      const finite = { path, schema: v.strictObject({ value: v.pipe(v.number(), v.finite()) }) };
      const compute = () => cached(finite, {}, () => Promise.resolve({ value: NaN }));
      await assert.rejects(
        compute(),
        /^Error: The result for .*result\.json has a number that is not finite, or lacks one$/,
      );
      assert.equal(await readCached(finite, {}), undefined);
    }));

  it('are refused by name where the file is not what was written', () =>
    withFolder(async (folder) => {
      const file = { path: join(folder, 'result.json'), schema };
      const refused = async (content: string, message: RegExp): Promise<void> => {
        await writeFile(file.path, content);
        await assert.rejects(readCached(file, {}), { name: 'FileError', message });
      };
      await refused('{', /result\.json: is not JSON/);
      await refused('[1]', /result\.json: expected options to be there, received undefined$/);
      await refused('{"options":{},"value":1}', /result\.json: expected result to be there, received undefined$/);
      await refused(
        '{"options":{},"result":{"value":"1"}}',
        /result\.json: expected result\.value to be number, received "1"$/,
      );
      await refused(
        '{"options":{},"result":{"value":1,"more":2}}',
        /expected result\.more to be absent, received "more"$/,
      );
    }));

  it('of a run are checked before they are reported', () =>
    withFolder(async (folder) => {
      const context = tinyContext(folder);
      const trial: Trial = {
        ...{ key: 'run', network: tinyNetwork(), seed: 1, length: { steps: 2 } },
        estimator: () => firstOrder(),
        optimizer: sgd({ lr: 0.1 }),
      };
      await runTrial(trial, context);
      const path = join(folder, 'run', 'result.json');
      const text = await readFile(path, 'utf8');
      const edited = async (from: RegExp, to: string, message: RegExp): Promise<void> => {
        assert.match(text, from);
        await writeFile(path, text.replace(from, to));
        await assert.rejects(runTrial(trial, context), { name: 'FileError', message });
      };
      await edited(
        /"testAccuracy": [\d.]+,\n\s+"testLoss"/,
        '"testAccuracy": "high", "testLoss"',
        /result\.json: expected result\.testAccuracy to be number/,
      );
      await edited(
        /"queries": \d+/,
        '"queries": -1',
        /result\.json: expected result\.[\w.]*queries to be >=0, received -1/,
      );
      await edited(/"machine"/, '"machines"', /result\.json: expected result\.machine/);
    }));
});
