import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ReportRow } from '../../experiments/support/report.js';
import { exists } from '../../experiments/support/cache.js';
import { RunFolder } from '../../lib/index.js';
import type { Outcome } from '../helpers/command.js';
import { deepzero, fails, json, stoppedAfter, writeImages } from '../helpers/command.js';
import { withoutTimes } from '../helpers/rows.js';
import { withFolder } from '../helpers/tiny.js';

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

/** The kinds of estimators of the runs in an experiment's folder, by method. */
async function kindsIn(folder: string): Promise<Record<string, string>> {
  const kinds: Record<string, string> = {};
  for (const name of await readdir(folder)) {
    const [, method] = /-([a-z]+(?:-[a-z]+)*)-(?:rate)?[\d.]+-.*-seed0$/.exec(name) ?? [];
    if (method === undefined) continue;
    const { options } = JSON.parse(await readFile(join(folder, name, 'result.json'), 'utf8')) as {
      options: { estimator: { kind: string; ratios?: unknown; coordinates?: unknown } };
    };
    const { kind, ratios, coordinates } = options.estimator;
    const some = coordinates === undefined ? '' : ', of some coordinates';
    const found = kind + (typeof ratios === 'object' ? ', sparse by layer' : some);
    assert.equal((kinds[method] ??= found), found, name);
  }
  return kinds;
}

describe('experiments', () => {
  let images: string;
  let small: readonly string[];
  before(async () => {
    images = await mkdtemp(join(tmpdir(), 'deepzero-images-'));
    small = ['--data', await writeImages(images), '--batch-size', '4'];
  });
  after(() => rm(images, { recursive: true }));

  it('fig1: first order, CGE and RGE at every size, beside the published figures', () =>
    withFolder(async (folder) => {
      const args = [...small, '--epochs', '0.05', '--search-epochs', '0.05'];
      const rows = await experiment('fig1', folder, args);
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
      // Even the times are equal: nothing is trained again.
      assert.deepEqual(await experiment('fig1', folder, args), rows);
    }));

  it('resume to the same result after being killed or stopped, and say so of another instruction set', () =>
    withFolder(async (folder) => {
      // 6 steps an epoch; the learning rate is chosen by runs of the same length.
      const length = ['--batch-size', '10', '--epochs', '2.2', '--search-epochs', '2.2'];
      const args = ['--data', await writeImages(folder), '--methods', 'cge', '--sizes', '730', ...length];
      const expected = withoutTimes(await experiment('fig1', join(folder, 'whole'), args));
      const out = join(folder, 'parts');
      const run = new RunFolder(join(out, 'cnn-730-cge-lr0.03-epochs2.2-seed0'));
      const stopped = async (lines: number, signal: NodeJS.Signals, env = {}): Promise<Outcome> => {
        const outcome = await stoppedAfter(
          lines,
          signal,
          ['experiment', 'fig1', '--quick', '--out', out, ...args],
          env,
        );
        assert.ok(!(await exists(join(run.path, 'result.json'))));
        return outcome;
      };
      assert.equal((await stopped(1, 'SIGKILL')).code, null);
      assert.equal((await run.steps()).length, 1);
      assert.ok(!(await exists(run.checkpoint)));
      assert.equal((await stopped(3, 'SIGKILL')).code, null);
      assert.equal((await run.steps()).length, 3);
      assert.ok(await exists(run.checkpoint));
      assert.equal((await stopped(4, 'SIGINT')).code, 130);
      assert.ok((await run.steps()).length >= 1 + 4);
      const elsewhere = await stopped(1, 'SIGKILL', { DEEPZERO_ISA: 'portable' });
      assert.equal(elsewhere.code, null);
      assert.match(elsewhere.stdout, /goes on under portable/);
      assert.deepEqual(withoutTimes(await experiment('fig1', out, args)), expected);
      const other = ['experiment', 'fig1', '--quick', '--out', out, ...args, '--batch-size', '8'];
      await fails(other, 1, /cnn-730-cge-lr0\.03-epochs2\.2-seed0/);
      await fails(['experiment', 'fig1', '--quick', '--sizes', '730,730'], 2, /Expected --sizes to be each value once/);
      const none = join(folder, 'none');
      await fails(['experiment', 'fig4', '--depth', '9', '--out', none], 2, /Expected --depth to be 6n \+ 2/);
      assert.ok(!(await exists(none)));
    }));

  it('fig3: three methods without back-propagation within one budget', () =>
    withFolder(async (folder) => {
      const rows = await experiment('fig3', folder, [...small, '--budget', '1500']);
      assert.deepEqual(
        rows.map(({ method }) => method),
        ['DeepZero', 'FG-W', 'Pattern Search'],
      );
      assert.deepEqual(
        rows.map(({ published }) => published),
        [86.94, 49.55, 30],
      );
      assert.deepEqual(await kindsIn(folder), {
        deepzero: 'cge, sparse by layer',
        'forward-gradient': 'forward-gradient',
        'pattern-search': 'pattern-search',
      });
      for (const { queries, steps } of rows) {
        assert.ok(Math.abs((queries as number) - 1500) <= (queries as number) / (steps as number), `${queries}`);
      }
    }));

  it('fig4: every method at every sparsity', () =>
    withFolder(async (folder) => {
      const rows = await experiment('fig4', folder, [...small, '--epochs', '0.2', '--search-epochs', '0.1']);
      const of = (name: string): ReportRow[] => rows.filter(({ method }) => (method as string).startsWith(name));
      assert.deepEqual(
        ['FO, dense', 'FO, sparse gradient', 'DeepZero', 'FO, sparse weights'].map((name) =>
          of(name).map(({ sparsity }) => sparsity),
        ),
        [[0], [0.8, 0.99], [0.8, 0.99], [0.8, 0.99]],
      );
      assert.deepEqual(
        rows.map(({ published }) => published),
        [92.85, 90.12, 78.1, 86.94, 73.37, 88.59, 68.22],
      );
      assert.deepEqual(await kindsIn(folder), {
        'fo-dense': 'first-order',
        'fo-gradient': 'first-order, sparse by layer',
        deepzero: 'cge, sparse by layer',
        'fo-weights': 'first-order, of some coordinates',
      });
      const [dense, sparse] = of('DeepZero').map(({ queriesPerStep }) => queriesPerStep as number);
      assert.ok(dense! > 1.5 * sparse!);
    }));

  it('fig5: hours by size and reuse', () =>
    withFolder(async (folder) => {
      const rows = await experiment('fig5', folder);
      assert.equal(rows.length, 8);
      const incremental = rows.filter(({ reuse }) => reuse === 'incremental');
      assert.deepEqual(
        incremental.map(({ parameters }) => parameters),
        [730, 3700],
      );
      assert.deepEqual(
        rows.map(({ published }) => published),
        [1.66, null, 0.99, null, 12.08, null, 5.11, null],
      );
      // 5,000 generated images make 312 batches of 16.
      for (const { hours, secondsPerStep, queriesPerSecond, parameters } of rows as Record<string, number>[]) {
        assert.ok(Math.abs(hours! / ((secondsPerStep! * 312 * 50) / 3600) - 1) < 1e-3);
        assert.ok(Math.abs((queriesPerSecond! * secondsPerStep!) / parameters! - 1) < 1e-3);
      }
      const half = await experiment('fig5', folder, ['--epochs', '25']);
      for (const [i, { hours, published, secondsPerStep }] of half.entries()) {
        assert.equal(secondsPerStep, rows[i]!['secondsPerStep']);
        assert.ok(Math.abs((2 * (hours as number)) / (rows[i]!['hours'] as number) - 1) < 1e-3);
        assert.equal(published, rows[i]!['published'] === null ? null : (rows[i]!['published'] as number) / 2);
      }
      const { stdout } = await deepzero(['experiment', 'fig5', '--quick', '--out', folder]);
      assert.match(
        stdout,
        /^Made with --quick and without all of CIFAR-10's images \(--data DIR\): not comparable with the published figures\.$/m,
      );
      const refused = join(folder, 'refused');
      await mkdir(join(refused, 'fig5.csv'), { recursive: true });
      await fails(['experiment', 'fig5', '--quick', '--out', refused], 1, /fig5\.csv: is a folder, expected a file$/);
      assert.deepEqual(await readdir(refused), ['fig5.csv']);
    }));

  it("table1: CGE's cosine with the first-order gradient is near 1, RGE's near √(q/(q + d))", () =>
    withFolder(async (folder) => {
      const rows = await experiment('table1', folder, [
        ...small,
        '--seconds',
        '0.01',
        '--epochs',
        '0.05',
        '--search-epochs',
        '0.05',
      ]);
      for (const { method, cosineInitially, cosineTrained } of rows) {
        const [low, high] = method === 'CGE' ? [0.9, 1] : [0.6, 0.8];
        for (const cosine of [cosineInitially, cosineTrained] as number[]) {
          assert.ok(cosine > low && cosine <= high, `${String(method)}: ${cosine}`);
        }
      }
    }));
});
