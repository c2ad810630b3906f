import type { Network } from 'deepzero';
import { Model } from 'deepzero';

import { peakContender } from './support/kernel-clock.js';
import { syntheticBatch } from './support/networks.js';
import type { Session } from './support/sampling.js';
import { alternate } from './support/sampling.js';
import type { Statistics } from './support/statistics.js';
import { statistics } from './support/statistics.js';

export interface ForwardRow {
  network: string;
  batchSize: number;
  threads: number;
  imagesPerSecond: number;
  /** Of one pass, batch norm in training mode. */
  seconds: Statistics;
  /** Per image. */
  multiplyAdds: number;
  peakFlops: number;
  peakFraction: number;
}

export interface ForwardOptions {
  readonly networks: readonly Network[];
  readonly batchSize: number;
  readonly threads: number;
  readonly seed: number;
}

/** Whole forward passes of several networks, alternating. */
export async function timeForward(
  { networks, batchSize, threads, seed }: ForwardOptions,
  session: Session,
): Promise<ForwardRow[]> {
  const batch = syntheticBatch(batchSize);
  const models = networks.map((network) => new Model(network, { seed, threads }));
  try {
    const passes = models.map((model) => ({
      name: model.network.name,
      run: () => model.forward(batch, { training: true, signal: session.signal }),
    }));
    for (const { run } of passes) await run();
    const peak = await peakContender(threads);
    const timings = await alternate([peak, ...passes], session);
    const peakFlops = peak.flops();
    const rows: ForwardRow[] = [];
    for (const [i, model] of models.entries()) {
      const seconds = statistics(timings[i + 1]!);
      // A query that reuses nothing is a whole pass.
      const { none } = await model.cost(Uint32Array.of(0));
      rows.push({
        ...{ network: model.network.name, batchSize, threads },
        imagesPerSecond: batchSize / seconds.median,
        seconds,
        multiplyAdds: none.direct,
        peakFlops,
        peakFraction: (2 * none.done * batchSize) / seconds.median / peakFlops,
      });
    }
    return rows;
  } finally {
    for (const model of models) model[Symbol.dispose]();
  }
}
