import type { Benchmark } from './benchmarks.js';
import { shapeOf } from './tables.js';
import type { Chart } from './chart.js';

/** What a result is drawn as. */
export function chartOf(result: Benchmark): Chart {
  const { version, isa, processor, cores } = result.machine;
  const footnote = `deepzero ${version} (${isa}), ${processor}, ${cores} cores; medians of rounds that alternate`;
  switch (result.benchmark) {
    case 'reuse':
    case 'scaling': {
      const scaling = result.benchmark === 'scaling';
      return {
        ...bars(
          result.rows,
          ({ network, sparsity }) => `${network}${sparsity > 0 ? `, ${100 * sparsity} % sparse` : ''}`,
          ({ mode, threads }) => (scaling ? `${mode}, ${threads} threads` : mode),
          ({ queriesPerSecond }) => queriesPerSecond,
        ),
        title: scaling ? 'CGE by number of threads' : 'CGE by how much of the unperturbed pass a query reuses',
        axis: `queries per second (batch ${result.rows[0]?.batchSize ?? 0}), higher is better`,
        logarithmic: true,
        footnote,
      };
    }
    case 'forward':
      return {
        ...bars(
          result.rows,
          ({ network }) => network,
          ({ threads }) => `${threads} threads`,
          (row) => row.imagesPerSecond,
        ),
        title: 'Forward pass, batch norm in training mode',
        axis: 'images per second, higher is better',
        logarithmic: false,
        footnote,
      };
    case 'kernels': {
      const convolutions = result.rows.filter(({ directFlops }) => directFlops > 0);
      return {
        ...bars(
          convolutions,
          shapeOf,
          ({ kernel, threads }) => `${kernel}, ${threads} thread${threads > 1 ? 's' : ''}`,
          ({ directFlops }) => directFlops / 1e9,
        ),
        title: '3×3 convolutions of one image block a thread',
        axis: `GFLOP/s of the direct convolution, higher is better`,
        logarithmic: false,
        footnote: `${footnote}; FMA peaks ${peaks(convolutions)}`,
      };
    }
    case 'memory':
      return {
        ...bars(
          result.rows,
          ({ network }) => network,
          ({ mode }) => mode,
          ({ peakBytes }) => peakBytes / 2 ** 20,
        ),
        title: 'Memory of a process that does CGE',
        axis: `largest resident set in MiB (batch ${result.rows[0]?.batchSize ?? 0}), lower is better`,
        logarithmic: false,
        footnote,
      };
  }
}

function bars<Row>(
  rows: readonly Row[],
  groupOf: (row: Row) => string,
  seriesOf: (row: Row) => string,
  valueOf: (row: Row) => number,
): Pick<Chart, 'series' | 'groups'> {
  const series = [...new Set(rows.map(seriesOf))];
  const groups = [...new Set(rows.map(groupOf))].map((name) => {
    const own = rows.filter((row) => groupOf(row) === name);
    const values = series.map((title) => {
      const row = own.find((candidate) => seriesOf(candidate) === title);
      return row === undefined ? null : valueOf(row);
    });
    return { name, values };
  });
  return { series, groups };
}

function peaks(rows: readonly { threads: number; peakFlops: number }[]): string {
  const largest = new Map<number, number>();
  for (const { threads, peakFlops } of rows) largest.set(threads, Math.max(largest.get(threads) ?? 0, peakFlops));
  return [...largest].map(([threads, peak]) => `${(peak / 1e9).toFixed(0)} GFLOP/s on ${threads}`).join(', ');
}
