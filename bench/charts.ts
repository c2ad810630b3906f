import type { Benchmark } from './benchmarks.js';
import type { Plot } from './support/plot.js';
import { lineOf, shapeOf } from './tables.js';

/** A result as a plot: a row for every network or shape, a point in it for every series. */
export function chartOf(result: Benchmark): Plot {
  switch (result.benchmark) {
    case 'reuse':
    case 'scaling': {
      const scaling = result.benchmark === 'scaling';
      return {
        ...dots(
          result.rows,
          ({ network, sparsity }) => `${network}${sparsity > 0 ? `, ${100 * sparsity} % sparse` : ''}`,
          ({ mode, threads }) => (scaling ? `${mode}, ${threads} threads` : mode),
          ({ queriesPerSecond }) => queriesPerSecond,
        ),
        title: scaling ? 'CGE by number of threads' : 'CGE by how much of the unperturbed pass a query reuses',
        x: {
          label: `queries per second (batch ${result.rows[0]?.batchSize ?? 0}), higher is better`,
          logarithmic: true,
        },
      };
    }
    case 'forward':
      return {
        ...dots(
          result.rows,
          ({ network }) => network,
          ({ threads }) => `${threads} threads`,
          (row) => row.imagesPerSecond,
        ),
        title: 'Forward pass, batch norm in training mode',
        x: { label: 'images per second, higher is better' },
      };
    case 'kernels': {
      const convolutions = result.rows.filter(({ directFlops }) => directFlops > 0);
      return {
        ...dots(
          convolutions,
          shapeOf,
          ({ kernel, threads }) => `${kernel}, ${threads} thread${threads > 1 ? 's' : ''}`,
          ({ directFlops }) => directFlops / 1e9,
        ),
        title: '3×3 convolutions of one image block a thread',
        x: { label: `GFLOP/s of the direct convolution, higher is better (FMA peaks ${peaks(convolutions)})` },
      };
    }
    case 'outputs':
      return {
        ...dots(
          result.rows,
          ({ network, batchSize }) => `${network}, batch ${batchSize}`,
          ({ loss }) => loss,
          ({ queriesPerSecond }) => queriesPerSecond,
        ),
        title: 'CGE by a loss of outputs',
        x: { label: 'queries per second at best, higher is better', logarithmic: true },
      };
    case 'rollouts':
      return {
        ...dots(
          result.rows,
          ({ trajectories }) => `${trajectories} trajector${trajectories === 1 ? 'y' : 'ies'}`,
          ({ how, threads }) => `${how}, ${threads} thread${threads > 1 ? 's' : ''}`,
          ({ queriesPerSecond }) => queriesPerSecond,
        ),
        title: 'CGE of rollouts through the wake of a cylinder',
        x: { label: 'queries per second at best, higher is better', logarithmic: true },
      };
    case 'memory':
      return {
        ...dots(
          result.rows,
          ({ network }) => network,
          ({ mode }) => mode,
          ({ peakBytes }) => peakBytes / 2 ** 20,
        ),
        title: 'Memory of a process that does CGE',
        x: { label: `largest resident set in MiB (batch ${result.rows[0]?.batchSize ?? 0}), lower is better` },
      };
    case 'functions': {
      const reached = result.rows.filter(({ median }) => median !== null);
      return {
        ...dots(
          reached,
          ({ problem }) => problem,
          ({ method }) => method,
          ({ median }) => median!,
        ),
        title: 'Evaluations until a value is reached, medians over seeds',
        x: { label: 'evaluations, fewer are better; none where half of the seeds did not reach it', logarithmic: true },
      };
    }
  }
}

/** The machine, as a footnote. */
export function footnoteOf({ benchmark, machine }: Benchmark): string {
  const how = benchmark === 'functions' ? 'the counts do not depend on it' : 'medians of rounds that alternate';
  return `${lineOf(machine)}; ${how}`;
}

function dots<Row>(
  rows: readonly Row[],
  groupOf: (row: Row) => string,
  seriesOf: (row: Row) => string,
  valueOf: (row: Row) => number,
): Pick<Plot, 'series' | 'y'> {
  const names = [...new Set(rows.map(groupOf))];
  const series = [...new Set(rows.map(seriesOf))];
  return {
    y: { names },
    series: series.map((name, colour) => {
      // Above each other, so that equal values do not hide each other.
      const within = (0.7 * (colour - (series.length - 1) / 2)) / series.length;
      const own = rows.filter((row) => seriesOf(row) === name);
      return { name, colour, points: own.map((row) => ({ x: valueOf(row), y: names.indexOf(groupOf(row)) + within })) };
    }),
  };
}

function peaks(rows: readonly { threads: number; peakFlops: number }[]): string {
  const largest = new Map<number, number>();
  for (const { threads, peakFlops } of rows) largest.set(threads, Math.max(largest.get(threads) ?? 0, peakFlops));
  return [...largest].map(([threads, peak]) => `${(peak / 1e9).toFixed(0)} GFLOP/s on ${threads}`).join(', ');
}
