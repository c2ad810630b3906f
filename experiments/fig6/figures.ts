/**
 * The report of figure 6: rows, and plots of errors by method, over time and against queries.
 *
 * @module
 */
import type { Point, Series } from '../../bench/support/plot.js';
import { mean } from '../../bench/support/statistics.js';
import { joinMachines } from '../support/machines.js';
import type { Report, ReportRow } from '../support/report.js';
import { rounded } from '../support/report.js';
import type { Fig6Method, Fig6Options } from './methods.js';
import { METHODS } from './methods.js';
import type { Fig6Run, Source } from './run.js';

/** Figure 6's error without a correction. */
const PUBLISHED_SOURCE = 0.18;
const [SOURCE_COLOUR, POINTS] = [7, 25];

/** The runs of a method, in the order of seeds. */
export interface MethodRuns {
  readonly method: Fig6Method;
  readonly runs: readonly Fig6Run[];
}

export function reportOf(choice: Fig6Options, source: Source, made: readonly MethodRuns[]): Report {
  const { methods: _, ...settings } = choice;
  const uncorrected = mean(source.errors.velocity);
  const goal = heldOutOf(made.find(({ method }) => method === 'zo-sol'))?.at(-1)!.y;
  const none: ReportRow = {
    ...{ method: 'SRC', error: rounded(uncorrected, 4), lowest: null, highest: null, ratio: 1, publishedRatio: 1 },
    ...{
      dragError: rounded(mean(source.errors.drag), 3),
      runs: 1,
      steps: 0,
      queries: 0,
      minutes: 0,
      queriesToLoss: null,
    },
    machine: source.machine,
  };
  const rows = made.map(({ method, runs }): ReportRow => {
    const { name, published } = METHODS[method];
    const errors = runs.map(({ errors: { velocity } }) => mean(velocity));
    const needed = goal === undefined ? undefined : queriesTo(goal, heldOutOf({ method, runs }));
    return {
      method: name,
      error: rounded(mean(errors), 4),
      lowest: rounded(Math.min(...errors), 4),
      highest: rounded(Math.max(...errors), 4),
      ratio: rounded(mean(errors) / uncorrected, 3),
      publishedRatio: published === null ? null : rounded(published / PUBLISHED_SOURCE, 2),
      dragError: rounded(mean(runs.map(({ errors: { drag } }) => mean(drag))), 3),
      runs: runs.length,
      steps: runs[0]!.steps,
      queries: runs[0]!.queries,
      minutes: rounded(mean(runs.map(({ seconds }) => seconds)) / 60, 3),
      queriesToLoss: needed === undefined ? null : rounded(needed, 3),
      machine: joinMachines(runs.map(({ machine }) => machine)),
    };
  });
  return {
    title: 'Correcting a coarse solver of the wake of a cylinder: mean absolute error of velocities',
    published:
      'SRC 0.180, NON 0.153, ZO-SOL 0.119 (FO-SOL 0.074), with settings that are not public; ratios to SRC are compared',
    settings: {
      ...settings,
      rateChoice:
        'set by hand, by NOG on the first seed, and small enough for sparse-CGE not to diverge there; no search',
      uncounted: 'queries of ZO-GraSP; of NOG and guided estimates a rollout more for each step, and back-propagation',
      weights:
        'of methods that learn velocities in the loop, those of nine with the smallest squared error over whole training trajectories',
      chosen: Object.fromEntries(
        made.map(({ method, runs }) => [METHODS[method].name, runs.map(({ chosen }) => chosen)]),
      ),
      rates: Object.fromEntries(made.map(({ method }) => [method, METHODS[method].rate])),
      errors: {
        SRC: source.errors.velocity.map((error) => rounded(error, 4)),
        ...Object.fromEntries(
          made.map(({ method, runs }) => [METHODS[method].name, byCase(runs).map((error) => rounded(error, 4))]),
        ),
      },
    },
    rows: [none, ...rows],
    plot: errorsPlot(uncorrected, made),
    pictures: { time: timePlot(source, made), queries: queriesPlot(made) },
  };
}

/** Mean errors over the runs, by test case. */
function byCase(runs: readonly Fig6Run[]): number[] {
  return runs[0]!.errors.velocity.map((_, i) => mean(runs.map(({ errors }) => errors.velocity[i]!)));
}

/** The mean of a method's curves: loss on test rollouts against queries. */
function heldOutOf(made: MethodRuns | undefined): Point[] | undefined {
  if (!made || METHODS[made.method].measured !== 'velocity') return undefined;
  const curves = made.runs.map(({ curve }) => curve);
  return curves[0]!.map(({ queries }, i) => {
    const losses = curves.map((curve) => curve[i]!.loss);
    return { x: queries, y: mean(losses), low: Math.min(...losses), high: Math.max(...losses) };
  });
}

/** Queries until a curve first is at a loss or below, between its points linearly; undefined if it never is. */
export function queriesTo(loss: number, curve: readonly Point[] | undefined): number | undefined {
  const at = curve?.findIndex(({ y }) => y <= loss) ?? -1;
  if (at < 0) return undefined;
  if (at === 0) return curve![0]!.x;
  const [before, after] = [curve![at - 1]!, curve![at]!];
  return before.x + ((after.x - before.x) * (before.y - loss)) / (before.y - after.y);
}

function errorsPlot(uncorrected: number, made: readonly MethodRuns[]): Report['plot'] {
  const ways = made.filter(({ method }) => METHODS[method].measured !== 'flow');
  const measured = ways.map(({ method, runs }, i): Series => {
    const { name, colour } = METHODS[method];
    const ratios = runs.map(({ errors }) => mean(errors.velocity) / uncorrected).sort((a, b) => a - b);
    return { name, colour, points: ratios.map((x) => ({ x, y: i + 1 })) };
  });
  const published = ways.flatMap(({ method }, i): Series[] => {
    const { name, colour, published: figure } = METHODS[method];
    if (figure === null) return [];
    return [
      { name: `${name}, published`, colour, published: true, points: [{ x: figure / PUBLISHED_SOURCE, y: i + 1 }] },
    ];
  });
  const none: Series = { name: 'SRC', colour: SOURCE_COLOUR, points: [{ x: 1, y: 0 }] };
  return {
    title: 'Error of velocities of each run, as a part of the uncorrected one',
    x: { label: 'mean absolute error / that of SRC' },
    y: { names: ['SRC', ...ways.map(({ method }) => METHODS[method].name)] },
    series: [none, ...measured, ...published],
  };
}

function timePlot({ errors }: Source, made: readonly MethodRuns[]): Report['plot'] {
  const every = Math.max(1, Math.floor(errors.overTime.length / POINTS));
  const points = (over: (frame: number) => number): Point[] =>
    Array.from({ length: Math.ceil(errors.overTime.length / every) }, (_, i) => ({
      x: i * every + 1,
      y: over(i * every),
    }));
  return {
    title: 'Error over time, mean of test cases and seeds',
    x: { label: 'steps of the solver' },
    y: { label: 'mean absolute error of velocities' },
    series: [
      { name: 'SRC', colour: SOURCE_COLOUR, points: points((frame) => errors.overTime[frame]!) },
      ...made.map(({ method, runs }): Series => ({
        name: METHODS[method].name,
        colour: METHODS[method].colour,
        points: points((frame) => mean(runs.map((run) => run.errors.overTime[frame]!))),
      })),
    ],
  };
}

function queriesPlot(made: readonly MethodRuns[]): Report['plot'] {
  return {
    title: 'Loss of rollouts of the test cases against queries, from NON on',
    x: { label: 'queries (thousands)' },
    y: { label: 'mean squared error × 1,000 (velocities over deviations)' },
    series: made.flatMap((one): Series[] => {
      const points = heldOutOf(one)?.map(({ x, y, low, high }) => ({
        ...{ x: x / 1000, y: 1000 * y },
        ...(low !== undefined && high !== undefined && { low: 1000 * low, high: 1000 * high }),
      }));
      return points ? [{ name: METHODS[one.method].name, colour: METHODS[one.method].colour, points }] : [];
    }),
  };
}
