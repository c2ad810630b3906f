/**
 * ZO-GraSP on the command line, for `prune` and `train`: its options, its progress and its table.
 *
 * @module
 */
import * as check from '../check.js';
import { FileError, isObject } from '../check.js';
import { imagesByClass } from '../class-samples.js';
import type { ImageDataset } from '../data/dataset.js';
import { writeFileAtomically } from '../files.js';
import { keptCounts } from '../masks.js';
import type { LayerSparsity } from '../masks.js';
import type { Model } from '../model.js';
import { zoGrasp } from '../zo-grasp.js';
import { readJson, whole } from './inputs.js';
import { choice, flag, number } from './options.js';
import type { Option, OptionsOf, Requirement } from './options.js';
import { counted, duration, grouped, percent, table } from './output.js';
import type { Output } from './output.js';

/** ZO-GraSP's choices; the names are those of the options. */
export interface GraspChoice {
  graspQueries: number;
  samplesPerClass: number;
  graspDirections: 'shared' | 'fresh';
  graspRank: 'signed' | 'magnitude';
  graspPerTensor: boolean;
}

export const sparsityOption = (only?: Requirement): Option<number> =>
  number((value, what) => check.fraction(value, what), {
    help: 'fraction of the weights whose gradient is left out at a step, from 0 to below 1',
    default: 0.9,
    demo: 0.99,
    ...(only && { only }),
  });

export const muOption: Option<number> = number(check.smoothing, {
  help: 'smoothing parameter μ: the step of every finite difference',
  default: 5e-3,
});

/** ZO-GraSP's options; `only` says beside what they mean something. */
export function graspOptions(only?: Requirement): OptionsOf<GraspChoice> {
  const beside = only && { only };
  return {
    graspQueries: number(check.queryCount, {
      help: 'random directions of ZO-GraSP',
      default: 192,
      demo: 48,
      ...beside,
    }),
    samplesPerClass: number(whole(1), {
      help: 'images of each class that ZO-GraSP sees',
      default: 25,
      demo: 10,
      ...beside,
    }),
    graspDirections: choice(['shared', 'fresh'], {
      help: "whether ZO-GraSP takes both gradients along the same random directions, as in the paper's difference, or along fresh ones, as in its public code",
      default: 'shared',
      ...beside,
    }),
    graspRank: choice(['signed', 'magnitude'], {
      help: "whether ZO-GraSP ranks by its score, as in the paper, or by the score's magnitude, as in the public code",
      default: 'signed',
      ...beside,
    }),
    graspPerTensor: flag(
      "scale each tensor's part of ZO-GraSP's directions to unit length, as the public code does",
      only,
    ),
  };
}

/** Before anything else is computed, and in the command's words. */
export function checkSamples({ samplesPerClass }: GraspChoice, dataset: ImageDataset): void {
  imagesByClass(dataset, samplesPerClass, '--samples-per-class');
}

/** Runs ZO-GraSP with progress. */
export async function findRatios(
  model: Model,
  dataset: ImageDataset,
  options: GraspChoice & { sparsity: number; mu: number; seed: number },
  { output, signal }: { output: Output; signal: AbortSignal },
): Promise<LayerSparsity> {
  const start = performance.now();
  const elapsed = (): number => (performance.now() - start) / 1000;
  output.line(
    `ZO-GraSP: ${counted(options.graspQueries, 'random direction')}, ${counted(options.samplesPerClass, 'image')} of each class …`,
  );
  const ratios = await zoGrasp(model, dataset, {
    sparsity: options.sparsity,
    queries: options.graspQueries,
    mu: options.mu,
    samplesPerClass: options.samplesPerClass,
    seed: options.seed,
    directions: options.graspDirections,
    rank: options.graspRank,
    perTensor: options.graspPerTensor,
    signal,
    onProgress: (done, total) => {
      output.status(
        `ZO-GraSP  ${grouped(done)} of ${grouped(total)} queries  ETA ${duration((elapsed() / done) * (total - done))}`,
      );
    },
  });
  output.line(`ZO-GraSP took ${duration(elapsed())}.`);
  return ratios;
}

/** Ratio and number of queried coordinates of each tensor that a mask can thin out. */
export function ratioTable({ compiled }: Model, ratios: LayerSparsity | number): string {
  const kept = keptCounts(compiled.parameters, ratios);
  const rows = compiled.parameters.flatMap(({ name, size, maskable }, i) => {
    const count = kept[i] ?? 0;
    return maskable ? [[name, percent(1 - count / size), grouped(count), grouped(size)]] : [];
  });
  const always = compiled.parameters.filter(({ maskable }) => !maskable).reduce((sum, { size }) => sum + size, 0);
  const all = kept.reduce((sum, count) => sum + count, 0);
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
export async function readRatios(file: string, { compiled, network }: Model): Promise<LayerSparsity> {
  const content = await readJson(file);
  const layers = isObject(content) ? content['layers'] : undefined;
  if (!isObject(layers)) throw new FileError(file, 'has no "layers": {name: ratio}, as deepzero prune --out writes it');
  const owner = (content as { network?: unknown }).network;
  if (typeof owner === 'string' && owner !== network.name) {
    throw new FileError(file, `holds the ratios of ${owner}, not of ${network.name}`);
  }
  try {
    keptCounts(compiled.parameters, layers as LayerSparsity);
  } catch (cause) {
    throw new FileError(file, (cause as Error).message, { cause });
  }
  return layers as LayerSparsity;
}

/** Writes ratios, and whatever else is to be known of them, for `readRatios`. */
export async function writeRatios(file: string, layers: LayerSparsity, about: object = {}): Promise<void> {
  await writeFileAtomically(file, `${JSON.stringify({ ...about, layers }, undefined, 2)}\n`);
}
