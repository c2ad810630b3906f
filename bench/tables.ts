/**
 * Results of benchmarks as tables.
 *
 * @module
 */
import type { Machine } from 'deepzero';

import type { Benchmark } from './benchmarks.js';
import type { RaceRow } from './functions/race.js';
import type { KernelRow } from './kernels.js';
import { grouped, percent, table } from './support/output.js';
import type { Statistics } from './support/statistics.js';
import type { SweepRow } from './sweeps.js';

/** The machine in one line. */
export function lineOf({ version, isa, processor, cores, ranks }: Machine): string {
  return `deepzero ${version} (${isa}), ${processor}, ${cores} cores${ranks === 1 ? '' : `, ${ranks} ranks of as many threads`}`;
}

export function benchTable(result: Benchmark): string {
  return `${lineOf(result.machine)}\n\n${bodyOf(result)}`;
}

function bodyOf(result: Benchmark): string {
  switch (result.benchmark) {
    case 'reuse':
    case 'scaling':
      return sweepTable(result.rows, result.benchmark === 'scaling');
    case 'forward':
      return table([
        ['network', 'batch', 'threads', 'images/s', 'ms', '±', 'multiply-adds', 'of peak'],
        ...result.rows.map(({ network, batchSize, threads, imagesPerSecond, seconds, multiplyAdds, peakFraction }) => [
          ...[network, grouped(batchSize), String(threads), grouped(imagesPerSecond), ...milliseconds(seconds)],
          ...[amount(multiplyAdds), percent(peakFraction)],
        ]),
      ]);
    case 'kernels':
      return table(
        [
          ['kernel', 'shape', 'threads', 'µs', '±', 'direct GFLOP/s', 'of peak', 'GB/s'],
          ...result.rows.map((row) => [
            ...[
              row.kernel,
              shapeOf(row),
              String(row.threads),
              (1e6 * row.seconds.median).toFixed(1),
              margin(row.seconds),
            ],
            ...[row.directFlops > 0 ? (row.directFlops / 1e9).toFixed(0) : '', fraction(row.peakFraction)],
            (row.bytesPerSecond / 1e9).toFixed(1),
          ]),
        ],
        2,
      );
    case 'outputs':
      return table(
        [
          ['network', 'loss', 'batch', 'threads', 'queries', 'queries/s', 'time', 'ms', '±'],
          ...result.rows.map(({ network, loss, batchSize, threads, queries, queriesPerSecond, ratio, seconds }) => [
            ...[network, loss, grouped(batchSize), String(threads), grouped(queries), grouped(queriesPerSecond)],
            ...[`${ratio.toFixed(2)}×`, ...milliseconds(seconds)],
          ]),
        ],
        2,
      );
    case 'rollouts':
      return table(
        [
          ['trajectories', 'how', 'steps', 'threads', 'queries', 'queries/s', 'ratio', 'ms', '±'],
          ...result.rows.map(({ trajectories, steps, how, threads, queries, queriesPerSecond, ratio, seconds }) => [
            ...[String(trajectories), how, String(steps), String(threads), grouped(queries)],
            ...[queriesPerSecond.toFixed(1), `${ratio.toFixed(2)}×`, ...milliseconds(seconds)],
          ]),
        ],
        2,
      );
    case 'memory':
      return table(
        [
          ['network', 'reuse', 'batch', 'threads', 'peak MiB', 'idle MiB', 'counted MiB'],
          ...result.rows.map(({ network, mode, batchSize, threads, peakBytes, idleBytes, countedBytes }) => [
            ...[network, mode, grouped(batchSize), String(threads)],
            ...[peakBytes, idleBytes, countedBytes].map(mebibytes),
          ]),
        ],
        2,
      );
    case 'functions':
      return raceTable(result.rows);
  }
}

function raceTable(rows: readonly RaceRow[]): string {
  const head = [
    'function',
    'value to reach',
    'method',
    'numbers',
    'repeats',
    'budget',
    'reached',
    'lower',
    'median',
    'upper',
  ];
  const body = rows.map(({ problem, goal, method, dimension, repeats, budget, reached, seeds, low, median, high }) => [
    ...[problem, goal, method, String(dimension), String(repeats), grouped(budget), `${reached} of ${seeds}`],
    ...[low, median, high].map((count) => (count === null ? 'over' : grouped(count))),
  ]);
  const settings = new Map(rows.map(({ method, setting }) => [method, setting]));
  const remarks = [
    'Evaluations until a step ends at the value, over seeds: the quartiles and the median, over the budget where it is not reached.',
    ...[...settings].map(([method, setting]) => `${method}: ${setting}`),
  ];
  return `${table([head, ...body], 3)}\n\n${remarks.join('\n')}`;
}

function sweepTable(rows: readonly SweepRow[], scaling: boolean): string {
  const body = rows.map((row) => {
    const { network, sparsity, mode, threads, coordinates, timedCoordinates, sweepSeconds } = row;
    const same = (other: SweepRow): boolean => other.network === network && other.sparsity === sparsity;
    // Against the first of its group: the least reuse, or one thread of the same.
    const reference = rows.find((other) => same(other) && (!scaling || other.mode === mode))!;
    return [
      ...[network, mode, String(sparsity), String(threads), grouped(coordinates)],
      timedCoordinates === coordinates ? 'all' : grouped(timedCoordinates),
      row.queriesPerSecond.toFixed(row.queriesPerSecond < 100 ? 1 : 0),
      `${(row.queriesPerSecond / reference.queriesPerSecond).toFixed(2)}×`,
      ...milliseconds(sweepSeconds),
      ...[amount(row.multiplyAdds), amount(row.directMultiplyAdds), fraction(row.peakFraction)],
      ...[fraction(row.directPeakFraction), mebibytes(row.countedBytes)],
    ];
  });
  const head = [
    ...['network', 'reuse', 'sparsity', 'threads', 'queries', 'timed', 'queries/s', 'ratio', 'ms a sweep', '±'],
    ...['multiply-adds', 'as direct', 'of peak', 'as direct', 'memory MiB'],
  ];
  const sampled = rows.some(({ coordinates, timedCoordinates }) => timedCoordinates < coordinates);
  const remarks = [
    'Queries are those of a sweep, beside the unperturbed pass; multiply-adds are per query and image.',
    ...(sampled
      ? ['Where fewer are timed than a sweep has, they are a stratified sample, every tensor in proportion.']
      : []),
  ];
  return `${table([head, ...body], 2)}\n\n${remarks.join('\n')}`;
}

export function shapeOf({
  channels,
  outputs,
  size,
  stride,
}: Pick<KernelRow, 'channels' | 'outputs' | 'size' | 'stride'>): string {
  return `${channels}→${outputs} ${size}×${size}${stride > 1 ? ` /${stride}` : ''}`;
}

function milliseconds(seconds: Statistics): [string, string] {
  const value = 1000 * seconds.median;
  return [value < 100 ? value.toFixed(1) : grouped(value), margin(seconds)];
}

function margin({ rme }: Statistics): string {
  return `${rme.toFixed(1)} %`;
}

function fraction(value: number | null): string {
  return value === null ? '' : percent(value);
}

/** 1234567 → 1.23 M */
function amount(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  return value >= 1e4 ? `${(value / 1e3).toFixed(1)} K` : value.toFixed(0);
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
