/**
 * CGE and RGE with equally many queries, table 1 of DeepZero (Chen et al., ICLR 2024) in measured numbers: test accuracy, time of a
 * query, and cosine with the gradient by back-propagation.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Batch } from 'deepzero';
import { cosineSimilarity, describeMachine, Model, paper, RunFolder } from 'deepzero';
import * as v from 'valibot';

import { firstBatch } from '../bench/support/networks.js';
import { alternate, wallClock } from '../bench/support/sampling.js';
import { median } from '../bench/support/statistics.js';
import { cnnOf, sizeIndex } from './cnn.js';
import type { CnnMethod, CnnSearches, Fig1Options } from './fig1.js';
import { CNN_METHODS, cnnGroup, cnnRunCount, cnnRuns, cnnTrial, searchCnnRates } from './fig1.js';
import type { CacheFile } from './support/cache.js';
import { cached, cachedOptions, exists, readCached } from './support/cache.js';
import type { RateSearch } from './support/rate-search.js';
import type { Publish, Report, ReportRow } from './support/report.js';
import { rounded } from './support/report.js';
import { accuracyOf, Runs } from './support/runs.js';
import type { Context } from './support/trial.js';
import { datasetConfig } from './support/trial.js';

const METHODS = ['cge', 'rge'] as const;
type Method = (typeof METHODS)[number];

export interface Table1Options extends Omit<Fig1Options, 'methods'> {
  /** Measuring time of each method and size. */
  readonly seconds: number;
}

/** By method; an estimate of zeros has no cosine. */
const figuresSchema = v.strictObject({ cge: v.nullable(v.number()), rge: v.nullable(v.number()) });
type Figures = v.InferOutput<typeof figuresSchema>;

/** `cnn-SIZE-query-times.json` */
const timesSchema = v.strictObject({ millisecondsPerQuery: figuresSchema });
type Times = v.InferOutput<typeof timesSchema>;

/** `cnn-SIZE-cosines.json` */
const cosinesSchema = v.strictObject({
  /** At the initial weights, and at those that CGE has trained, null if they are not there. */
  cosineInitially: figuresSchema,
  cosineTrained: v.nullable(figuresSchema),
});
type Cosines = v.InferOutput<typeof cosinesSchema>;

export async function table1(choice: Table1Options, context: Context, publish: Publish): Promise<Report> {
  const all = { ...choice, methods: METHODS };
  const measured = new Map<number, Times & Cosines>();
  const now = (): Report => reportOf(choice, searches, runs, measured, context);
  const searches: CnnSearches = new Map();
  const runs: Runs = new Runs(cnnRunCount(all), context, () => publish(now()));
  await searchCnnRates(all, runs, searches);
  const measurements = choice.sizes.map((size) => {
    const { key } = cnnTrial('cge', size, searches.get('cge')!.rate, choice.epochs, choice.seeds[0]!);
    return measurementOf(size, key, choice, context);
  });
  for (const measurement of measurements) {
    const { size, times } = measurement;
    const timed = await readCached(times.file, times.options);
    const cosines = await cachedCosines(measurement, await trainedWeights(measurement));
    if (timed && cosines) measured.set(size, { ...timed, ...cosines });
  }
  if (measured.size > 0) await publish(now());
  for (const measurement of measurements) {
    const { size } = measurement;
    await runs.makeGroups(cnnRuns(size, all, searches));
    const cosines = await measureCosines(measurement, context);
    if (cosines.cosineTrained === null) {
      context.onNote(
        `d = ${size}: no cosine at trained weights, because ${measurement.trained.weights} does not exist`,
      );
    }
    measured.set(size, { ...cosines, ...(await measureTimes(measurement, choice, context)) });
    await publish(now());
  }
  return now();
}

/** The measurements at a size. Cosines do not depend on the machine, nor on the measuring time. */
interface Measurement {
  readonly size: number;
  readonly seed: number;
  /** The run by CGE at whose weights cosines are computed. */
  readonly trained: RunFolder;
  readonly times: { readonly file: CacheFile<Times>; readonly options: object };
  /** The digest of the trained weights is another option, `weights`, null without them. */
  readonly cosines: { readonly file: CacheFile<Cosines>; readonly options: object };
}

/** The digest of the weights that CGE has trained, null if they are not there. */
async function trainedWeights({ trained: { weights } }: Measurement): Promise<string | null> {
  if (!(await exists(weights))) return null;
  return createHash('sha256')
    .update(await readFile(weights))
    .digest('hex')
    .slice(0, 16);
}

/** The cached cosines for weights with this digest, or, if the weights are gone, for those that the same run had. */
async function cachedCosines(
  { cosines: { file, options } }: Measurement,
  weights: string | null,
): Promise<Cosines | undefined> {
  return await readCached(file, { ...options, weights: weights ?? (await cachedOptions(file))?.['weights'] });
}

function measurementOf(size: number, run: string, { seconds, seeds }: Table1Options, context: Context): Measurement {
  const { data, out, batchSize } = context;
  const seed = seeds[0]!;
  const of = { size, seed, data: datasetConfig(data.train), batchSize, mu: paper.MU };
  const pathOf = (name: string): string => join(out, `cnn-${size}-${name}.json`);
  return {
    ...{ size, seed },
    trained: new RunFolder(join(out, run)),
    times: {
      file: { path: pathOf('query-times'), schema: timesSchema },
      options: { ...of, seconds, machine: describeMachine(context) },
    },
    cosines: { file: { path: pathOf('cosines'), schema: cosinesSchema }, options: { ...of, run } },
  };
}

/** The cosines of both methods' estimates with the gradient by back-propagation. */
async function measureCosines(
  measurement: Measurement,
  { data, batchSize, threads, memory, signal, onStatus }: Context,
): Promise<Cosines> {
  const weights = await trainedWeights(measurement);
  const known = await cachedCosines(measurement, weights);
  if (known) return known;
  const { size, seed, trained } = measurement;
  const { file, options } = measurement.cosines;
  const measure = async (): Promise<Cosines> => {
    const batch = firstBatch(data.train, batchSize);
    const cosines = async (model: Model): Promise<Figures> => {
      const { values } = await model.gradient(batch, { precision: 'double', signal });
      const cosine = async (method: Method): Promise<number | null> => {
        onStatus(`d = ${size}: cosine of ${method} with back-propagation`);
        const estimate = await estimateOf(method, model, batch, { seed, signal });
        const value = cosineSimilarity(Float64Array.from(estimate), values);
        return Number.isFinite(value) ? value : null;
      };
      return { cge: await cosine('cge'), rge: await cosine('rge') };
    };
    using initial = new Model(cnnOf(size), { seed, threads, memory });
    const cosineInitially = await cosines(initial);
    if (weights === null) return { cosineInitially, cosineTrained: null };
    using end = await Model.load(trained.weights, { network: cnnOf(size), threads, memory });
    return { cosineInitially, cosineTrained: await cosines(end) };
  };
  return await cached(file, { ...options, weights }, measure, 'recompute');
}

/** Times the estimates of both methods in turn, after one of each, which allocates the buffers. */
async function measureTimes(
  { size, seed, times }: Measurement,
  { seconds }: Table1Options,
  { data, batchSize, threads, memory, signal, onStatus }: Context,
): Promise<Times> {
  const measure = async (): Promise<Times> => {
    const batch = firstBatch(data.train, batchSize);
    using model = new Model(cnnOf(size), { seed, threads, memory });
    const contenders = METHODS.map((name) => ({ name, run: () => estimateOf(name, model, batch, { seed, signal }) }));
    for (const { run } of contenders) await run();
    const [cge, rge] = await alternate(contenders, { sampler: wallClock, seconds, signal, onStatus });
    const perQuery = (seconds: number[]): number => (1000 * median(seconds)) / (1 + size);
    return { millisecondsPerQuery: { cge: perQuery(cge!), rge: perQuery(rge!) } };
  };
  return await cached(times.file, times.options, measure, 'recompute');
}

/** The estimate of a step with as many queries as the model has parameters. */
async function estimateOf(
  method: Method,
  model: Model,
  batch: Batch,
  { seed, signal }: { seed: number; signal: AbortSignal },
): Promise<ArrayLike<number>> {
  const estimator = CNN_METHODS[method].estimator(model.parameterCount);
  const { gradient } = await estimator.estimate(model, batch, { seed, step: 0, epoch: 0, signal });
  return gradient;
}

function reportOf(
  { sizes, epochs, searchEpochs, seeds }: Table1Options,
  searches: ReadonlyMap<CnnMethod, RateSearch>,
  runs: Runs,
  measured: ReadonlyMap<number, Times & Cosines>,
  context: Context,
): Report {
  const rows = sizes.flatMap((size) =>
    METHODS.flatMap((method): ReportRow[] => {
      const group = runs.group(cnnGroup(method, size));
      const figures = measured.get(size);
      if (!group) return [];
      const { name, published } = CNN_METHODS[method];
      const figure = (of: Figures | null | undefined, digits: number): number | null => {
        const value = of?.[method] ?? null;
        return value === null ? null : rounded(value, digits);
      };
      return [
        {
          method: name,
          parameters: size,
          ...accuracyOf(group),
          published: published?.[sizeIndex(size)] ?? null,
          millisecondsPerQuery: figure(figures?.millisecondsPerQuery, 3),
          cosineInitially: figure(figures?.cosineInitially, 4),
          cosineTrained: figure(figures?.cosineTrained, 4),
          machine: describeMachine(context),
        },
      ];
    }),
  );
  const series = METHODS.flatMap((method) =>
    (['cosineInitially', 'cosineTrained'] as const).map((column, end) => ({
      name: `${CNN_METHODS[method].name}, ${end === 0 ? 'initial' : 'trained'} weights`,
      colour: CNN_METHODS[method].colour + 2 * end,
      points: rows
        .filter((row) => row['method'] === CNN_METHODS[method].name && row[column] !== null)
        .map((row) => ({ x: row['parameters'] as number, y: row[column] as number })),
    })),
  );
  return {
    title: 'CGE and RGE with equally many queries',
    published: 'accuracy, of CIFAR-10 after 50 epochs',
    settings: {
      epochs,
      seeds,
      mu: paper.MU,
      sizes,
      search: { epochs: searchEpochs, ...Object.fromEntries(searches) },
    },
    rows,
    plot: {
      title: 'Cosine of a step’s estimate with the gradient by back-propagation',
      x: { label: 'parameters d', ticks: sizes },
      y: { label: 'cosine' },
      series,
    },
  };
}
