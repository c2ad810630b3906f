import assert from 'node:assert/strict';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cnnOf } from '../../experiments/cnn.js';
import { fig3, FIG3_METHODS } from '../../experiments/fig3.js';
import { fig4, FIG4_METHODS } from '../../experiments/fig4.js';
import { exists } from '../../experiments/support/cache.js';
import type { RateSearch } from '../../experiments/support/rate-search.js';
import { searchRate } from '../../experiments/support/rate-search.js';
import type { Publish, Report } from '../../experiments/support/report.js';
import { csv } from '../../experiments/support/report.js';
import { accuracyOf, pointsOf, Runs } from '../../experiments/support/runs.js';
import type { Context, Trial } from '../../experiments/support/trial.js';
import { runTrial } from '../../experiments/support/trial.js';
import { plotSvg } from '../../bench/support/plot.js';
import { table1 } from '../../experiments/table1.js';
import type { TrainStep } from '../../lib/index.js';
import {
  describeMachine,
  firstOrder,
  Model,
  NonFiniteLossError,
  rge,
  RunFolder,
  sgd,
  synthetic,
} from '../../lib/index.js';
import { amendLog } from '../../lib/training/log.js';
import { withoutTimes } from '../helpers/rows.js';
import { tinyContext, tinyImages, tinyNetwork, withFolder } from '../helpers/tiny.js';

/** A context with images for the paper's networks. */
function smallContext(out: string): Context {
  return { ...tinyContext(out), data: synthetic({ train: 64, test: 32 }) };
}

type Experiment<C> = (choice: C, context: Context, publish: Publish) => Promise<Report>;

/**
 * Compares an experiment that is stopped after every few status lines with one that is not, and its first report on `more`, which
 * is stopped at once, with the earlier one.
 */
async function endsTheSame<C>(folder: string, run: Experiment<C>, choice: C, more: C): Promise<void> {
  const whole = withoutTimes((await run(choice, smallContext(join(folder, run.name)), () => Promise.resolve())).rows);
  const context = smallContext(join(folder, `${run.name}-in-parts`));
  let last: Report | undefined;
  const publish = (report: Report): Promise<void> => {
    last = report;
    return Promise.resolve();
  };
  const stoppedAt = async (which: C, most: number): Promise<boolean> => {
    const stop = new AbortController();
    let said = 0;
    const onStatus = (): void => {
      if (++said === most) stop.abort();
    };
    try {
      await run(which, { ...context, signal: stop.signal, onStatus }, publish);
      return false;
    } catch (error) {
      assert.equal(error, stop.signal.reason);
      return true;
    }
  };
  let stops = 0;
  // Later each time, since measurements are not resumed but repeated.
  while (await stoppedAt(choice, 4 * (stops + 1))) stops++;
  assert.ok(stops > 1, `${run.name} was stopped ${stops} times`);
  assert.deepEqual(withoutTimes(last!.rows), whole);
  last = undefined;
  assert.ok(await stoppedAt(more, 1));
  assert.deepEqual(withoutTimes(last!.rows), whole);
}

describe('experiments, in parts', () => {
  describe('at a learning rate that diverges', () => {
    const among = (check: (context: Context, trialOf: (rate: number) => Trial) => Promise<void>) => () =>
      withFolder(async (folder) => {
        await check(tinyContext(folder), (rate) => ({
          ...{ key: `rate-${rate}`, network: tinyNetwork(), seed: 1, length: { steps: 30 } },
          estimator: () => firstOrder(),
          optimizer: sgd({ lr: rate }),
        }));
      });

    it(
      'ignore it in a search, which compares training losses',
      among(async (context, trialOf) => {
        const make = (trial: Trial) => runTrial(trial, context);
        const { rate, losses } = await searchRate([1e-6, 0.3, 1e38], trialOf, make);
        assert.equal(rate, 0.3);
        assert.ok(losses[0.3]! < losses[1e-6]!);
        assert.equal(losses[1e38], null);
        const none = await searchRate([1e38, 1e37], trialOf, make);
        assert.deepEqual(none, { rate: 1e37, losses: { 1e37: null, 1e38: null } });
        // Results of earlier runs are read, also by the same process.
        assert.deepEqual(await searchRate([1e-6, 0.3, 1e38], trialOf, make), { rate, losses });
      }),
    );

    it(
      'count a run whose last test alone is not finite',
      among(async (context, trialOf) => {
        const trial: Trial = { ...trialOf(1e19), length: { steps: 1 }, testEvery: 3 };
        const result = await runTrial(trial, context);
        assert.ok('diverged' in result);
        assert.deepEqual(await runTrial(trial, context), result);
        assert.equal(await exists(join(context.out, trial.key, 'model.safetensors')), false);
      }),
    );

    it(
      'count a run whose estimator cannot be made for it',
      among(async (context, trialOf) => {
        const error = new NonFiniteLossError('too far', null, null);
        const trial = { ...trialOf(0.1), estimator: () => Promise.reject(error) };
        assert.deepEqual(await runTrial(trial, context), {
          diverged: error.message,
          machine: describeMachine(context),
        });
      }),
    );

    it(
      'count the run and go on',
      among(async (context, trialOf) => {
        const seen: string[] = [];
        const told = { ...context, onStatus: (status: string) => void seen.push(status) };
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

  it('read finished runs before they make the others, in the order given', () =>
    withFolder(async (folder) => {
      const context = tinyContext(folder);
      const trialOf = (key: string): Trial => ({
        ...{ key, network: tinyNetwork(), seed: 1, length: { steps: 1 } },
        estimator: () => firstOrder(),
        optimizer: sgd({ lr: 0.1 }),
      });
      const names = ['a', 'b', 'c', 'd'];
      for (const done of ['d', 'b']) await runTrial(trialOf(done), context);
      const seen: string[] = [];
      const runs: Runs = new Runs(names.length, context, () => {
        seen.push(names.filter((name) => runs.group(name)).join(''));
        return Promise.resolve();
      });
      await runs.makeGroups(names.map((name) => [name, trialOf(name)] as const));
      assert.deepEqual(seen, ['bd', 'abd', 'abcd']);

      const result = join(folder, 'd', 'result.json');
      const content = JSON.parse(await readFile(result, 'utf8')) as { result: object };
      await writeFile(result, JSON.stringify({ ...content, result: { ...content.result, machine: 'another' } }));
      const again = new Runs(names.length, context, () => Promise.resolve());
      await again.makeGroups(['d', 'a', 'b'].map((name) => ['all', trialOf(name)] as const));
      assert.equal(again.group('all')!.results.length, 3);
      assert.equal(again.group('all')!.machine, `another; ${describeMachine({ threads: 1 })}`);
    }));

  it('summarise a run from its log', () =>
    withFolder(async (folder) => {
      const context = tinyContext(folder);
      const trial: Trial = {
        ...{ key: 'run', network: tinyNetwork(), seed: 1, length: { steps: 25 }, testEvery: 10 },
        estimator: () => rge({ mu: 1e-3, queries: 2 }),
        optimizer: sgd({ lr: 0.1 }),
      };
      const result = await runTrial(trial, context);
      assert.ok(!('diverged' in result));
      const log = (await readFile(join(folder, 'run', 'log.jsonl'), 'utf8')).trimEnd().split('\n').map((line) => JSON.parse(line) as TrainStep); // prettier-ignore
      const near = (a: number, b: number): void => {
        assert.ok(Math.abs(a - b) <= 1e-12 * Math.abs(b), `${a} is not ${b}`);
      };
      near(result.seconds, log.reduce((sum, { seconds }) => sum + seconds, 0)); // prettier-ignore
      near(result.loss, (log[22]!.loss + log[23]!.loss + log[24]!.loss) / 3);
      assert.deepEqual([result.steps, result.queries], [25, 75]);
      assert.deepEqual(
        result.learningCurve.map(({ steps, queries }) => [steps, queries]),
        [
          [10, 30],
          [20, 60],
          [25, 75],
        ],
      );
      near(result.learningCurve[1]!.loss, log.slice(10, 20).reduce((sum, { loss }) => sum + loss, 0) / 10); // prettier-ignore
      assert.equal(result.learningCurve[0]!.testAccuracy, log[9]!.test!.accuracy);
      assert.equal(result.learningCurve[2]!.testAccuracy, result.testAccuracy);
    }));

  it('name every machine that a run was made on', () =>
    withFolder(async (folder) => {
      const stop = new AbortController();
      const context = { ...tinyContext(folder), signal: stop.signal };
      const trial: Trial = {
        ...{ key: 'run', network: tinyNetwork(), seed: 1, length: { steps: 4 } },
        estimator: () => firstOrder(),
        optimizer: sgd({ lr: 0.1 }),
      };
      const onStatus = (): void => {
        stop.abort();
      };
      await assert.rejects(runTrial(trial, { ...context, onStatus }), { name: 'AbortError' });
      const { log } = new RunFolder(join(folder, 'run'));
      const [step] = await new RunFolder(join(folder, 'run')).steps();
      const here = describeMachine({ threads: 1 });
      assert.equal(step!.machine, here);
      await amendLog(log, { ...step!, machine: 'another' });
      const result = await runTrial(trial, tinyContext(folder));
      assert.ok(!('diverged' in result));
      assert.equal(result.machine, `another; ${here}`);
      assert.deepEqual(
        (await new RunFolder(join(folder, 'run')).steps()).map(({ machine }) => machine),
        ['another', here, undefined, undefined],
      );
    }));

  it('refuse to reuse a run with other training images, coordinates or test images', () =>
    withFolder(async (folder) => {
      const context = tinyContext(folder);
      const trialOf = (...coordinates: number[]): Trial => ({
        ...{ key: 'run', network: tinyNetwork(), seed: 1, length: { steps: 2 } },
        estimator: () => firstOrder({ coordinates: Uint32Array.from(coordinates) }),
        optimizer: sgd({ lr: 0.1 }),
      });
      const result = await runTrial(trialOf(0, 1), context);
      assert.deepEqual(await runTrial(trialOf(1, 0), context), result);
      const other = /(trial|result)\.json: is the result of other options or data/;
      await assert.rejects(runTrial(trialOf(0, 2), context), other);
      const data = { ...context.data, test: tinyImages(12, 3) };
      const stopped = { ...trialOf(0, 1), key: 'stopped', length: { steps: 200 }, testEvery: 1 };
      const aborted = AbortSignal.timeout(0);
      await assert.rejects(runTrial(stopped, { ...context, signal: aborted }), { name: 'TimeoutError' });
      for (const [trial, within] of [
        [trialOf(0, 1), { ...context, data }],
        [stopped, { ...context, data }],
        [{ ...stopped, testEvery: 2 }, context],
      ] as const) {
        await assert.rejects(runTrial(trial, within), other);
      }
    }));

  it('lose nothing of a run when a command is refused', () =>
    withFolder(async (folder) => {
      const context = tinyContext(folder);
      const trialOf = (steps: number): Trial => ({
        ...{ key: 'run', network: tinyNetwork(), seed: 1, length: { steps } },
        estimator: () => firstOrder(),
        optimizer: sgd({ lr: 0.1 }),
      });
      const result = await runTrial(trialOf(2), context);
      // Like a copied folder of results without the files that only a run in progress needs.
      await rm(join(folder, 'run', 'trial.json'));
      await assert.rejects(runTrial(trialOf(3), context), /is the result of other options/);
      assert.deepEqual(await runTrial(trialOf(2), context), result);
    }));

  it("reuse table 1's cosines when times are measured again or weights are gone, but not for other weights", () =>
    withFolder(async (folder) => {
      const context = smallContext(folder);
      const states: Report[] = [];
      const reported = async (seconds: number, epochs = 0.25): Promise<Report> => {
        const choice = { ...{ sizes: [730], epochs, searchEpochs: 0.25 }, seeds: [0], seconds };
        return await table1(choice, context, (state) => Promise.resolve(void states.push(state)));
      };
      const measure = async (seconds: number): Promise<Report['rows']> => (await reported(seconds)).rows;
      const trained = (rows: Report['rows']): unknown[] => rows.map(({ cosineTrained }) => cosineTrained);
      const { rows, settings } = await reported(0.01);
      const kept = join(folder, 'cnn-730-cosines.json');
      const { rate } = (settings as { search: { cge: RateSearch } }).search.cge;
      const { weights } = new RunFolder(join(folder, `cnn-730-cge-lr${rate}-epochs0.25-seed0`));
      await rename(weights, join(folder, 'elsewhere'));
      assert.deepEqual(trained(await measure(0.02)), trained(rows));
      await rm(kept);
      assert.deepEqual(trained(await measure(0.02)), [null, null]);
      await rename(join(folder, 'elsewhere'), weights);
      assert.deepEqual(trained(await measure(0.02)), trained(rows));
      using other = new Model(cnnOf(730), { seed: 7 });
      await other.save(weights);
      const [cge, rge] = trained(await measure(0.02)) as number[];
      assert.ok(rge !== trained(rows)[1] && cge! > 0.99, `${cge}, ${rge}`);

      states.length = 0;
      const longer = (await reported(0.02, 0.5)).rows;
      assert.notDeepEqual(trained(longer), [cge, rge]);
      for (const state of states) {
        const known = trained(state.rows).filter((cosine) => cosine !== null);
        assert.deepEqual(known, trained(longer).slice(0, known.length));
      }
      await rm(weights);
      assert.deepEqual(trained(await measure(0.02)), [null, null]);
    }));

  it('end at the same rows however often they are stopped, and report those before doing more', () =>
    withFolder(async (folder) => {
      const grasp = { redrawEvery: 1, graspQueries: 4, samplesPerClass: 2 };
      const length = { epochs: 0.5, searchEpochs: 0.25 };
      const free = { ...grasp, size: 730, methods: FIG3_METHODS, budget: 300, searchBudget: 150, sparsity: 0.9, queries: 20 }; // prettier-ignore
      const sparse = { ...grasp, ...length, depth: 8, width: 2, methods: FIG4_METHODS, sparsities: [0.99] };
      await endsTheSame(folder, fig3, { ...free, seeds: [0] }, { ...free, seeds: [0, 1] });
      await endsTheSame(folder, fig4, { ...sparse, seeds: [0] }, { ...sparse, seeds: [0, 1] });
      const table = { ...length, seeds: [0], seconds: 0.01 };
      await endsTheSame(folder, table1, { ...table, sizes: [730] }, { ...table, sizes: [3700, 730] });
    }));

  it('report a run before its measurements', () =>
    withFolder(async (folder) => {
      const states: Report[] = [];
      const choice = { ...{ sizes: [730], epochs: 0.5, searchEpochs: 0.25 }, seeds: [0], seconds: 0.01 };
      const last = await table1(choice, smallContext(folder), (report) => {
        states.push(report);
        return Promise.resolve();
      });
      const measured = states.map(({ rows }) => rows.map(({ accuracy, cosineTrained }) => [accuracy, cosineTrained].map((figure) => typeof figure))); // prettier-ignore
      const [before, after] = [['number', 'object'], ['number', 'number']]; // prettier-ignore
      assert.deepEqual(measured, [[before], [before, before], [after, after]]);
      assert.deepEqual(states.at(-1), last);
      assert.ok(!plotSvg(states[0]!.plot, []).includes('NaN'));
    }));

  it('write CSV that spreadsheets read', () => {
    assert.equal(csv([{ a: 1, b: 'x, "y"' }, { a: null, c: 0.5 }]), 'a,b,c\n1,"x, ""y""",\n,,0.5\n'); // prettier-ignore
  });
});
