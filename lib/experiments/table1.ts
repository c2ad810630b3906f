/**
 * CGE against RGE of as many queries, table 1 of DeepZero (Chen et al., ICLR 2024) in measured numbers: test accuracy, time of a
 * query, and cosine with the gradient by back-propagation.
 *
 * @module
 */
import { join } from 'node:path';

import { alternate, wallClock } from '../bench/sampling.js';
import { median } from '../statistics.js';
import { cosineOf } from '../gradcheck.js';
import { describeDataset } from '../data/dataset.js';
import { exists } from '../files.js';
import { Model } from '../model.js';
import { RunFolder } from '../run-folder.js';
import { cnnOf, indexOf } from './cnn.js';
import type { Fig1Choice } from './fig1.js';
import { CNN_ESTIMATES, cnnGroup, cnnRunCount, cnnRuns, cnnTrial, searchCnnRates } from './fig1.js';
import { recalled, renewed } from './kept.js';
import { MU } from './paper.js';
import type { Publish, Report, ReportRow } from './report.js';
import { rounded } from './report.js';
import { accuracyOf, Runs } from './runs.js';
import type { RateSearch } from './search.js';
import type { Laboratory } from './training.js';
import { machineInWords } from '../words.js';

const METHODS = ['cge', 'rge'] as const;
type Method = (typeof METHODS)[number];

export interface Table1Choice extends Omit<Fig1Choice, 'methods'> {
  /** Measuring time of each method and size. */
  readonly seconds: number;
}

/** By method; of an estimate of zeros there is no cosine. */
type Figures = Readonly<Record<Method, number | null>>;

interface Measured {
  millisecondsPerQuery: Figures;
  /** With the initial weights, and with those that CGE has trained, null if that diverged. */
  cosineInitially: Figures;
  cosineTrained: Figures | null;
}

export async function table1(choice: Table1Choice, laboratory: Laboratory, publish: Publish): Promise<Report> {
  const all = { ...choice, methods: METHODS };
  const measured = new Map<number, Measured>();
  const now = (): Report => reportOf(choice, searches, runs, measured, laboratory);
  const runs: Runs = new Runs(cnnRunCount(all), laboratory, () => publish(now()));
  const searches = await searchCnnRates(all, runs);
  const measurements = choice.sizes.map((size) => {
    const { key } = cnnTrial('cge', size, searches.get('cge')!.rate, choice.epochs, choice.seeds[0]!);
    return measurementOf(size, key, choice, laboratory);
  });
  for (const { size, file, options } of measurements) {
    const known = await recalled<Measured>(file, options);
    if (known) measured.set(size, known);
  }
  await runs.readDone(choice.sizes.flatMap((size) => cnnRuns(size, all, searches)));
  for (const measurement of measurements) {
    const { size } = measurement;
    await runs.makeGroups(cnnRuns(size, all, searches));
    measured.set(size, await measure(measurement, choice, laboratory));
    await publish(now());
  }
  return now();
}

/** What is measured of a size, and where it is kept. */
interface Measurement {
  readonly size: number;
  /** The run whose weights are looked at. */
  readonly trained: string;
  readonly file: string;
  readonly options: object;
}

function measurementOf(
  size: number,
  trained: string,
  { seconds }: Table1Choice,
  { data, out, batchSize, threads }: Laboratory,
): Measurement {
  const machine = machineInWords(threads);
  const options = { size, trained, data: describeDataset(data.train), batchSize, mu: MU, seconds, machine };
  return { size, trained, file: join(out, `cnn-${size}-measured.json`), options };
}

/** Times a step's estimates against each other, and holds them against back-propagation. */
async function measure(
  { size, trained, file, options }: Measurement,
  { seconds, seeds }: Table1Choice,
  { data, out, batchSize, threads, memory, signal, onStatus, onNote }: Laboratory,
): Promise<Measured> {
  const batch = data.train.batch(Uint32Array.from({ length: batchSize }, (_, i) => i));
  const seed = seeds[0]!;
  return await renewed(file, options, async () => {
    using initial = new Model(cnnOf(size), { seed, threads, memory });
    const position = { seed, step: 0, epoch: 0, signal };
    const estimate = async (model: Model, method: Method): Promise<Float32Array> => {
      onStatus(`d = ${size}: ${method} against back-propagation`);
      const { gradient } = await CNN_ESTIMATES[method].estimator(size).estimate(model, batch, position);
      return gradient;
    };
    const cosines = async (model: Model): Promise<Figures> => {
      const { values } = await model.gradient(batch, { precision: 'double', signal });
      const cosine = async (method: Method): Promise<number | null> => {
        const value = cosineOf(Float64Array.from(await estimate(model, method)), values);
        return Number.isFinite(value) ? value : null;
      };
      return { cge: await cosine('cge'), rge: await cosine('rge') };
    };
    const cosinesTrained = async (weights: string): Promise<Figures> => {
      using end = await Model.load(weights, { threads, memory });
      return await cosines(end);
    };
    const { weights } = new RunFolder(join(out, trained));
    const cosineInitially = await cosines(initial);
    const hasTrained = await exists(weights);
    if (!hasTrained) onNote(`d = ${size}: no cosine at trained weights, for want of ${weights}`);
    const cosineTrained = hasTrained ? await cosinesTrained(weights) : null;
    const contenders = METHODS.map((name) => ({ name, run: () => estimate(initial, name) }));
    const [cge, rge] = await alternate(contenders, { sampler: wallClock, seconds, signal, onStatus });
    const perQuery = (seconds: number[]): number => (1000 * median(seconds)) / (1 + size);
    const millisecondsPerQuery = { cge: perQuery(cge!), rge: perQuery(rge!) };
    return { millisecondsPerQuery, cosineInitially, cosineTrained };
  });
}

function reportOf(
  { sizes, epochs, searchEpochs, seeds }: Table1Choice,
  searches: ReadonlyMap<string, RateSearch>,
  runs: Runs,
  measured: ReadonlyMap<number, Measured>,
  { threads }: Laboratory,
): Report {
  const rows = sizes.flatMap((size) =>
    METHODS.flatMap((method): ReportRow[] => {
      const group = runs.group(cnnGroup(method, size));
      const figures = measured.get(size);
      if (!group) return [];
      const { name, published } = CNN_ESTIMATES[method];
      const figure = (of: Figures | null | undefined, digits: number): number | null => {
        const value = of?.[method] ?? null;
        return value === null ? null : rounded(value, digits);
      };
      return [
        {
          method: name,
          parameters: size,
          ...accuracyOf(group),
          published: published?.[indexOf(size)] ?? null,
          millisecondsPerQuery: figure(figures?.millisecondsPerQuery, 3),
          cosineInitially: figure(figures?.cosineInitially, 4),
          cosineTrained: figure(figures?.cosineTrained, 4),
          machine: machineInWords(threads),
        },
      ];
    }),
  );
  const series = METHODS.flatMap((method) =>
    (['cosineInitially', 'cosineTrained'] as const).map((column, end) => ({
      name: `${CNN_ESTIMATES[method].name}, ${end === 0 ? 'initial' : 'trained'} weights`,
      colour: CNN_ESTIMATES[method].colour + 2 * end,
      points: rows
        .filter((row) => row['method'] === CNN_ESTIMATES[method].name && row[column] !== null)
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
