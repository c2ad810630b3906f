import { describeDataset } from '../data/dataset.js';
import type { LayerSparsity } from '../masks.js';
import type { Model } from '../model.js';
import type { RunFolder } from '../run-folder.js';
import { zoGrasp } from '../zo-grasp.js';
import { MU } from './cnn.js';
import { kept } from './kept.js';
import type { Laboratory } from './training.js';

/** What ZO-GraSP takes. */
export interface GraspChoice {
  readonly graspQueries: number;
  readonly samplesPerClass: number;
}

/** ZO-GraSP's ratios for a model, computed once for its run. */
export async function zoGraspRatios(
  model: Model,
  sparsity: number,
  { graspQueries: queries, samplesPerClass }: GraspChoice,
  { folder, laboratory, seed }: { folder: RunFolder; laboratory: Laboratory; seed: number },
): Promise<LayerSparsity> {
  const { data, signal, onStatus } = laboratory;
  const options = { sparsity, mu: MU, samplesPerClass, queries, seed };
  const of = { network: model.network, data: describeDataset(data.train) };
  const { layers } = await kept(folder.ratios, { ...of, ...options }, async () => {
    const onProgress = (done: number, total: number): void => {
      onStatus(`ZO-GraSP: ${done} of ${total} queries`);
    };
    return { layers: await zoGrasp(model, data.train, { ...options, signal, onProgress }) };
  });
  return layers;
}
