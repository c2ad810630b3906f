import { describeDataset } from '../lib/data/dataset.js';
import type { MaskOptions } from '../lib/estimators/masks.js';
import type { Model } from '../lib/model/model.js';
import type { RunFolder } from '../lib/training/folder.js';
import { zoGrasp } from '../lib/pruning/zo-grasp.js';
import { MU } from '../lib/paper.js';
import { kept } from './kept.js';
import type { Laboratory } from './training.js';

/** What ZO-GraSP takes, and how often masks are drawn to its ratios. */
export interface GraspMaskChoice {
  readonly graspQueries: number;
  readonly samplesPerClass: number;
  /** Epochs after which other coordinates are drawn. */
  readonly redrawEvery: number;
}

/** Masks to ZO-GraSP's ratios for a model, which are computed once for its run. */
export async function zoGraspMask(
  model: Model,
  sparsity: number,
  { graspQueries: queries, samplesPerClass, redrawEvery }: GraspMaskChoice,
  { folder, laboratory, seed }: { folder: RunFolder; laboratory: Laboratory; seed: number },
): Promise<MaskOptions> {
  const { data, signal, onStatus } = laboratory;
  const options = { sparsity, mu: MU, samplesPerClass, queries, seed };
  const of = { network: model.network, data: describeDataset(data.train) };
  const { ratios } = await kept(folder.ratios, { ...of, ...options }, async () => {
    const onProgress = (done: number, total: number): void => {
      onStatus(`ZO-GraSP: ${done} of ${total} queries`);
    };
    return { ratios: await zoGrasp(model, data.train, { ...options, signal, onProgress }) };
  });
  return { ratios, redrawEvery };
}
