import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mean } from '../../lib/support/statistics.js';
import { sizeIndex } from '../../experiments/cnn.js';
import type { CnnMethod } from '../../experiments/fig1.js';
import { CNN_METHODS } from '../../experiments/fig1.js';

type Row = Record<string, string | number | null>;

async function rowsOf(report: string): Promise<Row[]> {
  const text = await readFile(`docs/results/${report}.json`, 'utf8');
  return (JSON.parse(text) as { rows: Row[] }).rows;
}

/** The steps in a log of ResNet-20. */
async function stepsOf(log: string): Promise<{ loss: number; queries: number; seconds: number }[]> {
  const text = await readFile(`docs/results/resnet20/${log}.jsonl`, 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { loss: number; queries: number; seconds: number });
}

/** The tables of docs/RESULTS.md under a heading, each a list of rows of cells, its header left out. */
async function tablesUnder(heading: string): Promise<string[][][]> {
  const page = await readFile('docs/RESULTS.md', 'utf8');
  const section = page.split(/^##+ /m).find((part) => part.startsWith(heading));
  assert.ok(section, `docs/RESULTS.md has no heading ${heading}`);
  const tables = section.match(/(^\|.*\n)+/gm) ?? [];
  return tables.map((table) => {
    const lines = table.trimEnd().split('\n').slice(2);
    return lines.map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim())); // prettier-ignore
  });
}

const numberIn = (cell: string): number => Number(/^[\d,.]+/.exec(cell)![0].replaceAll(',', ''));

/** A cell agrees with a figure to the cell's digits. */
function agrees(cell: string, figure: string | number | null | undefined, where: string): void {
  if (cell === 'not yet') {
    assert.equal(figure, undefined, `${where} is there`);
    return;
  }
  const decimals = /^[\d,]+\.(\d+)/.exec(cell)?.[1]!.length ?? 0;
  assert.equal(typeof figure, 'number', `${where} is in no file`);
  const away = Math.abs(numberIn(cell) - (figure as number));
  assert.ok(away <= 0.5001 * 10 ** -decimals, `${where}: ${cell}, measured ${figure}`);
}

/** Compares the columns of a table with a report; `of` gives the figure that a cell shows. */
function compare(
  table: string[][],
  columns: readonly string[],
  of: (cells: string[], column: string) => unknown,
): void {
  assert.ok(table.length > 0);
  for (const cells of table) {
    for (const [i, column] of columns.entries()) {
      if (column === '') continue;
      agrees(cells[i]!, of(cells, column) as number | undefined, `${cells[0]} ${cells[1]} ${column}`);
    }
  }
}

describe('docs/RESULTS.md', () => {
  it('shows accuracies by size as figure 1 has them', async () => {
    const names = ['fo', 'cge', 'rge', 'rge-per-tensor'] as const;
    for (const [heading, report, measured, published] of [
      ['Figure 1', 'fig1/fig1', names.slice(0, 3), names.slice(0, 3)],
      ['The same, shortened', 'fig1-short/fig1', names, []],
    ] as const) {
      const rows = await rowsOf(report);
      const [table] = await tablesUnder(heading);
      const columns = [...measured.map((name) => `${name} accuracy`), ...published.map((name) => `${name} published`)];
      compare(table!, ['', ...columns], ([cell], key) => {
        const [name, column] = key.split(' ') as [CnnMethod, string];
        const size = numberIn(cell!);
        const method = CNN_METHODS[name];
        if (column === 'published') return method.published![sizeIndex(size)];
        return rows.find((row) => row['parameters'] === size && row['method'] === method.name)?.[column];
      });
    }
  });

  it('shows table 1', async () => {
    const rows = [...(await rowsOf('fig1/table1')), ...(await rowsOf('fig1-short/table1'))];
    const [table] = await tablesUnder('Table 1');
    const columns = ['', '', '', 'accuracy', 'millisecondsPerQuery', 'cosineInitially', 'cosineTrained', 'published'];
    compare(table!, columns, ([size, method], column) => {
      const own = rows.filter((row) => row['parameters'] === numberIn(size!));
      return own.find((row) => String(row['method']).startsWith(method!))?.[column];
    });
    assert.equal(table!.length, rows.length);
  });

  it('shows figure 3', async () => {
    const rows = await rowsOf('fig3/fig3');
    const [table] = await tablesUnder('Figure 3');
    const find = ([method]: string[], column: string): unknown =>
      rows.find((row) => method!.startsWith(String(row['method'])))?.[column];
    compare(table!, ['', 'accuracy', 'steps', 'minutes', 'published'], find);
    assert.equal(table!.length, rows.length);
  });

  it('shows figure 4', async () => {
    const rows = await rowsOf('fig4/fig4');
    const [table] = await tablesUnder('Figure 4');
    const methods = ['FO, dense', 'FO, sparse gradient', 'DeepZero (sparse-CGE)', 'FO, sparse weights (GraSP)'];
    const columns = ['accuracy', 'published'].flatMap((column) => methods.map((method) => `${method}|${column}`));
    compare(table!, ['', ...columns], ([sparsity], key) => {
      const [method, column] = key.split('|');
      const of = method === 'FO, dense' ? 0 : numberIn(sparsity!) / 100;
      return rows.find((row) => row['method'] === method && row['sparsity'] === of)?.[column!];
    });
  });

  it("shows ResNet-20's first losses", async () => {
    const tables = await tablesUnder('ResNet-20 itself');
    for (const [i, sparsity] of ['0.99', '0.9'].entries()) {
      const methods = ['sparse-cge', 'first-order'];
      assert.deepEqual(
        tables[i]!.map(([name]) => name!.toLowerCase().replace(' ', '-')),
        methods,
      );
      for (const [row, method] of methods.entries()) {
        const steps = await stepsOf(`${method}-${sparsity}`);
        const losses = tables[i]![row]!.slice(1);
        assert.equal(steps.length, losses.length);
        for (const [step, { loss }] of steps.entries()) {
          agrees(losses[step]!, loss, `${method} ${sparsity}, step ${step}`);
        }
      }
    }
  });

  it("shows ResNet-20's times", async () => {
    const table = (await tablesUnder('ResNet-20 itself')).at(-1)!;
    // The steps beside which nothing else ran.
    const measured = [
      ['99 %', 2, (await stepsOf('sparse-cge-0.99')).slice(0, 9)],
      ['99 %', 4, await stepsOf('sparse-cge-0.99-faster')],
      ['90 %', 4, (await stepsOf('sparse-cge-0.9')).slice(1)],
    ] as const;
    for (const [sparsity, column, steps] of measured) {
      const row = table.find(([name]) => name === sparsity)!;
      const seconds = mean(steps.map((step) => step.seconds));
      agrees(row[1]!, steps[0]!.queries, `queries at ${sparsity}`);
      agrees(row[column]!, seconds, `seconds at ${sparsity}`);
      agrees(row[column + 1]!, (50 * 195 * seconds) / 3600, `hours at ${sparsity}`);
    }
  });

  it('tells of the seeds of figure 1 and of the smaller radius of figure 3', async () => {
    const page = (await readFile('docs/RESULTS.md', 'utf8')).replaceAll('\n', ' ');
    const [seeds] = await rowsOf('fig1-seeds/fig1');
    const [, average, lowest, highest] = /seeds 0, 1 and 2 is ([\d.]+), from ([\d.]+) to ([\d.]+) /.exec(page)!;
    agrees(average!, seeds!['accuracy'], 'mean over the seeds');
    agrees(lowest!, seeds!['lowest'], 'lowest of the seeds');
    agrees(highest!, seeds!['highest'], 'highest of the seeds');
    const file = await readFile('docs/results/fig3/pattern-search-0.1.json', 'utf8');
    const { testAccuracy } = (JSON.parse(file) as { result: { testAccuracy: number } }).result;
    agrees(/With 0\.1, .* it reaches ([\d.]+) %/.exec(page)![1]!, 100 * testAccuracy, 'Pattern Search with 0.1');
  });

  it('shows figure 5', async () => {
    const rows = await rowsOf('fig5/fig5');
    const [table] = await tablesUnder('Figure 5');
    const [none, layer, incremental] = ['no reuse', 'reuse from the layer', 'incremental'];
    const columns = [...[none, layer, incremental].map((mode) => `${mode}|hours`), `${none}|published`, `${layer}|published`]; // prettier-ignore
    compare(table!, ['', ...columns], ([size], key) => {
      const [mode, column] = key.split('|');
      return rows.find((row) => row['reuse'] === mode && row['parameters'] === numberIn(size!))?.[column!];
    });
  });

  it('and its neighbour for black boxes leave no file of results unread', async () => {
    const pages = await Promise.all(
      ['docs/RESULTS.md', 'docs/black-box-results.md'].map((page) => readFile(page, 'utf8')),
    );
    const test = await readFile('test/experiments/results.test.ts', 'utf8');
    const unread: string[] = [];
    for (const entry of await readdir('docs/results', { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name).slice('docs/results/'.length);
      const report = path.replace(/\.json$/, '');
      const read = entry.name.endsWith('.jsonl') || test.includes(report) || pages.join().includes(`(results/${path})`);
      if (!read) unread.push(path);
    }
    assert.deepEqual(unread, []);
  });

  it('shows figure 6 as its report has it', async () => {
    const rows = await rowsOf('fig6/fig6');
    const [table] = await tablesUnder('Figure 6');
    assert.equal(table!.length, rows.length);
    for (const [method, error, range, ...cells] of table as [string, string, string, ...string[]][]) {
      const row = rows.find((one) => one['method'] === method)!;
      const [lowest = '–', highest = '–'] = range.split(', ');
      const columns = [
        'error',
        'lowest',
        'highest',
        'runs',
        'ratio',
        'publishedRatio',
        'dragError',
        'steps',
        'queries',
      ];
      for (const [i, column] of [...columns, 'minutes', 'queriesToLoss'].entries()) {
        const cell = [error, lowest, highest, ...cells][i]!;
        if (cell === '–') assert.equal(row[column], null, `${method} ${column}`);
        else agrees(cell, row[column], `${method} ${column}`);
      }
    }
  });

  it('shows rewards in MuJoCo as their report has them', async () => {
    const rows = await rowsOf('mujoco/mujoco');
    const [table] = await tablesUnder('Policies in MuJoCo');
    assert.equal(table!.length, rows.length);
    for (const [robot, method, median, quartiles, steps, mu, rate] of table! as [string, ...string[]][]) {
      const row = rows.find((one) => one['robot'] === robot && one['method'] === method);
      const [lower, upper] = quartiles!.split(', ');
      for (const [cell, column] of [
        [median, 'reward'],
        [lower, 'lowerQuartile'],
        [upper, 'upperQuartile'],
        [steps, 'steps'],
        [mu, 'mu'],
        [rate, 'rate'],
      ] as const) {
        agrees(cell!, row?.[column], `${robot} ${method} ${column}`);
      }
      assert.equal(row?.['runs'], 5);
    }
  });
});
