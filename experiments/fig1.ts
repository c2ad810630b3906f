/**
 * Figure 1 of DeepZero (Chen et al., ICLR 2024): test accuracy of the small CNN against its number of parameters, trained with
 * first-order gradients, CGE and RGE with as many queries as parameters: by equation (1), and with each tensor's part of a
 * direction scaled to unit length, as the public code does.
 *
 * @module
 */
import type { Estimator } from 'deepzero';
import { cge, firstOrder, paper, rge } from 'deepzero';

import { sum } from '../bench/support/statistics.js';
import { CNN_SIZES, cnnOf, sizeIndex } from './cnn.js';
import type { RateSearch } from './support/rate-search.js';
import { searchRate } from './support/rate-search.js';
import type { Publish, Report, ReportRow } from './support/report.js';
import { inEpochs } from './support/report.js';
import type { InGroup } from './support/runs.js';
import { accuracyOf, meanOf, pointsOf, Runs } from './support/runs.js';
import type { Context, Trial } from './support/trial.js';

export const CNN_METHOD_NAMES = ['fo', 'cge', 'rge', 'rge-per-tensor'] as const;
export type CnnMethod = (typeof CNN_METHOD_NAMES)[number];

interface Method {
  readonly name: string;
  readonly colour: number;
  /** Test accuracy in percent by size, if figure 1 has the method. */
  readonly published?: readonly number[];
  /** Learning rates that the search tries. */
  readonly rates: readonly number[];
  estimator(parameters: number): Estimator;
}

/** For estimates as long as the gradient. */
const RATES = [0.03, 0.1, 0.3];

export const CNN_METHODS: Readonly<Record<CnnMethod, Method>> = {
  fo: {
    name: 'FO',
    colour: 0,
    published: [42.09, 60.47, 70.69, 76.64, 77.01],
    rates: RATES,
    estimator: () => firstOrder(),
  },
  cge: {
    name: 'CGE',
    colour: 1,
    published: [41.65, 59.66, 70.04, 76.07, 76.95],
    rates: RATES,
    estimator: () => cge({ mu: paper.MU }),
  },
  rge: {
    name: 'RGE, q = d',
    colour: 2,
    published: [37.53, 50.06, 65.31, 70.05, 68.38],
    rates: RATES,
    estimator: (queries) => rge({ mu: paper.MU, queries }),
  },
  'rge-per-tensor': {
    name: 'RGE per tensor, q = d',
    colour: 3,
    // For a tensor of n numbers the estimate is expected to be 1/n of the gradient.
    rates: RATES.map((rate) => 100 * rate),
    estimator: (queries) => rge({ mu: paper.MU, queries, perTensor: true }),
  },
};

export interface Fig1Options {
  readonly sizes: readonly number[];
  readonly methods: readonly CnnMethod[];
  readonly epochs: number;
  readonly searchEpochs: number;
  readonly seeds: readonly number[];
}

/** A run of the CNN of `size` parameters. */
export function cnnTrial(method: CnnMethod, size: number, rate: number, epochs: number, seed: number): Trial {
  return {
    key: `cnn-${size}-${method}-lr${rate}-epochs${epochs}-seed${seed}`,
    network: cnnOf(size),
    seed,
    estimator: (model) => CNN_METHODS[method].estimator(model.parameterCount),
    optimizer: paper.sgd(rate, epochs),
    length: { epochs },
  };
}

/** The number of runs, with those of the searches. */
export function cnnRunCount({ methods, sizes, seeds }: Fig1Options): number {
  return sum(methods.map((method) => CNN_METHODS[method].rates.length + sizes.length * seeds.length));
}

/** The searches that are done, by method. */
export type CnnSearches = Map<CnnMethod, RateSearch>;

/** Searches each method's learning rate with the smallest network, and reads those of its runs that are done. */
export async function searchCnnRates(choice: Fig1Options, runs: Runs, searches: CnnSearches): Promise<void> {
  const { sizes, methods, searchEpochs, seeds } = choice;
  for (const method of methods) {
    const short = (rate: number): Trial => cnnTrial(method, CNN_SIZES[0]!, rate, searchEpochs, seeds[0]!);
    searches.set(method, await searchRate(CNN_METHODS[method].rates, short, runs.make));
    await runs.readDone(sizes.flatMap((size) => cnnRuns(size, { ...choice, methods: [method] }, searches)));
  }
}

/** The name of a method's runs with a size. */
export const cnnGroup = (method: CnnMethod, size: number): string => `${method} ${size}`;

/** All methods' runs with a size, one for each seed. */
export function cnnRuns(
  size: number,
  { methods, epochs, seeds }: Fig1Options,
  searches: ReadonlyMap<CnnMethod, RateSearch>,
): InGroup[] {
  return methods.flatMap((method) =>
    seeds.map(
      (seed) => [cnnGroup(method, size), cnnTrial(method, size, searches.get(method)!.rate, epochs, seed)] as const,
    ),
  );
}

/** All runs, those that are done first, then size by size; `publish` is called after each. */
export async function fig1(choice: Fig1Options, context: Context, publish: Publish): Promise<Report> {
  const searches: CnnSearches = new Map();
  const runs: Runs = new Runs(cnnRunCount(choice), context, () => publish(reportOf(choice, searches, runs)));
  await searchCnnRates(choice, runs, searches);
  await runs.makeGroups(choice.sizes.flatMap((size) => cnnRuns(size, choice, searches)));
  return reportOf(choice, searches, runs);
}

function reportOf(
  { sizes, methods, epochs, searchEpochs, seeds }: Fig1Options,
  searches: ReadonlyMap<CnnMethod, RateSearch>,
  runs: Runs,
): Report {
  const rows: ReportRow[] = [];
  for (const method of methods) {
    for (const size of sizes) {
      const group = runs.group(cnnGroup(method, size));
      if (!group) continue;
      rows.push({
        method: CNN_METHODS[method].name,
        parameters: size,
        ...accuracyOf(group),
        published: CNN_METHODS[method].published?.[sizeIndex(size)] ?? null,
        rate: searches.get(method)!.rate,
        queriesPerStep: meanOf(group, ({ queries, steps }) => queries / steps, 6),
        hours: meanOf(group, (run) => run.seconds / 3600, 4),
        machine: group.machine,
      });
    }
  }
  const series = methods.flatMap((method) => {
    const { name, colour, published } = CNN_METHODS[method];
    const own = rows.filter((row) => row['method'] === name);
    const points = own.flatMap((row) => pointsOf(row, row['parameters'] as number));
    const theirs = sizes.flatMap((size) => (published ? [{ x: size, y: published[sizeIndex(size)]! }] : []));
    return [
      { name: `${name}, measured`, colour, points },
      ...(published ? [{ name: `${name}, published`, colour, points: theirs, published: true }] : []),
    ];
  });
  return {
    title: 'Test accuracy of the small CNN against its number of parameters',
    published: 'of CIFAR-10 after 50 epochs',
    settings: { sizes, epochs, seeds, mu: paper.MU, search: { epochs: searchEpochs, ...Object.fromEntries(searches) } },
    rows,
    plot: {
      title: `The small CNN after ${inEpochs(epochs)} (published: 50)`,
      x: { label: 'parameters d', ticks: sizes },
      y: { label: 'test accuracy (%)' },
      series,
    },
  };
}
