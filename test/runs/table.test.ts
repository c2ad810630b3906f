import assert from 'node:assert/strict';
import { Table } from '../../lib/runs/table.js';

const options = { capacity: 8, columns: 3, extremes: ['loss'] };

/** The rows of a table by their definition: means and extremes of the steps of each bucket. */
function rowsOf(values: readonly (number | undefined)[], width: number) {
  const buckets = Array.from({ length: Math.ceil(values.length / width) }, (_, i) =>
    values.slice(i * width, (i + 1) * width).filter((value) => value !== undefined),
  );
  const of = (fold: (bucket: number[]) => number) =>
    buckets.map((bucket) => (bucket.length === 0 ? null : fold(bucket)));
  return {
    mean: of((bucket) => bucket.reduce((sum, value) => sum + value, 0) / bucket.length),
    min: of((bucket) => Math.min(...bucket)),
    max: of((bucket) => Math.max(...bucket)),
  };
}

describe('a thinned table', () => {
  it('has the means and extremes of every bucket, at any length', () => {
    const values = Array.from({ length: 77 }, (_, i) => (i % 7 === 3 ? undefined : (i * 37) % 64));
    const table = new Table(options);
    values.forEach((loss, step) => {
      table.add(step, { loss });
      const { columns, step: steps } = table.rows();
      const seen = values.slice(0, step + 1);
      assert.deepEqual(
        columns['loss']?.mean.map((value) => value?.toPrecision(6)),
        rowsOf(seen, table.width).mean.map((value) => value?.toPrecision(6)),
      );
      const { min, max } = rowsOf(seen, table.width);
      assert.deepEqual([columns['loss'].min, columns['loss'].max], [min, max]);
      assert.equal(steps.length, table.length);
      assert.ok(table.length <= 8);
    });
    assert.equal(table.width, 16);
  });

  it('starts anywhere and leaves gaps empty', () => {
    const table = new Table(options);
    table.add(1_000_000_000_000, { loss: 1 });
    table.add(1_000_000_000_001, { loss: 3 });
    assert.deepEqual(table.rows(table.length - 1).columns['loss']?.mean, [2]);
    assert.equal(table.rows().step[0], null);
  });

  it('drops what is not finite, and columns beyond its bound', () => {
    const table = new Table(options);
    table.add(0, { loss: NaN, a: Infinity, b: 1 });
    table.add(1, { c: 1, d: 1, e: 1, f: 1 });
    assert.deepEqual(Object.keys(table.rows().columns), ['b', 'c', 'd']);
    assert.equal(table.dropped, 2);
  });

  it('takes constant memory and time for a step', () => {
    const table = new Table({ capacity: 2048, columns: 8, extremes: ['loss'] });
    const before = process.memoryUsage().arrayBuffers;
    for (let step = 0; step < 1_000_000; step++) table.add(step, { loss: step % 10, lr: 1 });
    assert.equal(table.width, 512);
    assert.equal(table.length, Math.ceil(1_000_000 / 512));
    assert.ok(process.memoryUsage().arrayBuffers - before < 2 ** 20);
    const { min, max, mean } = table.rows().columns['loss']!;
    assert.ok(min?.every((value) => value === 0) && max?.every((value) => value === 9));
    assert.ok(mean.slice(0, -1).every((value) => Math.abs(value! - 4.5) < 0.05));
  });
});
