/**
 * Figure 5 of DeepZero (Chen et al., ICLR 2024): the training time of the small CNN with CGE, with and without feature reuse,
 * against its number of parameters.
 *
 * @module
 */
import { join } from 'node:path';

import type { Reuse } from 'deepzero';
import { describeMachine, paper, REUSES } from 'deepzero';
import * as v from 'valibot';

import { firstBatch } from '../bench/support/networks.js';
import type { Series } from '../bench/support/plot.js';
import { wallClock } from '../bench/support/sampling.js';
import { timeSweeps } from '../bench/sweeps.js';
import { cnnOf, sizeIndex } from './cnn.js';
import { cached, readCached } from './support/cache.js';
import type { Publish, Report, ReportRow } from './support/report.js';
import { inEpochs, rounded } from './support/report.js';
import type { Context } from './support/trial.js';
import { datasetConfig } from './support/trial.js';

const PUBLISHED_EPOCHS = 50;
/** Hours of that many epochs on one data-centre GPU, by size. */
const PUBLISHED = {
  with: [0.99, 5.11, 11.39, 18.91, 28.94],
  without: [1.66, 12.08, 28.03, 45.22, 70.32],
} as const;

const NAMES: Readonly<Record<Reuse, string>> = {
  none: 'no reuse',
  block: 'reuse from the block',
  layer: 'reuse from the layer',
  incremental: 'incremental',
};

export interface Fig5Options {
  readonly sizes: readonly number[];
  readonly epochs: number;
  /** Measuring time of each reuse mode and size. */
  readonly seconds: number;
}

const positive = v.pipe(v.number(), v.finite(), v.gtValue(0));

const timingSchema = v.strictObject({
  mode: v.picklist(REUSES),
  timedCoordinates: positive,
  queriesPerSecond: positive,
  /** Of a step's estimate, the unperturbed pass and a query of each parameter, without gathering images and the update. */
  secondsPerStep: positive,
});
type Timing = v.InferOutput<typeof timingSchema>;

/** `cnn-SIZE-times.json` */
const schema = v.strictObject({ timings: v.array(timingSchema) });

/** Times a sweep of every size and reuse mode, alternating, and scales it up to a run. */
export async function fig5(choice: Fig5Options, context: Context, publish: Publish): Promise<Report> {
  const { batchSize, threads, data, out, signal, onStatus } = context;
  const stepsPerEpoch = Math.floor(data.train.count / batchSize);
  const machine = describeMachine({ threads });
  const batch = firstBatch(data.train, batchSize);
  const timed = new Map<number, readonly Timing[]>();
  const now = (): Report => reportOf(choice, { timed, stepsPerEpoch, machine });
  const measurements = choice.sizes.map((size) => ({
    size,
    file: { path: join(out, `cnn-${size}-times.json`), schema },
    options: { size, data: datasetConfig(data.train), batchSize, mu: paper.MU, seconds: choice.seconds, machine },
  }));
  for (const { size, file, options } of measurements) {
    const known = await readCached(file, options);
    if (known) timed.set(size, known.timings);
  }
  if (timed.size > 0) await publish(now());
  for (const { size, file, options } of measurements) {
    if (timed.has(size)) continue;
    const measure = async (): Promise<{ timings: Timing[] }> => {
      const variants = REUSES.map((mode) => ({ mode, threads }));
      const swept = await timeSweeps(
        { network: cnnOf(size), batch, sparsity: 0, mu: paper.MU, seed: 0, variants },
        { sampler: wallClock, seconds: choice.seconds, signal, onStatus },
      );
      return {
        timings: swept.map(({ mode, timedCoordinates, queriesPerSecond, sweepSeconds }) => ({
          ...{ mode, timedCoordinates, queriesPerSecond },
          secondsPerStep: sweepSeconds.median,
        })),
      };
    };
    const { timings } = await cached(file, options, measure, 'recompute');
    timed.set(size, timings);
    await publish(now());
  }
  return now();
}

function publishedHours(mode: Reuse, size: number, epochs: number): number | null {
  const hours = publishedFor(mode)?.[sizeIndex(size)];
  return hours === undefined ? null : rounded((hours * epochs) / PUBLISHED_EPOCHS, 4);
}

/** The paper's reuse cuts at the perturbed layer in this network, which has no blocks. */
function publishedFor(mode: Reuse): readonly number[] | undefined {
  if (mode === 'none') return PUBLISHED.without;
  return mode === 'layer' ? PUBLISHED.with : undefined;
}

interface Measured {
  readonly timed: ReadonlyMap<number, readonly Timing[]>;
  readonly stepsPerEpoch: number;
  readonly machine: string;
}

function rowsOf({ sizes, epochs }: Fig5Options, { timed, stepsPerEpoch, machine }: Measured): ReportRow[] {
  return sizes.flatMap((size) =>
    (timed.get(size) ?? []).map(({ mode, timedCoordinates, queriesPerSecond, secondsPerStep }) => ({
      ...{ reuse: NAMES[mode], parameters: size },
      hours: rounded((secondsPerStep * stepsPerEpoch * epochs) / 3600, 4),
      published: publishedHours(mode, size, epochs),
      ...{ secondsPerStep: rounded(secondsPerStep, 4), queriesPerSecond: rounded(queriesPerSecond, 4) },
      ...{ timedCoordinates, machine },
    })),
  );
}

function reportOf(choice: Fig5Options, measured: Measured): Report {
  const { sizes, epochs, seconds } = choice;
  const rows = rowsOf(choice, measured);
  const curves = REUSES.map((mode, colour): Series => {
    const own = rows.filter(({ reuse }) => reuse === NAMES[mode]);
    const points = own.map(({ parameters, hours }) => ({ x: parameters as number, y: hours as number }));
    return { name: `${NAMES[mode]}, measured`, colour, points };
  });
  const published = REUSES.flatMap((mode, colour): Series[] => {
    const points = sizes.flatMap((size) => {
      const hours = publishedHours(mode, size, epochs);
      return hours === null ? [] : [{ x: size, y: hours }];
    });
    return points.length === 0 ? [] : [{ name: `${NAMES[mode]}, published`, colour, points, published: true }];
  });
  return {
    title: `Hours of ${inEpochs(epochs)} of CGE by what a query reuses, from measured steps`,
    published: `on one data-centre GPU, scaled from ${PUBLISHED_EPOCHS} epochs`,
    settings: { sizes, epochs, mu: paper.MU, secondsOfMeasuring: seconds },
    rows,
    plot: {
      title: `CGE of the small CNN: hours of ${inEpochs(epochs)}`,
      x: { label: 'parameters d', ticks: sizes },
      y: { label: 'hours', logarithmic: true },
      series: [...curves, ...published],
    },
  };
}
