/**
 * Pruning on the command line, for `prune` and `train`: its methods, their options, progress and table.
 *
 * @module
 */
import * as check from '../../support/check.js';
import { FileError, isObject } from '../../support/check.js';
import { imagesByClass } from '../../pruning/class-samples.js';
import type { ImageDataset } from '../../data/dataset.js';
import { writeFileAtomically } from '../../support/files.js';
import { readJson } from '../../support/json.js';
import { grasp } from '../../pruning/grasp.js';
import { keptCounts } from '../../estimators/masks.js';
import type { LayerRatios } from '../../estimators/masks.js';
import type { Model } from '../../model/model.js';
import { magnitudePruning, randomPruning } from '../../pruning/ratios.js';
import { GRASP_QUERIES, MU, SAMPLES_PER_CLASS } from '../../paper.js';
import { sum } from '../../support/statistics.js';
import { zoGrasp } from '../../pruning/zo-grasp.js';
import { whole } from './inputs.js';
import { choice, flag, number } from './options.js';
import type { Option, OptionsOf } from './options.js';
import { counted, grouped, percent, table } from '../output.js';
import { duration } from '../../support/words.js';
import type { Output } from '../output.js';

/** How layer-wise ratios are found. */
export const METHODS = ['zo-grasp', 'grasp', 'random', 'magnitude'] as const;
export type Method = (typeof METHODS)[number];

/** The methods' choices; the names are those of the options. */
export interface GraspChoice {
  graspQueries: number;
  samplesPerClass: number;
  graspDirections: 'shared' | 'fresh';
  graspRank: 'signed' | 'magnitude';
  graspPerTensor: boolean;
}

export const muOption: Option<number> = number(check.smoothing, {
  help: 'smoothing parameter μ: the step of every finite difference',
  default: MU,
});

/** The options of the methods that are named by the option `option`. */
export function graspOptions(option: string): OptionsOf<GraspChoice> {
  const only = { option, values: ['zo-grasp'] };
  return {
    graspQueries: number(check.queryCount, {
      help: 'random directions of ZO-GraSP',
      default: GRASP_QUERIES,
      demo: 48,
      only,
    }),
    samplesPerClass: number(whole(1), {
      help: 'images of each class that ZO-GraSP or GraSP sees',
      default: SAMPLES_PER_CLASS,
      demo: 10,
      only: { option, values: SAMPLING },
    }),
    graspDirections: choice(['shared', 'fresh'], {
      help: "whether ZO-GraSP takes both gradients along the same random directions, as in the paper's difference, or along fresh ones, as in its public code",
      default: 'shared',
      only,
    }),
    graspRank: choice(['signed', 'magnitude'], {
      help: "whether ZO-GraSP ranks by its score, as in the paper, or by the score's magnitude, as in the public code",
      default: 'signed',
      only,
    }),
    graspPerTensor: flag(
      "scale each tensor's part of ZO-GraSP's directions to unit length, as the public code does",
      only,
    ),
  };
}

/** The methods that look at images. */
const SAMPLING: readonly string[] = ['zo-grasp', 'grasp'];

/** Before anything else is computed, and in the command's words. */
export function checkSamples(method: Method, { samplesPerClass }: GraspChoice, dataset: ImageDataset): void {
  if (SAMPLING.includes(method)) imagesByClass(dataset, samplesPerClass, '--samples-per-class');
}

type Choice = GraspChoice & { sparsity: number; mu: number; seed: number };

/** Finds the ratios by a method, with progress. */
export async function findRatios(
  method: Method,
  model: Model,
  dataset: ImageDataset,
  options: Choice,
  { output, signal }: { output: Output; signal: AbortSignal },
): Promise<LayerRatios> {
  const { sparsity, mu, samplesPerClass, seed } = options;
  if (method === 'random') return randomPruning(model, { sparsity, seed });
  if (method === 'magnitude') return magnitudePruning(model, { sparsity });
  const start = performance.now();
  const elapsed = (): number => (performance.now() - start) / 1000;
  const name = method === 'grasp' ? 'GraSP' : 'ZO-GraSP';
  const effort = method === 'grasp' ? '3 gradients' : counted(options.graspQueries, 'random direction');
  output.line(`${name}: ${effort}, ${counted(samplesPerClass, 'image')} of each class …`);
  const onProgress = (done: number, total: number): void => {
    const left = duration((elapsed() / done) * (total - done));
    output.status(`${name}  ${grouped(done)} of ${grouped(total)} queries  ETA ${left}`);
  };
  const common = { sparsity, samplesPerClass, seed, signal, onProgress };
  const ratios =
    method === 'grasp'
      ? await grasp(model, dataset, common)
      : await zoGrasp(model, dataset, {
          ...common,
          mu,
          queries: options.graspQueries,
          directions: options.graspDirections,
          rank: options.graspRank,
          perTensor: options.graspPerTensor,
        });
  output.line(`${name} took ${duration(elapsed())}.`);
  return ratios;
}

/** Ratio and number of queried coordinates of each tensor that a mask can thin out. */
export function ratioTable({ compiled }: Model, ratios: LayerRatios | number): string {
  const kept = keptCounts(compiled.parameters, ratios);
  const rows = compiled.parameters.flatMap(({ name, size, maskable }, i) => {
    const count = kept[i] ?? 0;
    return maskable ? [[name, percent(1 - count / size), grouped(count), grouped(size)]] : [];
  });
  const always = sum(compiled.parameters.map(({ maskable, size }) => (maskable ? 0 : size)));
  const all = sum(kept);
  const unqueried = compiled.parameters.filter((_, i) => kept[i] === 0).map(({ name }) => name);
  const warning =
    unqueried.length === 0
      ? ''
      : `\n\nNothing is queried of ${unqueried.join(', ')}: lower the sparsity to train them.`;
  const counts = table([
    ['tensor', 'left out', 'queried', 'of'],
    ...rows,
    ['batch norm and biases', percent(0), grouped(always), grouped(always)],
    ['all', percent(1 - all / compiled.parameterCount), grouped(all), grouped(compiled.parameterCount)],
  ]);
  return counts + warning;
}

/** The layer-wise ratios of a network in a file that `writeRatios` wrote. */
export async function readRatios(file: string, { compiled, network }: Model): Promise<LayerRatios> {
  const content = await readJson(file);
  const { ratios, layers } = Object(content) as { ratios?: unknown; layers?: unknown };
  if (!isObject(ratios)) {
    const found = isObject(layers) ? '; it has "layers", their former name: rename it' : '';
    throw new FileError(file, `has no "ratios": {name: ratio}, as deepzero prune --out writes it${found}`);
  }
  const owner = (content as { network?: unknown }).network;
  if (typeof owner === 'string' && owner !== network.name) {
    throw new FileError(file, `holds the ratios of ${owner}, not of ${network.name}`);
  }
  try {
    keptCounts(compiled.parameters, ratios as LayerRatios);
  } catch (cause) {
    throw new FileError(file, (cause as Error).message, { cause });
  }
  return ratios as LayerRatios;
}

/** Writes ratios, and whatever else is to be known of them, for `readRatios`. */
export async function writeRatios(file: string, ratios: LayerRatios, about: object = {}): Promise<void> {
  await writeFileAtomically(file, `${JSON.stringify({ ...about, ratios }, undefined, 2)}\n`);
}
