/**
 * Pruning on the command line, for `prune` and `train`: its methods, their options, progress and table.
 *
 * @module
 */
import * as v from 'valibot';

import { imagesByClass } from '../pruning/class-samples.js';
import type { ImageDataset } from '../data/dataset.js';
import { checkDestination, writeFileAtomically } from '../support/files.js';
import { readJson } from '../support/json.js';
import { grasp } from '../pruning/grasp.js';
import { keptCounts } from '../estimators/masks.js';
import type { LayerRatios } from '../estimators/masks.js';
import { Model } from '../model/model.js';
import { magnitudePruning, randomPruning } from '../pruning/ratios.js';
import { FileError, quote, show } from '../support/errors.js';
import {
  boolean,
  fraction,
  integer,
  isObject,
  oneOf,
  parseContent,
  queryCount,
  seed,
  smoothing,
  string,
  unit,
} from '../support/schema.js';
import { sum } from '../support/statistics.js';
import { zoGrasp, zoGraspOptions } from '../pruning/zo-grasp.js';
import type { Command, Option, OptionsOf } from './command.js';
import { command, inGroup, option } from './command.js';
import { buildNetwork, computeOptions, dataOption, loadData, networkOptions, seedOption } from './inputs.js';
import { counted, grouped, percent, table } from './output.js';
import { formatDuration } from '../support/duration.js';
import type { Output } from './output.js';

/** How layer-wise ratios are found. */
export const METHODS = ['zo-grasp', 'grasp', 'random', 'magnitude'] as const;
export type Method = (typeof METHODS)[number];

/** The methods' options. */
export interface GraspChoice {
  graspQueries: number;
  samplesPerClass: number;
  graspDirections: 'shared' | 'fresh';
  graspRank: 'signed' | 'magnitude';
  graspPerTensor: boolean;
}

const ZO_GRASP = zoGraspOptions.entries;

export const muOption: Option<number> = option(ZO_GRASP.mu, {
  help: 'smoothing parameter μ: the step of every finite difference',
});

/** The options of the methods, which the option `method` names. */
export function graspOptions(method: string): OptionsOf<GraspChoice> {
  const requires = { option: method, values: ['zo-grasp'] };
  return inGroup('Pruning', {
    graspQueries: option(ZO_GRASP.queries, {
      help: 'random directions of ZO-GraSP',
      demo: 48,
      requires,
    }),
    samplesPerClass: option(ZO_GRASP.samplesPerClass, {
      help: 'images of each class that ZO-GraSP or GraSP sees',
      demo: 10,
      requires: { option: method, values: SAMPLING },
    }),
    graspDirections: option(ZO_GRASP.directions, {
      help: "whether ZO-GraSP takes both gradients along the same random directions, as in the paper's difference, or along fresh ones, as in its public code",
      requires,
    }),
    graspRank: option(ZO_GRASP.rank, {
      help: "whether ZO-GraSP ranks by its score, as in the paper, or by the score's magnitude, as in the public code",
      requires,
    }),
    graspPerTensor: option(ZO_GRASP.perTensor, {
      help: "scale each tensor's part of ZO-GraSP's directions to unit length, as the public code does",
      requires,
    }),
  });
}

/** The methods that look at images. */
const SAMPLING: readonly string[] = ['zo-grasp', 'grasp'];

/** Refuses more images of a class than there are, before anything is computed. */
export function checkSamples(method: Method, { samplesPerClass }: GraspChoice, dataset: ImageDataset): void {
  if (SAMPLING.includes(method)) imagesByClass(dataset, samplesPerClass, '--samples-per-class');
}

/** The options that ratios are found with. */
export type FoundBy = GraspChoice & { method: Method; sparsity: number; mu: number; seed: number };

type Choice = Omit<FoundBy, 'method'>;

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
    const left = formatDuration((elapsed() / done) * (total - done));
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
  output.line(`${name} took ${formatDuration(elapsed())}.`);
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
      : `\n\nNo coordinate is queried of ${unqueried.join(', ')}: at a lower sparsity they would be trained too.`;
  const counts = table([
    ['tensor', 'left out', 'queried', 'of'],
    ...rows,
    ['batch norm and biases', percent(0), grouped(always), grouped(always)],
    ['all', percent(1 - all / compiled.parameterCount), grouped(all), grouped(compiled.parameterCount)],
  ]);
  return counts + warning;
}

/** A file of ratios: `train` needs `ratios` alone, `prune` says where they come from too. */
const ratiosFile = v.strictObject({
  network: v.optional(string),
  data: v.optional(string),
  method: v.optional(oneOf(METHODS)),
  sparsity: v.optional(fraction),
  mu: v.optional(smoothing),
  seed: v.optional(seed),
  graspQueries: v.optional(queryCount),
  samplesPerClass: v.optional(integer(1)),
  graspDirections: v.optional(string),
  graspRank: v.optional(string),
  graspPerTensor: v.optional(boolean),
  queried: v.optional(integer()),
  parameters: v.optional(integer()),
  ratios: v.record(v.string(), unit),
});

/** The ratios in a file that `writeRatios` wrote for such a network, and with these options if they are given. */
export async function readRatios(file: string, { compiled, network }: Model, foundBy?: FoundBy): Promise<LayerRatios> {
  const json = await readJson(file);
  if (isObject(json) && Object.hasOwn(json, 'layers') && !Object.hasOwn(json, 'ratios')) {
    throw new FileError(file, 'expected "ratios", received "layers", their former name: rename it');
  }
  const content = parseContent(ratiosFile, json, file);
  for (const [key, value] of Object.entries(foundBy ?? {})) {
    const was = content[key as keyof typeof content];
    if (was === value) continue;
    throw new FileError(file, `found with ${key} ${show(was)}, but config.json has ${show(value)}`);
  }
  const { ratios, network: owner = network.name } = content;
  if (owner !== network.name) {
    throw new FileError(file, `holds the ratios of ${quote(owner)}, not of ${quote(network.name)}`);
  }
  try {
    keptCounts(compiled.parameters, ratios);
  } catch (cause) {
    throw new FileError(file, (cause as Error).message, { cause });
  }
  return ratios;
}

/** Writes ratios, and how they were found, for `readRatios`. */
export async function writeRatios(file: string, content: v.InferInput<typeof ratiosFile>): Promise<void> {
  await writeFileAtomically(file, `${JSON.stringify(content, undefined, 2)}\n`);
}

export const prune: Command = command({
  name: 'prune',
  summary:
    'Finds layer-wise pruning ratios, by ZO-GraSP or otherwise: how much of each layer sparse-CGE may leave out.',
  options: {
    method: option(v.optional(oneOf(METHODS), 'zo-grasp'), {
      help: "ranks weights by ZO-GraSP's score, by GraSP's from back-propagated gradients, at random, or by their magnitude",
    }),
    sparsity: option(v.optional(ZO_GRASP.sparsity, 0.9), { help: 'fraction of all weights to leave out', demo: 0.99 }),
    mu: { ...muOption, requires: { option: 'method', values: ['zo-grasp'] } },
    seed: seedOption,
    out: option(v.optional(string), {
      placeholder: 'FILE',
      help: 'writes the ratios as JSON, for train --ratios FILE',
    }),
    ...graspOptions('method'),
    ...networkOptions,
    data: dataOption,
    ...computeOptions,
  },
  async run(values, context) {
    const { train } = await loadData(values);
    checkSamples(values.method, values, train);
    if (values.out !== undefined) await checkDestination(values.out);
    const { seed, threads, memory } = values;
    using model = new Model(buildNetwork(values, train.classes), { seed, threads, memory });
    const ratios = await findRatios(values.method, model, train, values, context);
    context.output.line(ratioTable(model, ratios));
    const about = {
      network: model.network.name,
      data: values.data,
      method: values.method,
      sparsity: values.sparsity,
      ...(values.method === 'zo-grasp' && { mu: values.mu }),
      seed: values.seed,
      queried: sum(keptCounts(model.compiled.parameters, ratios)),
      parameters: model.parameterCount,
    };
    if (values.out !== undefined) {
      await writeRatios(values.out, { ...about, ratios });
      context.output.line(`\nwrote ${values.out}`);
    }
    return { ...about, ratios };
  },
});
