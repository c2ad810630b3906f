/**
 * Figure 4 of DeepZero (Chen et al., ICLR 2024): test accuracy of a residual network against the sparsity of its gradient or its
 * weights.
 *
 * @module
 */
import type { Estimator, Model, Network, RunFolder } from 'deepzero';
import { cge, firstOrder, graspImportance, paper, pruneWeights, rankedRatios, resnet } from 'deepzero';

import { sum } from '../bench/support/statistics.js';
import type { RateSearch } from './support/rate-search.js';
import { searchRate } from './support/rate-search.js';
import type { Publish, Report, ReportRow } from './support/report.js';
import { inEpochs } from './support/report.js';
import type { InGroup } from './support/runs.js';
import { accuracyOf, meanOf, pointsOf, Runs } from './support/runs.js';
import type { Context, Trial } from './support/trial.js';
import type { ZoGraspMaskOptions } from './zo-grasp-mask.js';
import { zoGraspMask } from './zo-grasp-mask.js';

export const FIG4_METHODS = ['fo-dense', 'fo-gradient', 'deepzero', 'fo-weights'] as const;
export type Fig4Method = (typeof FIG4_METHODS)[number];

export const SPARSITIES: readonly number[] = [0.8, 0.9, 0.95, 0.99];

interface Given {
  readonly choice: Fig4Options;
  readonly sparsity: number;
  readonly folder: RunFolder;
  readonly seed: number;
  readonly context: Context;
}

interface Method {
  readonly name: string;
  readonly colour: number;
  /** Test accuracy in percent of ResNet-20, by sparsity (figure 4). */
  readonly published: Readonly<Record<string, number>>;
  /** The method whose learning rate it takes, instead of a search. */
  readonly rateOf?: Fig4Method;
  estimator(model: Model, given: Given): Promise<Estimator> | Estimator;
}

const RATES = [0.03, 0.1, 0.3, 1];
/** The sparsity at which learning rates are searched. */
const SEARCHED = 0.9;

const METHODS: Readonly<Record<Fig4Method, Method>> = {
  'fo-dense': {
    name: 'FO, dense',
    colour: 0,
    published: { 0: 92.85 },
    estimator: () => firstOrder(),
  },
  'fo-gradient': {
    name: 'FO, sparse gradient',
    colour: 2,
    published: { 0.8: 90.12, 0.9: 88.55, 0.95: 86.98, 0.99: 78.1 },
    estimator: async (model, given) => firstOrder(await zoGraspMask(model, given.sparsity, given.choice, given)),
  },
  deepzero: {
    name: 'DeepZero (sparse-CGE)',
    colour: 1,
    // It estimates the same gradient, at many times the cost.
    rateOf: 'fo-gradient',
    published: { 0.8: 86.94, 0.9: 86.46, 0.95: 84.26, 0.99: 73.37 },
    estimator: async (model, given) =>
      cge({ mu: paper.MU, ...(await zoGraspMask(model, given.sparsity, given.choice, given)) }),
  },
  'fo-weights': {
    name: 'FO, sparse weights (GraSP)',
    colour: 3,
    published: { 0.8: 88.59, 0.9: 86.25, 0.95: 82.95, 0.99: 68.22 },
    async estimator(model, { sparsity, choice, seed, context }) {
      const importance = await graspImportance(model, context.data.train, {
        samplesPerClass: choice.samplesPerClass,
        seed,
        signal: context.signal,
      });
      const kept = pruneWeights(model, rankedRatios(model, importance, sparsity), { importance });
      return firstOrder({ coordinates: kept });
    },
  },
};

export interface Fig4Options extends ZoGraspMaskOptions {
  readonly depth: number;
  readonly width: number;
  readonly methods: readonly Fig4Method[];
  readonly sparsities: readonly number[];
  readonly epochs: number;
  readonly searchEpochs: number;
  readonly seeds: readonly number[];
}

/** Dense gradients have one run for all sparsities. */
const sparsitiesOf = (method: Fig4Method, { sparsities }: Fig4Options): readonly number[] =>
  method === 'fo-dense' ? [0] : sparsities;

/** The method whose learning rate a method takes. */
const searchedAs = (method: Fig4Method): Fig4Method => METHODS[method].rateOf ?? method;

/** The name of a method's runs with a sparsity. */
const groupOf = (method: Fig4Method, sparsity: number): string => `${method} ${sparsity}`;

function networkOf({ depth, width }: Fig4Options, context: Context): Network {
  return resnet({ depth, width, classes: context.data.train.classes });
}

export async function fig4(choice: Fig4Options, context: Context, publish: Publish): Promise<Report> {
  const network = networkOf(choice, context);
  const trialOf = (method: Fig4Method, sparsity: number, rate: number, epochs: number, seed: number): Trial => ({
    key: `${network.name}-${choice.width}-${method}-${sparsity}-lr${rate}-epochs${epochs}-seed${seed}`,
    network,
    seed,
    estimator: (model, folder, within) =>
      METHODS[method].estimator(model, { choice, sparsity, seed, folder, context: within }),
    optimizer: paper.sgd(rate, epochs),
    length: { epochs },
  });
  const searches = new Map<Fig4Method, RateSearch>();
  const { methods, seeds, epochs, searchEpochs } = choice;
  const searching = new Set(methods.map(searchedAs));
  const total =
    searching.size * RATES.length + sum(methods.map((method) => sparsitiesOf(method, choice).length)) * seeds.length;
  const runs: Runs = new Runs(total, context, () => publish(reportOf(choice, network, searches, runs)));
  const trialsOf = (method: Fig4Method): InGroup[] => {
    const { rate } = searches.get(searchedAs(method))!;
    return sparsitiesOf(method, choice).flatMap((sparsity) =>
      seeds.map((seed) => [groupOf(method, sparsity), trialOf(method, sparsity, rate, epochs, seed)] as const),
    );
  };
  for (const method of searching) {
    const sparsity = method === 'fo-dense' ? 0 : SEARCHED;
    const short = (rate: number): Trial => trialOf(method, sparsity, rate, searchEpochs, seeds[0]!);
    searches.set(method, await searchRate(RATES, short, runs.make));
    await runs.readDone(methods.filter((other) => searchedAs(other) === method).flatMap(trialsOf));
  }
  await runs.makeGroups(methods.flatMap(trialsOf));
  return reportOf(choice, network, searches, runs);
}

function reportOf(
  choice: Fig4Options,
  network: Network,
  searches: ReadonlyMap<Fig4Method, RateSearch>,
  runs: Runs,
): Report {
  const { depth, width, epochs, redrawEvery, searchEpochs, seeds, methods, sparsities, graspQueries, samplesPerClass } =
    choice;
  const rows = methods.flatMap((method) =>
    sparsitiesOf(method, choice).flatMap((sparsity): ReportRow[] => {
      const group = runs.group(groupOf(method, sparsity));
      if (!group) return [];
      return [
        {
          method: METHODS[method].name,
          sparsity,
          ...accuracyOf(group),
          published: METHODS[method].published[sparsity] ?? null,
          rate: searches.get(searchedAs(method))!.rate,
          queriesPerStep: meanOf(group, ({ queries, steps }) => queries / steps, 6),
          minutes: meanOf(group, ({ seconds }) => seconds / 60, 3),
          machine: group.machine,
        },
      ];
    }),
  );
  const series = methods.flatMap((method) => {
    const { name, colour, published } = METHODS[method];
    const own = rows.filter((row) => row['method'] === name);
    // Dense gradients are a horizontal line.
    const at = method === 'fo-dense' ? sparsities : undefined;
    const points = own.flatMap((row) => (at ?? [row['sparsity'] as number]).flatMap((x) => pointsOf(row, 100 * x)));
    const theirs = sparsities.flatMap((x) => {
      const y = published[at ? 0 : x];
      return y === undefined ? [] : [{ x: 100 * x, y }];
    });
    return [
      { name: `${name}, measured`, colour, points },
      { name: `${name}, published`, colour, points: theirs, published: true },
    ];
  });
  return {
    title: `Test accuracy of ${network.name}, ${width} channels at first, against sparsity`,
    published: 'of ResNet-20 on CIFAR-10 after 50 epochs',
    settings: {
      depth,
      width,
      epochs,
      redrawEvery,
      graspQueries,
      samplesPerClass,
      seeds,
      mu: paper.MU,
      search: { epochs: searchEpochs, sparsity: SEARCHED, ...Object.fromEntries(searches) },
    },
    rows,
    plot: {
      title: `${network.name}, ${width} channels at first, ${inEpochs(epochs)} (published: ResNet-20, 50 epochs)`,
      x: { label: 'sparsity (%)', ticks: sparsities.map((sparsity) => 100 * sparsity) },
      y: { label: 'test accuracy (%)' },
      series,
    },
  };
}
