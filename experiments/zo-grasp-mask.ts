import { join } from 'node:path';

import type { Dataset, LayerRatios, MaskOptions, Model, RunFolder, ZoGraspOptions } from 'deepzero';
import { paper, zoGrasp } from 'deepzero';
import * as v from 'valibot';

import { cached } from './support/cache.js';
import type { Surroundings } from './support/report.js';
import type { Context } from './support/trial.js';
import { datasetConfig } from './support/trial.js';

/** The options of ZO-GraSP, and how often masks are drawn to its ratios. */
export interface ZoGraspMaskOptions {
  readonly graspQueries: number;
  readonly samplesPerClass: number;
  /** Epochs after which other coordinates are drawn. */
  readonly redrawEvery: number;
}

const schema = v.strictObject({ ratios: v.record(v.string(), v.pipe(v.number(), v.minValue(0), v.maxValue(1))) });

/** Masks to ZO-GraSP's ratios for a model, which are computed once for its run and cached in its folder. */
export async function zoGraspMask(
  model: Model,
  sparsity: number,
  { graspQueries: queries, samplesPerClass, redrawEvery }: ZoGraspMaskOptions,
  { folder, context, seed }: { folder: RunFolder; context: Context; seed: number },
): Promise<MaskOptions> {
  const options = { sparsity, mu: paper.MU, samplesPerClass, queries, seed };
  const about = { network: model.network, data: datasetConfig(context.data.train), ...options };
  return { ratios: await zoGraspRatios(model, context.data.train, options, about, folder, context), redrawEvery };
}

/** ZO-GraSP's ratios, cached in a run's folder; `about` is all that they depend on. */
export async function zoGraspRatios(
  model: Model,
  data: Dataset,
  options: ZoGraspOptions,
  about: object,
  folder: RunFolder,
  { signal, onStatus }: Pick<Surroundings, 'signal' | 'onStatus'>,
): Promise<LayerRatios> {
  const { ratios } = await cached({ path: join(folder.path, 'zo-grasp.json'), schema }, about, async () => {
    const onProgress = (done: number, total: number): void => {
      onStatus(`ZO-GraSP: ${done} of ${total} queries`);
    };
    return { ratios: await zoGrasp(model, data, { ...options, signal, onProgress }) };
  });
  return ratios;
}
