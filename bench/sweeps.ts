/**
 * How fast CGE sweeps over coordinates, by how much a query reuses and on how many threads.
 *
 * @module
 */
import type { Batch } from '../lib/data/dataset.js';
import { firstBatch } from '../lib/data/dataset.js';
import { synthetic } from '../lib/data/synthetic.js';
import type { Reuse } from '../lib/model/options.js';
import { drawCoordinates } from '../lib/estimators/masks.js';
import { Model } from '../lib/model/model.js';
import type { Network } from '../lib/network/description.js';
import { Random } from '../lib/native/random.js';
import type { PeakContender } from './cost.js';
import { countCost, countMemory, peakContender } from './cost.js';
import type { Contender, Session } from './sampling.js';
import { alternate, quickest, ROUNDS, wallClock } from './sampling.js';
import type { Statistics } from '../lib/support/statistics.js';
import { median, statistics } from '../lib/support/statistics.js';
import { stratified } from './stratified.js';

export interface SweepOptions {
  readonly network: Network;
  readonly batch: Batch;
  /** Of the maskable tensors. */
  readonly sparsity: number;
  readonly mu: number;
  readonly seed: number;
  /** What is timed against each other. */
  readonly variants: readonly { readonly mode: Reuse; readonly threads: number }[];
}

export interface SweepRow {
  network: string;
  parameters: number;
  batchSize: number;
  sparsity: number;
  mode: Reuse;
  threads: number;
  /** Queries of a sweep, without the unperturbed pass. */
  coordinates: number;
  /** Those that were timed: all, or a stratified sample of them. */
  timedCoordinates: number;
  queriesPerSecond: number;
  /** Of a whole sweep with its unperturbed pass; where only a sample was timed, scaled up from that. */
  sweepSeconds: Statistics;
  /** Per query and image, the mean over the sweep: as done, and with direct convolutions. */
  multiplyAdds: number;
  directMultiplyAdds: number;
  /** Of buffers on so many threads and of copies of the batch and the weights, counted. */
  countedBytes: number;
  /** Of as many threads, measured in the same run, in floating-point operations a second. */
  peakFlops: number;
  /** The queries' part of it, as done and as if convolutions were direct; null where queries are too short to tell. */
  peakFraction: number | null;
  directPeakFraction: number | null;
}

/** The first images of the generated set. */
export function benchBatch(batchSize: number): Batch {
  const { train } = synthetic({ train: batchSize, test: 1 });
  return firstBatch(train, batchSize);
}

/**
 * The pass that a sweep starts from. That of incremental queries is not the forward pass: it runs in double and prepares
 * weights and loss, and is had with the one query, of the last parameter, whose change passes nothing but the loss.
 */
export async function unperturbedPass(
  model: Model,
  batch: Batch,
  { mode, mu, signal }: { mode: Reuse; mu: number; signal?: AbortSignal | undefined },
): Promise<void> {
  if (mode === 'incremental') {
    await model.coordinatewise(batch, { mu, coordinates: Uint32Array.of(model.parameterCount - 1), signal });
  } else {
    await model.forward(batch, { training: true, signal });
  }
}

/** Fewer coordinates than this would not stand for a sweep. */
const LEAST_TIMED = 32;

interface Variant extends Contender {
  readonly mode: Reuse;
  readonly threads: number;
  readonly timed: Uint32Array;
  readonly base: Contender;
}

/** Times every variant, alternating with its unperturbed pass and the peak of every number of threads. */
export async function timeSweeps(options: SweepOptions, session: Session): Promise<SweepRow[]> {
  const { network, batch, sparsity, mu, seed } = options;
  const { signal } = session;
  const threadCounts = [...new Set(options.variants.map(({ threads }) => threads))];
  const models = threadCounts.map((threads) => new Model(network, { seed, threads }));
  const modelOf = (threads: number): Model => models[threadCounts.indexOf(threads)]!;
  try {
    const [{ compiled, parameterCount }] = models as [Model];
    const coordinates = drawCoordinates(compiled.parameters, sparsity, new Random(seed, 'mask'));
    const peaks: PeakContender[] = [];
    for (const count of threadCounts) peaks.push(await peakContender(count));
    const variants: Variant[] = [];
    for (const { mode, threads } of options.variants) {
      const base: Contender = {
        name: `${network.name}, ${mode}, unperturbed`,
        run: () => unperturbedPass(modelOf(threads), batch, { mode, mu, signal }),
      };
      const contender = (timed: Uint32Array): Variant => ({
        name: `${network.name}, sparsity ${sparsity}, ${mode}, ${threads} thread${threads > 1 ? 's' : ''}`,
        mode,
        threads,
        timed,
        base,
        run: () => modelOf(threads).coordinatewise(batch, { mu, coordinates: timed, reuse: mode, signal }),
      });
      const sampled = (count: number): Variant =>
        contender(stratified(coordinates, count, new Random(seed, 'samples')));
      session.onStatus?.(`${network.name}, ${mode}: how long a query takes`);
      const count = await affordable(sampled, base, threads, session.seconds / ROUNDS);
      variants.push(sampled(count));
    }
    const bases = variants.map((variant) => variant.base);
    const timings = await alternate([...peaks, ...bases, ...variants], session);
    const whole = await countCost({ network, compiled }, coordinates);
    const rows: SweepRow[] = [];
    for (const [i, { mode, threads, timed }] of variants.entries()) {
      // The quickest, which nothing disturbed: a query is never made out to be quicker than it is.
      const base = Math.min(...timings[peaks.length + i]!);
      const peakFlops = peaks[threadCounts.indexOf(threads)]!.flops();
      const taken = timings[peaks.length + bases.length + i]!;
      const sweeps = scaledUp(taken, base, coordinates.length / timed.length);
      const { [mode]: work } = await countCost({ network, compiled }, timed);
      const seconds = median(taken) - base;
      const fraction = (products: number): number | null =>
        seconds > 0.2 * base ? (2 * products * batch.count) / seconds / peakFlops : null;
      rows.push({
        network: network.name,
        parameters: parameterCount,
        ...{ batchSize: batch.count, sparsity, mode, threads },
        coordinates: coordinates.length,
        timedCoordinates: timed.length,
        queriesPerSecond: coordinates.length / median(sweeps),
        sweepSeconds: statistics(sweeps),
        multiplyAdds: whole[mode].done / coordinates.length,
        directMultiplyAdds: whole[mode].direct / coordinates.length,
        countedBytes: countMemory({ network, compiled }, batch, { coordinates: timed, reuse: mode, threads }).bytes,
        peakFlops,
        peakFraction: fraction(work.done),
        directPeakFraction: fraction(work.direct),
      });
    }
    return rows;
  } finally {
    for (const model of models) model[Symbol.dispose]();
  }
}

/**
 * Times of sweeps with `scale` times as many queries as those `taken`, all of which begin with a pass of `base` seconds. Where
 * chance made most of them quicker than that pass, as if all of their time were queries'.
 */
export function scaledUp(taken: readonly number[], base: number, scale: number): number[] {
  const begin = median(taken) > base ? base : 0;
  return taken.map((time) => Math.max(time, begin + scale * (time - begin)));
}

/** How many coordinates to time so that a call takes about `seconds`; the calls that find out warm everything up. */
async function affordable(
  sampled: (count: number) => Variant,
  base: Contender,
  threads: number,
  seconds: number,
): Promise<number> {
  await base.run();
  // The unperturbed pass, which is taken off, must be a small part of a call.
  const least = Math.max(seconds, 5 * (await quickest(base)));
  // Of a multiple of the threads none waits for the others at the end.
  const rounded = (count: number): number => threads * Math.ceil(count / threads);
  for (let count = rounded(LEAST_TIMED); ;) {
    const variant = sampled(count);
    const taken = Math.min(await wallClock(variant), await wallClock(variant));
    if (taken >= 0.7 * least || variant.timed.length < count) return count;
    count = rounded(count * Math.min(4, Math.max(1.5, least / taken)));
  }
}
