/**
 * How fast CGE sweeps over coordinates, by how much a query reuses and on how many threads.
 *
 * @module
 */
import type { Batch, Network, Reuse } from 'deepzero';
import { cge, Model, rankCount } from 'deepzero';

import type { PeakContender } from './support/kernel-clock.js';
import { peakContender } from './support/kernel-clock.js';
import type { Contender, Session } from './support/sampling.js';
import { alternate, quickest, ROUNDS, wallClock } from './support/sampling.js';
import type { Statistics } from './support/statistics.js';
import { median, statistics } from './support/statistics.js';
import { stratified } from './support/stratified.js';

export interface SweepOptions {
  readonly network: Network;
  readonly batch: Batch;
  /** Of the maskable tensors. */
  readonly sparsity: number;
  readonly mu: number;
  readonly seed: number;
  /** The contenders. */
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
  /** Timed queries: all, or a stratified sample. */
  timedCoordinates: number;
  queriesPerSecond: number;
  /** Of a whole sweep with its unperturbed pass; scaled up where only a sample was timed. */
  sweepSeconds: Statistics;
  /** Per query and image, the mean over the sweep: as done, and with direct convolutions. */
  multiplyAdds: number;
  directMultiplyAdds: number;
  /** Bytes of buffers on that many threads and of copies of the batch and the weights, counted. */
  countedBytes: number;
  /** Of that many threads, measured in the same run, in floating-point operations a second. */
  peakFlops: number;
  /** The queries' fraction of it, as done and as if convolutions were direct; null where queries are too short to tell. */
  peakFraction: number | null;
  directPeakFraction: number | null;
}

/**
 * The pass that a sweep starts from. For incremental queries it is not the forward pass: it runs in double and prepares
 * weights and loss. The shortest call that contains it has one query, of the last parameter, which changes only the loss.
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

/** Fewer coordinates than this do not represent a sweep. */
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
    const [model] = models as [Model];
    const coordinates = cge({ mu, sparsity }).coordinates!(model, { seed, step: 0, epoch: 0 });
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
      const sampled = (count: number): Variant => contender(stratified(coordinates, count, seed));
      session.onStatus?.(`${network.name}, ${mode}: timing a query`);
      const count = await affordable(sampled, base, threads, session.seconds / ROUNDS);
      variants.push(sampled(count));
    }
    const bases = variants.map((variant) => variant.base);
    const timings = await alternate([...peaks, ...bases, ...variants], session);
    const whole = await model.cost(coordinates);
    const rows: SweepRow[] = [];
    for (const [i, { mode, threads, timed }] of variants.entries()) {
      // The quickest one was disturbed least; a longer base would make queries look quicker than they are.
      const base = Math.min(...timings[peaks.length + i]!);
      // The peak is measured on rank 0, and every rank has cores of its own.
      const peakFlops = rankCount() * peaks[threadCounts.indexOf(threads)]!.flops();
      const taken = timings[peaks.length + bases.length + i]!;
      const sweeps = scaledUp(taken, base, coordinates.length / timed.length);
      const { [mode]: work } = await model.cost(timed);
      const seconds = median(taken) - base;
      const fraction = (products: number): number | null =>
        seconds > 0.2 * base ? (2 * products * batch.count) / seconds / peakFlops : null;
      rows.push({
        network: network.name,
        parameters: model.parameterCount,
        ...{ batchSize: batch.count, sparsity, mode, threads },
        coordinates: coordinates.length,
        timedCoordinates: timed.length,
        queriesPerSecond: coordinates.length / median(sweeps),
        sweepSeconds: statistics(sweeps),
        multiplyAdds: whole[mode].done / coordinates.length,
        directMultiplyAdds: whole[mode].direct / coordinates.length,
        countedBytes: modelOf(threads).memoryOf(batch, { coordinates: timed, reuse: mode }).bytes,
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
 * Times of sweeps with `scale` times as many queries as those `taken`, which each begin with a pass of `base` seconds. If noise
 * made most of them quicker than that pass, all of their time counts as that of queries.
 */
export function scaledUp(taken: readonly number[], base: number, scale: number): number[] {
  const begin = median(taken) > base ? base : 0;
  return taken.map((time) => Math.max(time, begin + scale * (time - begin)));
}

/** The number of coordinates whose queries take about `seconds`; finding it warms everything up. */
async function affordable(
  sampled: (count: number) => Variant,
  base: Contender,
  threads: number,
  seconds: number,
): Promise<number> {
  await base.run();
  // The unperturbed pass, which is subtracted, must be a small part of a call.
  const least = Math.max(seconds, 5 * (await quickest(base)));
  // With a multiple of the threads, none waits for the others at the end.
  const rounded = (count: number): number => threads * Math.ceil(count / threads);
  for (let count = rounded(LEAST_TIMED); ;) {
    const variant = sampled(count);
    const taken = Math.min(await wallClock(variant), await wallClock(variant));
    if (taken >= 0.7 * least || variant.timed.length < count) return count;
    count = rounded(count * Math.min(4, Math.max(1.5, least / taken)));
  }
}
