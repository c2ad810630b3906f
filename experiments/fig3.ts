/**
 * Figure 3 of DeepZero (Chen et al., ICLR 2024): methods that train without back-propagation, here on one network and with the
 * same number of loss evaluations: sparse-CGE with ZO-GraSP's ratios (its evaluations before the run are not counted), forward
 * gradients and pattern search.
 *
 * @module
 */
import type { Estimator, RunFolder } from 'deepzero';
import { cge, forwardGradient, Model, paper, patternSearch } from 'deepzero';

import { dashed, expected } from '../bench/support/options.js';
import type { Point } from '../bench/support/plot.js';
import { mean, sum } from '../bench/support/statistics.js';
import { cnnOf } from './cnn.js';
import type { RateSearch } from './support/rate-search.js';
import { searchRate } from './support/rate-search.js';
import type { Publish, Report, ReportRow } from './support/report.js';
import type { Group, InGroup } from './support/runs.js';
import { accuracyOf, meanOf, Runs } from './support/runs.js';
import type { Context, Trial } from './support/trial.js';
import type { ZoGraspMaskOptions } from './zo-grasp-mask.js';
import { zoGraspMask } from './zo-grasp-mask.js';

export const FIG3_METHODS = ['deepzero', 'forward-gradient', 'pattern-search'] as const;
export type Fig3Method = (typeof FIG3_METHODS)[number];

interface Method {
  readonly name: string;
  readonly colour: number;
  /** Test accuracy in percent (figure 3), and the network that has it. */
  readonly published: { readonly accuracy: number; readonly of: string };
  /** Learning rates, or radii, that the search tries. */
  readonly rates: readonly number[];
  /** With the rate, and the steps of the run. */
  estimator(model: Model, rate: number, given: Given): Promise<Estimator> | Estimator;
}

interface Given {
  readonly choice: Fig3Options;
  readonly context: Context;
  readonly folder: RunFolder;
  readonly seed: number;
  readonly steps: number;
}

export interface Fig3Options extends ZoGraspMaskOptions {
  /** Parameters of the small CNN. */
  readonly size: number;
  readonly methods: readonly Fig3Method[];
  /** Loss evaluations of a run. */
  readonly budget: number;
  /** Loss evaluations of the runs that choose each rate. */
  readonly searchBudget: number;
  /** Fraction of the weights that sparse-CGE leaves out. */
  readonly sparsity: number;
  /** Directions, or trials, of a step of the other two. */
  readonly queries: number;
  readonly seeds: readonly number[];
}

const METHODS: Readonly<Record<Fig3Method, Method>> = {
  deepzero: {
    name: 'DeepZero',
    colour: 1,
    published: { accuracy: 86.94, of: 'ResNet-20, 0.27 M, sparsity 0.8' },
    rates: [0.1, 0.3, 1, 3],
    estimator: async (model, _, given) =>
      cge({ mu: paper.MU, ...(await zoGraspMask(model, given.choice.sparsity, given.choice, given)) }),
  },
  'forward-gradient': {
    name: 'FG-W',
    colour: 2,
    published: { accuracy: 49.55, of: '13.1 M' },
    rates: [0.01, 0.03, 0.1, 0.3],
    estimator: (_, __, { choice }) => forwardGradient({ queries: choice.queries }),
  },
  'pattern-search': {
    name: 'Pattern Search',
    colour: 4,
    published: { accuracy: 30, of: '60 K' },
    rates: [0.01, 0.03, 0.1, 0.3],
    // The radius shrinks to a tenth over the run.
    estimator: (_, radius, { choice, steps }) =>
      patternSearch({ radius, decay: 0.1 ** (1 / steps), queries: choice.queries }),
  },
};

/** Published beside those (figure 3), and not implemented here. */
const OTHERS = 'LG-FG-A 73.19 (13.1 M parameters) and Align-Ada 58.00 (14.2 M), which are not implemented here';

/** Loss evaluations of a step. */
function perStep(method: Fig3Method, { size, sparsity, queries }: Fig3Options): number {
  // Layer-wise ratios give the same number of queries, up to rounding.
  if (method !== 'deepzero') return 1 + queries;
  using model = new Model(cnnOf(size));
  return cge({ mu: paper.MU, sparsity }).queriesPerStep(model);
}

function checkBudgets(choice: Fig3Options): void {
  for (const method of choice.methods) {
    const least = perStep(method, choice);
    const limit = `at least ${least}, the loss evaluations of a step of ${METHODS[method].name}`;
    for (const budget of ['budget', 'searchBudget'] as const) {
      if (choice[budget] < least) throw expected(dashed(budget), limit, choice[budget]);
    }
  }
}

/** A run with about `budget` loss evaluations, tested at most ten times. */
function trialOf(
  method: Fig3Method,
  rate: number,
  budget: number,
  seed: number,
  choice: Fig3Options,
  context: Context,
): Trial {
  const { size } = choice;
  const steps = Math.round(budget / perStep(method, choice));
  const stepsPerEpoch = Math.floor(context.data.train.count / context.batchSize);
  return {
    key: `cnn-${size}-${method}-rate${rate}-budget${budget}-seed${seed}`,
    network: cnnOf(size),
    seed,
    estimator: (model, folder, within) =>
      METHODS[method].estimator(model, rate, { choice, context: within, folder, seed, steps }),
    optimizer: paper.sgd(rate, steps / stepsPerEpoch),
    length: { steps },
    testEvery: Math.ceil(steps / 10),
  };
}

export async function fig3(choice: Fig3Options, context: Context, publish: Publish): Promise<Report> {
  checkBudgets(choice);
  const searches = new Map<Fig3Method, RateSearch>();
  const { methods, seeds, budget, searchBudget } = choice;
  const total = sum(methods.map((method) => METHODS[method].rates.length + seeds.length));
  const runs: Runs = new Runs(total, context, () => publish(reportOf(choice, searches, runs)));
  const trialsOf = (method: Fig3Method): InGroup[] => {
    const { rate } = searches.get(method)!;
    return seeds.map((seed) => [method, trialOf(method, rate, budget, seed, choice, context)]);
  };
  for (const method of methods) {
    const short = (rate: number): Trial => trialOf(method, rate, searchBudget, seeds[0]!, choice, context);
    searches.set(method, await searchRate(METHODS[method].rates, short, runs.make));
    await runs.readDone(trialsOf(method));
  }
  await runs.makeGroups(methods.flatMap(trialsOf));
  return reportOf(choice, searches, runs);
}

function reportOf(choice: Fig3Options, searches: ReadonlyMap<Fig3Method, RateSearch>, runs: Runs): Report {
  const groups = choice.methods.flatMap((method) => {
    const group = runs.group(method);
    return group ? [{ method, group, ...METHODS[method] }] : [];
  });
  const rows = groups.map(({ method, group, name, published }): ReportRow => ({
    method: name,
    ...accuracyOf(group),
    queries: meanOf(group, ({ queries }) => queries, 8),
    steps: meanOf(group, ({ steps }) => steps, 8),
    rate: searches.get(method)!.rate,
    minutes: meanOf(group, ({ seconds }) => seconds / 60, 3),
    published: published.accuracy,
    publishedOf: published.of,
    machine: group.machine,
  }));
  const series = groups.flatMap(({ group, name, colour, published }) => {
    const points = curveOf(group);
    // Published runs have other budgets: a horizontal line.
    const ends = points.length === 0 ? [] : [points[0]!, points.at(-1)!];
    const theirs = ends.map(({ x }) => ({ x, y: published.accuracy }));
    return [
      { name: `${name}, measured`, colour, points },
      { name: `${name}, published (${published.of})`, colour, points: theirs, published: true },
    ];
  });
  const { size, budget, searchBudget, sparsity, redrawEvery, queries, graspQueries, samplesPerClass, seeds } = choice;
  return {
    title: `Training without back-propagation: a CNN of ${size} parameters, ${budget} loss evaluations`,
    published: `of CIFAR-10, each with another network and budget; also ${OTHERS}`,
    settings: {
      size,
      budget,
      sparsity,
      redrawEvery,
      queries,
      graspQueries,
      samplesPerClass,
      seeds,
      mu: paper.MU,
      search: { budget: searchBudget, ...Object.fromEntries(searches) },
    },
    rows,
    plot: {
      title: 'Training without back-propagation, by loss evaluations',
      x: { label: 'loss evaluations (thousands)' },
      y: { label: 'test accuracy (%)' },
      series,
    },
  };
}

/** The mean over a group's runs, which are all tested after the same steps. */
function curveOf({ results }: Group): Point[] {
  const [first] = results;
  if (!first) return [];
  return first.learningCurve.map(({ queries }, i) => {
    const accuracies = results.map(({ learningCurve }) => 100 * learningCurve[i]!.testAccuracy);
    return { x: queries / 1000, y: mean(accuracies), low: Math.min(...accuracies), high: Math.max(...accuracies) };
  });
}
