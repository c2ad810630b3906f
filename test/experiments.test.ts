import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { synthetic } from '../lib/data/synthetic.js';
import { kept, renewed } from '../lib/experiments/kept.js';
import { plotSvg } from '../lib/experiments/plot.js';
import type { Report, ReportRow } from '../lib/experiments/report.js';
import { csv } from '../lib/experiments/report.js';
import { accuracyOf, pointsOf, Runs } from '../lib/experiments/runs.js';
import { searchRate } from '../lib/experiments/search.js';
import { table1 } from '../lib/experiments/table1.js';
import type { Laboratory, Trial } from '../lib/experiments/training.js';
import { runTrial } from '../lib/experiments/training.js';
import { exists } from '../lib/files.js';
import { RunFolder, RunLog } from '../lib/run-folder.js';
import { rge } from '../lib/estimators.js';
import { firstOrder } from '../lib/first-order.js';
import { sgd } from '../lib/optimizers.js';
import type { LoggedStep } from '../lib/training-loop.js';
import { machineInWords } from '../lib/words.js';
import { fails, json, outcomeOf, start } from './support/command.js';
import { tinyImages, tinyNetwork, withFolder } from './support/tiny.js';

/** What of a report's rows does not depend on time. */
function courseOf(rows: readonly ReportRow[]): object[] {
  return rows.map((row) =>
    Object.fromEntries(Object.entries(row).filter(([column]) => !/hours|minutes|seconds|PerSecond/i.test(column))),
  );
}

async function experiment(name: string, out: string, more: readonly string[] = []): Promise<ReportRow[]> {
  const result = await json(['experiment', name, '--quick', '--out', out, ...more]);
  const rows = result['rows'] as ReportRow[];
  for (const row of rows) {
    for (const [column, value] of Object.entries(row)) {
      if (typeof value === 'number') assert.ok(Number.isFinite(value), `${column} is ${value}`);
    }
  }
  const report = JSON.parse(await readFile(join(out, `${name}.json`), 'utf8')) as Record<string, unknown>;
  assert.equal(report['experiment'], name);
  assert.deepEqual(report['rows'], rows);
  const lines = (await readFile(join(out, `${name}.csv`), 'utf8')).trimEnd().split('\n');
  assert.equal(lines.length, 1 + rows.length);
  assert.deepEqual(lines[0]!.split(','), Object.keys(rows[0]!));
  const svg = await readFile(join(out, `${name}.svg`), 'utf8');
  assert.match(svg, /^<svg .*<\/svg>\n$/s);
  assert.ok(!svg.includes('NaN') && !svg.includes('undefined'), svg);
  return rows;
}

/** Waits for what a process brings about. */
async function until(happened: () => Promise<boolean>, child: { exitCode: number | null }): Promise<void> {
  while (!(await happened()) && child.exitCode === null) await setTimeout(20);
}

async function linesOf(file: string): Promise<number> {
  return (await readFile(file, 'utf8').catch(() => '')).split('\n').length - 1;
}

function tinyLaboratory(out: string): Laboratory {
  const data = { train: tinyImages(), test: tinyImages(12, 2) };
  const signal = new AbortController().signal;
  const quiet = { onStatus: () => undefined, onNote: () => undefined };
  return { data, out, batchSize: 8, threads: 1, memory: undefined, signal, ...quiet };
}

describe('experiments', () => {
  it('fig1: first order, CGE and RGE at every size, beside the published figures', () =>
    withFolder(async (folder) => {
      const rows = await experiment('fig1', folder);
      assert.deepEqual(
        rows.map((row) => [row['method'], row['parameters'], row['published'], row['queriesPerStep']]),
        [
          ['FO', 730, 42.09, 1],
          ['FO', 3700, 60.47, 1],
          ['CGE', 730, 41.65, 731],
          ['CGE', 3700, 59.66, 3701],
          ['RGE, q = d', 730, 37.53, 731],
          ['RGE, q = d', 3700, 50.06, 3701],
          ['RGE per tensor, q = d', 730, null, 731],
          ['RGE per tensor, q = d', 3700, null, 3701],
        ],
      );
      // All is there, to the time that it took: nothing is trained again.
      assert.deepEqual(await experiment('fig1', folder), rows);
    })).timeout(300_000);

  it('resume to the same result after being killed or stopped, and say so of another instruction set', () =>
    withFolder(async (folder) => {
      // 312 steps an epoch; the learning rate is chosen by runs of the same length.
      const args = ['--methods', 'cge', '--sizes', '730', '--epochs', '2.2', '--search-epochs', '2.2'];
      const expected = courseOf(await experiment('fig1', join(folder, 'whole'), args));
      const out = join(folder, 'parts');
      const run = new RunFolder(join(out, 'cnn-730-cge-lr0.03-epochs2.2-seed0'));
      const stopped = async (
        signal: NodeJS.Signals,
        when: (stdout: string) => Promise<boolean> | boolean,
        env: Record<string, string> = {},
      ): Promise<number | null> => {
        const child = start(['experiment', 'fig1', '--quick', '--out', out, ...args], { env });
        let stdout = '';
        child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
        const ended = outcomeOf(child);
        await until(async () => await when(stdout), child);
        child.kill(signal);
        const { code } = await ended;
        assert.ok(!(await exists(join(run.path, 'result.json'))));
        return code;
      };
      assert.equal(await stopped('SIGKILL', async () => (await linesOf(run.log)) >= 5), null);
      assert.ok(!(await exists(run.checkpoint)));
      assert.equal(await stopped('SIGKILL', () => exists(run.checkpoint)), null);
      const before = await linesOf(run.log);
      assert.equal(await stopped('SIGINT', async () => (await linesOf(run.log)) > before), 130);
      const elsewhere = { DEEPZERO_ISA: 'portable' };
      assert.equal(await stopped('SIGKILL', (stdout) => stdout.includes('goes on under portable'), elsewhere), null);
      assert.deepEqual(courseOf(await experiment('fig1', out, args)), expected);
      const other = ['experiment', 'fig1', '--quick', '--out', out, ...args, '--batch-size', '8'];
      await fails(other, 1, /cnn-730-cge-lr0\.03-epochs2\.2-seed0/);
      await fails(['experiment', 'fig1', '--quick', '--sizes', '730,730'], 2, /Expected --sizes to be each value once/);
    })).timeout(300_000);

  it('fig3: three ways without back-propagation within one budget', () =>
    withFolder(async (folder) => {
      const rows = await experiment('fig3', folder);
      assert.deepEqual(
        rows.map(({ method }) => method),
        ['DeepZero', 'FG-W', 'Pattern Search'],
      );
      for (const { queries, steps } of rows) {
        assert.ok(Math.abs((queries as number) - 3000) <= (queries as number) / (steps as number), `${queries}`);
      }
    })).timeout(300_000);

  it('fig4: every method at every sparsity', () =>
    withFolder(async (folder) => {
      const rows = await experiment('fig4', folder);
      const of = (name: string): ReportRow[] => rows.filter(({ method }) => (method as string).startsWith(name));
      assert.deepEqual(
        ['FO, dense', 'FO, sparse gradient', 'DeepZero', 'FO, sparse weights'].map((name) =>
          of(name).map(({ sparsity }) => sparsity),
        ),
        [[0], [0.8, 0.99], [0.8, 0.99], [0.8, 0.99]],
      );
      const [dense, sparse] = of('DeepZero').map(({ queriesPerStep }) => queriesPerStep as number);
      assert.ok(dense! > 1.5 * sparse!);
    })).timeout(300_000);

  it('fig5: hours by size and reuse', () =>
    withFolder(async (folder) => {
      const rows = await experiment('fig5', folder);
      assert.equal(rows.length, 8);
      const incremental = rows.filter(({ reuse }) => reuse === 'incremental');
      assert.deepEqual(
        incremental.map(({ parameters }) => parameters),
        [730, 3700],
      );
      // 5,000 generated images make 312 batches of 16.
      for (const { hours, secondsPerStep, queriesPerSecond, parameters } of rows as Record<string, number>[]) {
        assert.ok(Math.abs(hours! / ((secondsPerStep! * 312 * 50) / 3600) - 1) < 1e-3);
        assert.ok(Math.abs((queriesPerSecond! * secondsPerStep!) / parameters! - 1) < 0.5);
      }
      const half = await experiment('fig5', folder, ['--epochs', '25']);
      for (const [i, { hours, published, secondsPerStep }] of half.entries()) {
        assert.equal(secondsPerStep, rows[i]!['secondsPerStep']);
        assert.ok(Math.abs((2 * (hours as number)) / (rows[i]!['hours'] as number) - 1) < 1e-3);
        assert.equal(published, rows[i]!['published'] === null ? null : (rows[i]!['published'] as number) / 2);
      }
    })).timeout(300_000);

  it("table1: CGE's cosine with the first-order gradient is near 1, RGE's near √(q/(q + d))", () =>
    withFolder(async (folder) => {
      const rows = await experiment('table1', folder);
      for (const { method, cosineInitially, cosineTrained } of rows) {
        const [low, high] = method === 'CGE' ? [0.9, 1] : [0.6, 0.8];
        for (const cosine of [cosineInitially, cosineTrained] as number[]) {
          assert.ok(cosine > low && cosine <= high, `${String(method)}: ${cosine}`);
        }
      }
    })).timeout(300_000);

  it('keep results under their options', () =>
    withFolder(async (folder) => {
      const file = join(folder, 'kept.json');
      const compute = (value: number) => kept(file, { a: 1, b: undefined }, () => Promise.resolve({ value }));
      assert.equal((await compute(3)).value, 3);
      assert.equal((await compute(4)).value, 3);
      await assert.rejects(
        kept(file, { a: 2 }, () => Promise.resolve({})),
        /kept\.json: is the result of other options/,
      );
      const renew = (a: number, value: number) => renewed(file, { a }, () => Promise.resolve({ value }));
      assert.deepEqual([(await renew(1, 5)).value, (await renew(2, 6)).value, (await renew(2, 7)).value], [3, 6, 6]);
    })).timeout(300_000);

  describe('at a learning rate that diverges', () => {
    const among = (check: (laboratory: Laboratory, trialOf: (rate: number) => Trial) => Promise<void>) => () =>
      withFolder(async (folder) => {
        await check(tinyLaboratory(folder), (rate) => ({
          ...{ key: `rate-${rate}`, network: tinyNetwork(), seed: 1, length: { steps: 30 } },
          estimator: () => firstOrder(),
          optimizer: sgd({ lr: rate }),
        }));
      });

    it(
      'pass over it in a search, which goes by the training loss',
      among(async (laboratory, trialOf) => {
        const make = (trial: Trial) => runTrial(trial, laboratory);
        const { rate, losses } = await searchRate([1e-6, 0.3, 1e38], trialOf, make);
        assert.equal(rate, 0.3);
        assert.ok(losses[0.3]! < losses[1e-6]!);
        assert.equal(losses[1e38], null);
        const none = await searchRate([1e38, 1e37], trialOf, make);
        assert.deepEqual(none, { rate: 1e37, losses: { 1e37: null, 1e38: null } });
        // What is done is read again, even by the same process.
        assert.deepEqual(await searchRate([1e-6, 0.3, 1e38], trialOf, make), { rate, losses });
      }),
    );

    it(
      'count a run whose last test alone is not finite',
      among(async (laboratory, trialOf) => {
        const trial: Trial = { ...trialOf(1e19), length: { steps: 1 }, testEvery: 3 };
        const result = await runTrial(trial, laboratory);
        assert.ok('diverged' in result);
        assert.deepEqual(await runTrial(trial, laboratory), result);
        assert.equal(await exists(join(laboratory.out, trial.key, 'model.safetensors')), false);
      }),
    );

    it(
      'count the run and go on',
      among(async (laboratory, trialOf) => {
        const seen: string[] = [];
        const told = { ...laboratory, onStatus: (status: string) => void seen.push(status) };
        const runs: Runs = new Runs(3, told, () => {
          seen.push(`${runs.group('one')!.results.length} done`);
          return Promise.resolve();
        });
        await runs.makeGroups([1e38, 0.3, 0.1].map((rate) => ['one', trialOf(rate)] as const));
        const { accuracy, lowest, highest, ...counts } = accuracyOf(runs.group('one')!);
        assert.deepEqual(counts, { runs: 2, diverged: 1 });
        assert.ok(lowest! <= accuracy! && accuracy! <= highest!);
        assert.deepEqual(
          seen.filter((text) => text.endsWith('done')),
          ['0 done', '1 done', '2 done'],
        );
        assert.ok(seen.some((text) => text.startsWith('run 3 of 3: ')));
        const none = { results: [], diverged: 1, machine: '' };
        assert.deepEqual(pointsOf({ ...accuracyOf(none), machine: '' }, 1), []);
      }),
    );
  });

  it('read what is done before they make the rest, in the order given', () =>
    withFolder(async (folder) => {
      const laboratory = tinyLaboratory(folder);
      const trialOf = (key: string): Trial => ({
        ...{ key, network: tinyNetwork(), seed: 1, length: { steps: 1 } },
        estimator: () => firstOrder(),
        optimizer: sgd({ lr: 0.1 }),
      });
      const names = ['a', 'b', 'c', 'd'];
      for (const done of ['d', 'b']) await runTrial(trialOf(done), laboratory);
      const seen: string[] = [];
      const runs: Runs = new Runs(names.length, laboratory, () => {
        seen.push(names.filter((name) => runs.group(name)).join(''));
        return Promise.resolve();
      });
      await runs.makeGroups(names.map((name) => [name, trialOf(name)] as const));
      assert.deepEqual(seen, ['b', 'bd', 'abd', 'abcd']);

      const result = join(folder, 'd', 'result.json');
      const content = JSON.parse(await readFile(result, 'utf8')) as object;
      await writeFile(result, JSON.stringify({ ...content, machine: 'another' }));
      const again = new Runs(names.length, laboratory, () => Promise.resolve());
      await again.makeGroups(['d', 'a', 'b'].map((name) => ['all', trialOf(name)] as const));
      assert.equal(again.group('all')!.results.length, 3);
      assert.equal(again.group('all')!.machine, `another; ${machineInWords(1)}`);
    }));

  it('sum up a run as its log has it', () =>
    withFolder(async (folder) => {
      const laboratory = tinyLaboratory(folder);
      const trial: Trial = {
        ...{ key: 'run', network: tinyNetwork(), seed: 1, length: { steps: 25 }, testEvery: 10 },
        estimator: () => rge({ mu: 1e-3, queries: 2 }),
        optimizer: sgd({ lr: 0.1 }),
      };
      const result = await runTrial(trial, laboratory);
      assert.ok(!('diverged' in result));
      const log = (await readFile(join(folder, 'run', 'log.jsonl'), 'utf8')).trimEnd().split('\n').map((line) => JSON.parse(line) as LoggedStep); // prettier-ignore
      const near = (a: number, b: number): void => {
        assert.ok(Math.abs(a - b) <= 1e-12 * Math.abs(b), `${a} is not ${b}`);
      };
      near(result.seconds, log.reduce((sum, { seconds }) => sum + seconds, 0)); // prettier-ignore
      near(result.loss, (log[22]!.loss + log[23]!.loss + log[24]!.loss) / 3);
      assert.deepEqual([result.steps, result.queries], [25, 75]);
      assert.deepEqual(
        result.course.map(({ steps, queries }) => [steps, queries]),
        [
          [10, 30],
          [20, 60],
          [25, 75],
        ],
      );
      near(result.course[1]!.loss, log.slice(10, 20).reduce((sum, { loss }) => sum + loss, 0) / 10); // prettier-ignore
      assert.equal(result.course[0]!.testAccuracy, log[9]!.test!.accuracy);
      assert.equal(result.course[2]!.testAccuracy, result.testAccuracy);
    }));

  it('name every machine that a run was made on', () =>
    withFolder(async (folder) => {
      const stop = new AbortController();
      const laboratory = { ...tinyLaboratory(folder), signal: stop.signal };
      const trial: Trial = {
        ...{ key: 'run', network: tinyNetwork(), seed: 1, length: { steps: 4 } },
        estimator: () => firstOrder(),
        optimizer: sgd({ lr: 0.1 }),
      };
      const onStatus = (): void => {
        stop.abort();
      };
      await assert.rejects(runTrial(trial, { ...laboratory, onStatus }), { name: 'AbortError' });
      const { log } = new RunFolder(join(folder, 'run'));
      const [step] = await RunLog.steps(log);
      const here = machineInWords(1);
      assert.equal(step!.machine, here);
      await RunLog.amend(log, { ...step!, machine: 'another' });
      const result = await runTrial(trial, tinyLaboratory(folder));
      assert.ok(!('diverged' in result));
      assert.equal(result.machine, `another; ${here}`);
      assert.deepEqual(
        (await RunLog.steps(log)).map(({ machine }) => machine),
        ['another', here, undefined, undefined],
      );
    }));

  it('keep a run under what it learns from, what it moves and what it is tested on', () =>
    withFolder(async (folder) => {
      const laboratory = tinyLaboratory(folder);
      const trialOf = (...coordinates: number[]): Trial => ({
        ...{ key: 'run', network: tinyNetwork(), seed: 1, length: { steps: 2 } },
        estimator: () => firstOrder({ coordinates: Uint32Array.from(coordinates) }),
        optimizer: sgd({ lr: 0.1 }),
      });
      const result = await runTrial(trialOf(0, 1), laboratory);
      assert.deepEqual(await runTrial(trialOf(1, 0), laboratory), result);
      const other = /trial\.json: is the result of other options or data/;
      await assert.rejects(runTrial(trialOf(0, 2), laboratory), other);
      const data = { ...laboratory.data, test: tinyImages(12, 3) };
      const stopped = { ...trialOf(0, 1), key: 'stopped', length: { steps: 200 }, testEvery: 1 };
      const aborted = AbortSignal.timeout(0);
      await assert.rejects(runTrial(stopped, { ...laboratory, signal: aborted }), { name: 'TimeoutError' });
      for (const [trial, within] of [
        [trialOf(0, 1), { ...laboratory, data }],
        [stopped, { ...laboratory, data }],
        [{ ...stopped, testEvery: 2 }, laboratory],
      ] as const) {
        await assert.rejects(runTrial(trial, within), other);
      }
    }));

  it('report a run before what is measured of it', () =>
    withFolder(async (folder) => {
      const { train, test } = synthetic({ train: 64, test: 32 });
      const states: Report[] = [];
      const choice = { ...{ sizes: [730], epochs: 0.5, searchEpochs: 0.25 }, seeds: [0], seconds: 0.01 };
      const last = await table1(choice, { ...tinyLaboratory(folder), data: { train, test } }, (report) => {
        states.push(report);
        return Promise.resolve();
      });
      const measured = states.map(({ rows }) => rows.map(({ accuracy, cosineTrained }) => [accuracy, cosineTrained].map((figure) => typeof figure))); // prettier-ignore
      const [before, after] = [['number', 'object'], ['number', 'number']]; // prettier-ignore
      assert.deepEqual(measured, [[before], [before, before], [after, after]]);
      assert.deepEqual(states.at(-1), last);
      assert.ok(!plotSvg(states[0]!.plot, '').includes('NaN'));
    }));

  it('write CSV that spreadsheets read', () => {
    assert.equal(csv([{ a: 1, b: 'x, "y"' }, { a: null, c: 0.5 }]), 'a,b,c\n1,"x, ""y""",\n,,0.5\n'); // prettier-ignore
  });

  it('draw points where their values are', () => {
    const points = [{ x: 1, y: 10 }, { x: 3, y: 1000, low: 100, high: 10_000 }]; // prettier-ignore
    const series = [
      { name: 'a < b', colour: 0, points },
      { name: 'theirs', colour: 0, points: [{ x: 2, y: 100 }], published: true },
    ];
    const axes = { x: { label: 'd', ticks: [1, 2, 3] }, y: { label: 'hours', logarithmic: true } };
    const svg = plotSvg({ title: 'T & U', ...axes, series }, 'footnote');
    assert.ok(svg.includes('a &lt; b') && svg.includes('T &amp; U') && svg.includes('10,000'));
    const circles = [...svg.matchAll(/<path d="M([\d.]+) ([\d.]+) m-4\.5 0a[^>]* fill="(#\w+)"/g)];
    const [first, second, , theirs] = circles.map(([, x, y, fill]) => ({ x: Number(x), y: Number(y), fill }));
    assert.equal(circles.length, 5);
    assert.ok(Math.abs(theirs!.x - (first!.x + second!.x) / 2) < 0.2);
    assert.ok(Math.abs(theirs!.y - (first!.y + second!.y) / 2) < 0.2 && first!.y > second!.y);
    assert.equal(theirs!.fill, '#ffffff');
    assert.notEqual(first!.fill, '#ffffff');
  });
});
