/**
 * Figure 6 of DeepZero's poster: a network that corrects a coarse flow solver, trained through the solver. The setting is that of Um et al.
 * (NeurIPS 2020, Solver-in-the-Loop, karman-2d), with a small network. Every method that trains through the solver starts
 * from NON's weights.
 *
 * @module
 */
import { buildWake } from '../bench/support/wake.js';
import { expected } from '../bench/support/options.js';
import type { Point, Series } from '../bench/support/plot.js';
import { mean } from '../bench/support/statistics.js';
import { rolledOut } from './fig6/errors.js';
import type { Fig6Method, Fig6Options } from './fig6/methods.js';
import { METHODS } from './fig6/methods.js';
import { picturesSvg } from './fig6/pictures.js';
import type { References } from './fig6/references.js';
import { references } from './fig6/references.js';
import type { Fig6Run, Source } from './fig6/run.js';
import { Trainer } from './fig6/run.js';
import { Setting } from './fig6/setting.js';
import { deviationsOf } from './fig6/windows.js';
import { joinMachines } from './support/machines.js';
import type { Publish, Report, ReportRow, Surroundings } from './support/report.js';
import { rounded } from './support/report.js';

/** Figure 6's error without a correction. */
const PUBLISHED_SOURCE = 0.18;
const [SOURCE_COLOUR, POINTS] = [7, 25];
/** The case of the pictures: of the middle Reynolds number. */
const PICTURED = 2;

/** The runs of a method, in the order of seeds. */
interface Made {
  readonly method: Fig6Method;
  readonly runs: readonly Fig6Run[];
}

export async function fig6(choice: Fig6Options, surroundings: Surroundings, publish: Publish): Promise<Report> {
  const least = choice.unroll + 2;
  if (choice.frames < least) {
    throw expected('--frames', `at least ${least}, the steps of a rollout and two more`, choice.frames);
  }
  const { data, simulator } = buildWake();
  const [training, test] = await Promise.all(
    (['training', 'test'] as const).map((part) => references(part, choice, data, surroundings)),
  );
  const setting = new Setting(simulator, deviationsOf(training!), surroundings.threads);
  const trainer = new Trainer(choice, setting, { training: training!, test: test! }, surroundings);
  const source = await trainer.source();
  const runs = new Map<Fig6Method, Fig6Run[]>();
  let report: Report | undefined;
  const methods = choice.methods.filter((method) => method !== 'non');
  for (const seed of choice.seeds) {
    const non = await trainer.run('non', seed);
    for (const method of ['non', ...methods] as const) {
      const run = method === 'non' ? non : await trainer.run(method, seed, non.weights);
      runs.set(method, [...(runs.get(method) ?? []), run]);
      const error = mean(run.errors.velocity);
      const part = (error / mean(source.errors.velocity)).toFixed(3);
      surroundings.onNote(`${METHODS[method].name}, seed ${seed}: error ${error.toFixed(4)}, ${part} of the source's`);
      const made = [...runs].map(([name, own]): Made => ({ method: name, runs: own }));
      report = reportOf(choice, source, made);
      await publish(report);
    }
  }
  const made = [...runs].map(([method, own]): Made => ({ method, runs: own }));
  return { ...report!, pictures: { ...report!.pictures, vorticity: await vorticityOf(setting, test!, made) } };
}

function reportOf(choice: Fig6Options, source: Source, made: readonly Made[]): Report {
  const { methods: _, ...settings } = choice;
  const uncorrected = mean(source.errors.velocity);
  const goal = heldOutOf(made.find(({ method }) => method === 'zo-sol'))?.at(-1)!.y;
  const none: ReportRow = {
    ...{ method: 'SRC', error: rounded(uncorrected, 4), lowest: null, highest: null, ratio: 1, publishedRatio: 1 },
    ...{ dragError: rounded(mean(source.errors.drag), 3), steps: 0, queries: 0, minutes: 0, queriesToLoss: null },
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
function heldOutOf(made: Made | undefined): Point[] | undefined {
  if (!made || METHODS[made.method].measured !== 'velocity') return undefined;
  const curves = made.runs.map(({ curve }) => curve);
  return curves[0]!.map(({ queries }, i) => {
    const losses = curves.map((curve) => curve[i]!.loss);
    return { x: queries, y: mean(losses), low: Math.min(...losses), high: Math.max(...losses) };
  });
}

/** Queries until a curve first is at a loss or below, between its points linearly; undefined if it never is. */
function queriesTo(loss: number, curve: readonly Point[] | undefined): number | undefined {
  const at = curve?.findIndex(({ y }) => y <= loss) ?? -1;
  if (at <= 0) return undefined;
  const [before, after] = [curve![at - 1]!, curve![at]!];
  return before.x + ((after.x - before.x) * (before.y - loss)) / (before.y - after.y);
}

function errorsPlot(uncorrected: number, made: readonly Made[]): Report['plot'] {
  const ways = made.filter(({ method }) => METHODS[method].measured !== 'flow');
  const measured = ways.map(({ method, runs }, i): Series => {
    const ratios = runs.map(({ errors }) => mean(errors.velocity) / uncorrected);
    const { name, colour } = METHODS[method];
    const point = { x: mean(ratios), y: i + 1, low: Math.min(...ratios), high: Math.max(...ratios) };
    return { name, colour, points: [point] };
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
    title: 'Error of velocities, as a part of the uncorrected one',
    x: { label: 'mean absolute error / that of SRC' },
    y: { names: ['SRC', ...ways.map(({ method }) => METHODS[method].name)] },
    series: [none, ...measured, ...published],
  };
}

function timePlot({ errors }: Source, made: readonly Made[]): Report['plot'] {
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

function queriesPlot(made: readonly Made[]): Report['plot'] {
  return {
    title: 'Loss of rollouts of the test cases against queries, from NON on',
    x: { label: 'queries (thousands)' },
    y: { label: 'mean squared error, velocities over their deviations' },
    series: made.flatMap((one): Series[] => {
      const points = heldOutOf(one)?.map(({ x, ...rest }) => ({ x: x / 1000, ...rest }));
      return points ? [{ name: METHODS[one.method].name, colour: METHODS[one.method].colour, points }] : [];
    }),
  };
}

/** Reference, source and corrected wakes of one case, by the first seed. */
async function vorticityOf(setting: Setting, test: References, made: readonly Made[]): Promise<string> {
  const steps = test.frames - 1;
  const times = [0.2, 0.5, 1].map((part) => Math.max(1, Math.round(part * steps)));
  const none = new Float32Array(setting.initial(0).length);
  const ways = [
    { name: 'SRC', weights: none },
    ...made.map(({ method, runs }) => ({ name: METHODS[method].name, weights: Float32Array.from(runs[0]!.weights) })),
  ];
  const rows = [{ name: 'reference', velocities: times.map((time) => test.frame(PICTURED, time)) }];
  for (const { name, weights } of ways) {
    const states = (await rolledOut(setting, weights, test))[PICTURED]!;
    rows.push({ name, velocities: times.map((time) => states[time - 1]!) });
  }
  const title = `Vorticity at the Reynolds number ${test.reynolds[PICTURED]!}, which no run was trained on`;
  return picturesSvg({ title, columns: times.map((time) => `step ${time}`), rows });
}
