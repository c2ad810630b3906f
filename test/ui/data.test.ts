import assert from 'node:assert/strict';
import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RunReader } from '../../lib/runs/reader.js';
import { compareSettings, settingsIn, shownSetting } from '../../lib/runs/settings.js';
import { Feed } from '../../lib/ui/feed.js';
import { changesOf } from '../../lib/ui/messages.js';
import type { Cursor } from '../../lib/ui/messages.js';
import {
  count,
  duration,
  durationTick,
  largeCount,
  measured,
  NONE,
  number,
  percent,
  time,
} from '../../lib/ui/page/data/format.js';
import { METRICS } from '../../lib/ui/page/data/metrics.js';
import { positions, sampled, smoothed, summaryOf } from '../../lib/ui/page/data/series.js';
import { fractionDone, secondsLeft, Store } from '../../lib/ui/page/data/store.js';
import { RunFolder } from '../../lib/training/folder.js';
import { lineOf, writeRun } from '../helpers/run-folders.js';
import { withFolder } from '../helpers/tiny.js';

/** A page's store that has received all messages on a run. */
function storeOf(reader: RunReader): Store {
  const store = new Store();
  store.receive({ type: 'runs', runs: [{ id: 0, name: 'a' }], left: 0 });
  store.receive(changesOf(reader, 0, undefined)!.message);
  return store;
}

describe('messages to the page', () => {
  it('make of changes what a whole message makes, while a log grows beyond its buckets and starts again', async () => {
    await withFolder(async (folder) => {
      const reader = new RunReader(folder, 'a');
      const store = new Store();
      store.receive({ type: 'runs', runs: [{ id: 0, name: 'a' }], left: 0 });
      let cursor: Cursor | undefined;
      const update = async () => {
        while (await reader.update());
        const changes = changesOf(reader, 0, cursor);
        if (!changes) return;
        cursor = changes.cursor;
        store.receive(JSON.parse(JSON.stringify(changes.message)) as typeof changes.message);
      };
      await update();
      let from = 0;
      for (const steps of [1, 3, 200, 1, 1, 3000, 1, 2500, 7]) {
        const lines = Array.from({ length: steps }, (_, i) => lineOf(from + i));
        await appendFile(join(folder, 'log.jsonl'), lines.join(''));
        from += steps;
        await update();
        const [known, whole] = [store.runs[0]!, storeOf(reader).runs[0]!];
        for (const table of ['series', 'gradientNorms', 'density'] as const)
          assert.deepEqual(known[table], whole[table]);
      }
      assert.equal(changesOf(reader, 0, cursor), undefined);
      await writeRun(join(folder), { steps: 5 });
    });
  });

  it('hold the columns that the page plots, and those that it plots along', async () => {
    await withFolder(async (folder) => {
      await writeRun(folder, { steps: 120, failed: 1 });
      const reader = new RunReader(folder, 'a');
      while (await reader.update());
      const { columns } = changesOf(reader, 0, undefined)!.message.series!;
      const read = [...METRICS.map(({ column }) => column), 'totalQueries', 'time'];
      assert.deepEqual(Object.keys(columns).sort(), read.sort());
    });
  });

  it('hold settings, starts, and remarks', async () => {
    await withFolder(async (folder) => {
      await writeRun(folder, { steps: 3 });
      await appendFile(join(folder, 'log.jsonl'), 'x\n');
      const reader = new RunReader(folder, 'a');
      await reader.update();
      const { about, summary } = changesOf(reader, 7, undefined)!.message;
      const settings = new Map(about!.settings);
      assert.deepEqual(['network.name', 'estimator.sparsity', 'network.layers.0.shape', 'deepzero'].map((path) => settings.get(path)), ['resnet20', 0.9, [16, 3, 3, 3], '0.1.0']); // prettier-ignore
      assert.equal(about!.starts[0]?.['threads'], 16);
      assert.match(summary!.problems.join(), /log\.jsonl: has lines that are no steps$/);
    });
  });
});

describe('the feed of runs', () => {
  it('follows the latest of many runs and says how many it leaves out', async () => {
    await withFolder(async (folder) => {
      for (let i = 0; i < 53; i++) await writeRun(join(folder, `run-${i}`), { steps: 0, isOld: true });
      const feed = new Feed({ folder });
      await feed.update();
      assert.deepEqual([feed.list.runs.length, feed.list.left], [50, 3]);
    });
  });
});

describe('the data of the page', () => {
  it('are smoothed from the first value on, beside gaps', () => {
    assert.deepEqual(smoothed([4, null, 4, 4], 0.9, 1).map((value) => value?.toFixed(6) ?? null), ['4.000000', null, '4.000000', '4.000000']); // prettier-ignore
    assert.deepEqual(smoothed([1, 2], 0, 1), [1, 2]);
    const [, second] = smoothed([0, 1], 0.5, 1);
    assert.ok(Math.abs(second! - 2 / 3) < 1e-12);
    // Where each value is the mean of two steps, the past counts as much as by single steps.
    const single = smoothed([0, 0, 6, 6, 3, 3], 0.7, 1).filter((_, i) => i % 2 === 1);
    smoothed([0, 6, 3], 0.7, 2).forEach((value, i) => {
      assert.ok(Math.abs(value! - single[i]!) < 1e-12);
    });
  });

  it('lie along steps, queries and time', async () => {
    await withFolder(async (folder) => {
      await writeRun(folder, { steps: 3, queries: 10 });
      const reader = new RunReader(folder, 'a');
      await reader.update();
      const { series } = storeOf(reader).runs[0]!;
      assert.deepEqual(positions(series!, 'step'), [0, 1, 2]);
      assert.deepEqual(positions(series!, 'queries'), [10, 20, 30]);
      assert.equal(positions(series!, 'time').length, 3);
    });
  });

  it('say how long a run will take', async () => {
    await withFolder(async (folder) => {
      await writeRun(folder, { steps: 100, totalSteps: 200, state: 'running' });
      const reader = new RunReader(folder, 'a');
      while (await reader.update());
      const [run] = storeOf(reader).runs;
      assert.ok(Math.abs(secondsLeft(run!)! - 99.55 * 2.4) < 1e-9);
      assert.ok(Math.abs(fractionDone(run!)! - 100.45 / 200) < 1e-12);
    });
  });

  it('say it with what tests take, without pauses, and before the first step is done', async () => {
    await withFolder(async (folder) => {
      const at = (second: number) => new Date(Date.UTC(2026, 0, 5) + 1000 * second).toISOString();
      const machine = { host: 'a', pid: 1, processor: 'b', threads: 1, ranks: 1, isa: 'c', node: 'd' };
      const start = (step: number, second: number) => ({ step, time: at(second), ...machine });
      const write = async (name: string, value: object) => writeFile(join(folder, name), JSON.stringify(value));
      const log = (...lines: (readonly [step: number, second: number])[]) => {
        const entry = ([step, second]: readonly [number, number]) => ({
          step,
          queries: 2,
          seconds: 0.1,
          time: at(second),
        });
        return appendFile(join(folder, 'log.jsonl'), lines.map((line) => `${JSON.stringify(entry(line))}\n`).join(''));
      };
      const reader = new RunReader(folder, 'a');
      const left = async (step: number, within: number, second: number) => {
        await write('status.json', {
          state: 'running',
          step,
          totalSteps: 11,
          within,
          done: 0,
          of: 2,
          time: at(second),
        });
        await reader.update();
        const { runs } = storeOf(reader);
        const times = runs[0]!.series ? positions(runs[0]!.series, 'time') : [];
        return [Number(secondsLeft(runs[0]!)?.toFixed(6)), times.at(-1)];
      };
      // While it is locked, an old status is not that of a killed run.
      await using _ = await RunFolder.open(folder);
      await write('run.json', { version: '0.1.0', config: {}, starts: [start(0, 0)] });
      assert.deepEqual(await left(0, 0, 1), [NaN, undefined]);
      assert.deepEqual(await left(0, 0.5, 10), [20 * 10.5, undefined]);
      // Steps of 4 s, and 6 s for a test after every other.
      await log([0, 10], [1, 14], [2, 24], [3, 28]);
      assert.deepEqual(await left(4, 0, 28), [7 * 7, 28]);
      // Resumed after a pause: the new start tells what its steps take.
      await write('run.json', { version: '0.1.0', config: {}, starts: [start(0, 0), start(4, 1000)] });
      assert.deepEqual(await left(4, 0.5, 1001), [6.5 * 7, 28]);
      await log([4, 1002], [5, 1004]);
      assert.deepEqual(await left(6, 0, 1004), [5 * 2, 32]);
    });
  });

  it('are compared: settings that differ, then those that do not', () => {
    const { different, equal } = compareSettings([
      [
        ['lr', '0.1'],
        ['mu', '1'],
      ],
      [
        ['mu', '1'],
        ['lr', '0.2'],
        ['seed', '3'],
      ],
    ]);
    assert.deepEqual(different, [
      { path: 'lr', values: ['0.1', '0.2'] },
      { path: 'seed', values: [undefined, '3'] },
    ]);
    assert.deepEqual(equal, [{ path: 'mu', values: ['1', '1'] }]);
    const nested = { layers: [1, { size: 2, none: null }], shape: [3, 32], empty: [] };
    assert.deepEqual([...settingsIn(nested)], [['layers.0', 1], ['layers.1.size', 2], ['shape', [3, 32]], ['empty', []]]); // prettier-ignore
    assert.deepEqual([[0.1234567, 2], [], 0.1 + 0.2, 2 ** 52 + 1, 'a'].map(shownSetting), ['0.123457, 2', '[]', '0.3', '4503599627370497', 'a']); // prettier-ignore
    assert.equal(settingsIn(Array(10_000).fill(1)).size, 5000);
    assert.equal(settingsIn({ ['x'.repeat(2 ** 18)]: Array(100).fill(1) }).size, 3);
  });

  it('are summed up and sampled', () => {
    assert.equal(summaryOf('a', [null, 3, 1, 2], String), 'a: from 3 to 2, lowest 1, highest 3');
    assert.equal(summaryOf('a', [3, 2], String, [[1, null], [3, 9]]), 'a: from 3 to 2, lowest 1, highest 9'); // prettier-ignore
    assert.equal(summaryOf('a', [null], String), 'a: no values');
    assert.deepEqual(sampled(3, 16), [0, 1, 2]);
    assert.deepEqual(sampled(101, 3), [0, 50, 100]);
  });

  it('are legible numbers', () => {
    assert.deepEqual([0, 0.0123456, 12.3456, 1234.5, 1.5e-7, 2e9, -0.5].map(number), ['0', '0.01235', '12.35', '1,235', '1.5e-7', '2e9', '-0.5']); // prettier-ignore
    assert.deepEqual([0, 0.352, 100, 999.97, 1200, 5e-4, 2e9].map(measured), ['0', '0.3520', '100.0', '1,000', '1,200', '5.000e-4', '2.000e9']); // prettier-ignore
    assert.deepEqual([null, undefined, NaN, Infinity].map(number), [NONE, NONE, NONE, NONE]);
    assert.deepEqual([0.5, 1, 0, 0.0001234].map(percent), ['50.0 %', '100.0 %', '0.0 %', '0.01 %']);
    assert.deepEqual([0.0005, 0.5, 3.14, 60, 600, 5400, 7500, 360_000].map(duration), ['0.5 ms', '500 ms', '3.1 s', '60 s', '10 min', '1 h 30 min', '2 h 5 min', '4 d 4 h']); // prettier-ignore
    assert.deepEqual([undefined, -1, Infinity].map(duration), [NONE, NONE, NONE]);
    assert.deepEqual([0, 0.5, 30, 60, 90, 150, 5400, 172_800].map(durationTick), ['0 s', '500 ms', '30 s', '1 min', '1.5 min', '2.5 min', '1.5 h', '2 d']); // prettier-ignore
    assert.deepEqual([999, 12_345, 4_324_800, 2e9].map(largeCount), ['999', '12.3 k', '4.32 M', '2 G']);
    assert.equal(count(1_234_567.4), '1,234,567');
    assert.match(time('2026-01-05T09:00:00Z'), /^2026-01-05 \d\d:00:00$/);
    assert.equal(time('yesterday'), 'yesterday');
  });
});
