/**
 * CGE against RGE of as many queries, table 1 of DeepZero (Chen et al., ICLR 2024) in measured numbers: test accuracy, time of a
 * query, and cosine with the gradient by back-propagation.
 *
 * @module
 */
import { join } from 'node:path';

import { alternate, wallClock } from '../bench/sampling.js';
import { median } from '../lib/support/statistics.js';
import { cosineOf } from '../lib/estimators/gradcheck.js';
import type { Batch } from '../lib/data/dataset.js';
import { describeDataset, firstBatch } from '../lib/data/dataset.js';
import { digest } from '../lib/support/digest.js';
import { exists, readFileBytes } from '../lib/support/files.js';
import { Model } from '../lib/model/model.js';
import { RunFolder } from '../lib/training/folder.js';
import { MU } from '../lib/paper.js';
import { cnnOf, sizeIndex } from './cnn.js';
import type { CnnMethod, CnnSearches, Fig1Choice } from './fig1.js';
import { CNN_METHODS, cnnGroup, cnnRunCount, cnnRuns, cnnTrial, searchCnnRates } from './fig1.js';
import { optionsIn, recalled, renewed } from './kept.js';
import type { Publish, Report, ReportRow } from './report.js';
import { rounded } from './report.js';
import { accuracyOf, Runs } from './runs.js';
import type { RateSearch } from './search.js';
import type { Laboratory } from './training.js';
import { machineInWords } from '../lib/native/machine.js';

const METHODS = ['cge', 'rge'] as const;
type Method = (typeof METHODS)[number];

export interface Table1Choice extends Omit<Fig1Choice, 'methods'> {
  /** Measuring time of each method and size. */
  readonly seconds: number;
}

/** By method; of an estimate of zeros there is no cosine. */
type Figures = Readonly<Record<Method, number | null>>;

interface Times {
  millisecondsPerQuery: Figures;
}

interface Cosines {
  /** With the initial weights, and with those that CGE has trained, null if they are not there. */
  cosineInitially: Figures;
  cosineTrained: Figures | null;
}

export async function table1(choice: Table1Choice, laboratory: Laboratory, publish: Publish): Promise<Report> {
  const all = { ...choice, methods: METHODS };
  const measured = new Map<number, Times & Cosines>();
  const now = (): Report => reportOf(choice, searches, runs, measured, laboratory);
  const searches: CnnSearches = new Map();
  const runs: Runs = new Runs(cnnRunCount(all), laboratory, () => publish(now()));
  await searchCnnRates(all, runs, searches);
  const measurements = choice.sizes.map((size) => {
    const { key } = cnnTrial('cge', size, searches.get('cge')!.rate, choice.epochs, choice.seeds[0]!);
    return measurementOf(size, key, choice, laboratory);
  });
  for (const measurement of measurements) {
    const { size, times } = measurement;
    const timed = await recalled<Times>(times.file, times.options);
    const held = await knownCosines(measurement, await trainedWeights(measurement));
    if (timed && held) measured.set(size, { ...timed, ...held });
  }
  if (measured.size > 0) await publish(now());
  for (const measurement of measurements) {
    const { size } = measurement;
    await runs.makeGroups(cnnRuns(size, all, searches));
    const cosines = await measureCosines(measurement, laboratory);
    if (cosines.cosineTrained === null) {
      laboratory.onNote(`d = ${size}: no cosine at trained weights, for want of ${measurement.trained.weights}`);
    }
    measured.set(size, { ...cosines, ...(await measureTimes(measurement, choice, laboratory)) });
    await publish(now());
  }
  return now();
}

/** What is measured of a size: cosines do not depend on the machine, nor on how long times are taken. */
interface Measurement {
  readonly size: number;
  readonly seed: number;
  /** The run by CGE whose weights cosines are taken at. */
  readonly trained: RunFolder;
  readonly times: { readonly file: string; readonly options: object };
  /** A result is also kept under the digest of the trained weights, `weights`, null if it is without them. */
  readonly cosines: { readonly file: string; readonly options: object };
}

/** The digest of the weights that CGE has trained, null if they are not there. */
async function trainedWeights({ trained: { weights } }: Measurement): Promise<string | null> {
  return (await exists(weights)) ? digest(await readFileBytes(weights)) : null;
}

/** What is kept of weights with this digest, or, where they are gone, of those that the same run had. */
async function knownCosines(
  { cosines: { file, options } }: Measurement,
  weights: string | null,
): Promise<Cosines | undefined> {
  return await recalled<Cosines>(file, { ...options, weights: weights ?? (await optionsIn(file))?.['weights'] });
}

function measurementOf(
  size: number,
  run: string,
  { seconds, seeds }: Table1Choice,
  laboratory: Laboratory,
): Measurement {
  const { data, out, batchSize } = laboratory;
  const seed = seeds[0]!;
  const of = { size, seed, data: describeDataset(data.train), batchSize, mu: MU };
  const fileOf = (what: string): string => join(out, `cnn-${size}-${what}.json`);
  return {
    ...{ size, seed },
    trained: new RunFolder(join(out, run)),
    times: { file: fileOf('query-times'), options: { ...of, seconds, machine: machineInWords(laboratory) } },
    cosines: { file: fileOf('cosines'), options: { ...of, run } },
  };
}

/** Holds both methods' estimates against back-propagation. */
async function measureCosines(
  measurement: Measurement,
  { data, batchSize, threads, memory, signal, onStatus }: Laboratory,
): Promise<Cosines> {
  const weights = await trainedWeights(measurement);
  const known = await knownCosines(measurement, weights);
  if (known) return known;
  const { size, seed, trained } = measurement;
  const { file, options } = measurement.cosines;
  return await renewed(file, { ...options, weights }, async () => {
    const batch = firstBatch(data.train, batchSize);
    const cosines = async (model: Model): Promise<Figures> => {
      const { values } = await model.gradient(batch, { precision: 'double', signal });
      const cosine = async (method: Method): Promise<number | null> => {
        onStatus(`d = ${size}: ${method} against back-propagation`);
        const estimate = await estimateOf(method, model, batch, { seed, signal });
        const value = cosineOf(Float64Array.from(estimate), values);
        return Number.isFinite(value) ? value : null;
      };
      return { cge: await cosine('cge'), rge: await cosine('rge') };
    };
    using initial = new Model(cnnOf(size), { seed, threads, memory });
    const cosineInitially = await cosines(initial);
    if (weights === null) return { cosineInitially, cosineTrained: null };
    using end = await Model.load(trained.weights, { network: cnnOf(size), threads, memory });
    return { cosineInitially, cosineTrained: await cosines(end) };
  });
}

/** Times both methods' estimates against each other, after one of each, which allocates the buffers. */
async function measureTimes(
  { size, seed, times }: Measurement,
  { seconds }: Table1Choice,
  { data, batchSize, threads, memory, signal, onStatus }: Laboratory,
): Promise<Times> {
  return await renewed(times.file, times.options, async () => {
    const batch = firstBatch(data.train, batchSize);
    using model = new Model(cnnOf(size), { seed, threads, memory });
    const contenders = METHODS.map((name) => ({ name, run: () => estimateOf(name, model, batch, { seed, signal }) }));
    for (const { run } of contenders) await run();
    const [cge, rge] = await alternate(contenders, { sampler: wallClock, seconds, signal, onStatus });
    const perQuery = (seconds: number[]): number => (1000 * median(seconds)) / (1 + size);
    return { millisecondsPerQuery: { cge: perQuery(cge!), rge: perQuery(rge!) } };
  });
}

/** Of a step with as many queries as the model has parameters. */
async function estimateOf(
  method: Method,
  model: Model,
  batch: Batch,
  { seed, signal }: { seed: number; signal: AbortSignal },
): Promise<Float32Array> {
  const estimator = CNN_METHODS[method].estimator(model.parameterCount);
  const { gradient } = await estimator.estimate(model, batch, { seed, step: 0, epoch: 0, signal });
  return gradient;
}

function reportOf(
  { sizes, epochs, searchEpochs, seeds }: Table1Choice,
  searches: ReadonlyMap<CnnMethod, RateSearch>,
  runs: Runs,
  measured: ReadonlyMap<number, Times & Cosines>,
  laboratory: Laboratory,
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
          machine: machineInWords(laboratory),
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
    title: 'CGE against RGE of as many queries',
    published: 'accuracy, of CIFAR-10 after 50 epochs',
    settings: {
      epochs,
      seeds,
      mu: MU,
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
