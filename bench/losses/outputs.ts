/**
 * What a loss of outputs costs: CGE by the built-in cross-entropy, by a loss that takes no time and by the cross-entropy in
 * JavaScript, alternating.
 *
 * @module
 */
import type { Batch, ModelLoss, Network } from 'deepzero';
import { Model, outputsLoss } from 'deepzero';

import { syntheticBatch } from '../support/networks.js';
import type { Contender, Session } from '../support/sampling.js';
import { alternate, quickest, ROUNDS } from '../support/sampling.js';
import type { Statistics } from '../support/statistics.js';
import { statistics } from '../support/statistics.js';
import { stratified } from '../support/stratified.js';

const LOSSES = {
  'built-in': 'cross-entropy',
  trivial: outputsLoss('the first output', (outputs) => outputs[0]!),
  'in JavaScript': outputsLoss('cross-entropy in JavaScript', crossEntropy),
} as const satisfies Record<string, ModelLoss>;

function crossEntropy(outputs: Float64Array, { labels, count }: Batch): number {
  const width = outputs.length / count;
  let total = 0;
  for (let row = 0; row < count; row++) {
    const first = row * width;
    let largest = -Infinity;
    for (let i = 0; i < width; i++) largest = Math.max(largest, outputs[first + i]!);
    let sum = 0;
    for (let i = 0; i < width; i++) sum += Math.exp(outputs[first + i]! - largest);
    total += Math.log(sum) + largest - outputs[first + labels![row]!]!;
  }
  return total / count;
}

export interface OutputsRow {
  network: string;
  parameters: number;
  batchSize: number;
  threads: number;
  loss: keyof typeof LOSSES;
  /** Queries of a call, a stratified sample of all coordinates, without the unperturbed one. */
  queries: number;
  /** Of the quickest call, its unperturbed pass included: the call that other processes disturbed least. */
  queriesPerSecond: number;
  /** The time of the quickest call over that of the quickest one by the built-in loss. */
  ratio: number;
  seconds: Statistics;
}

export interface OutputsOptions {
  readonly network: Network;
  readonly batchSize: number;
  readonly threads: number;
  readonly mu: number;
  readonly seed: number;
}

/** Fewer queries than this do not represent a sweep. */
const LEAST_QUERIES = 64;

export async function timeOutputs(options: OutputsOptions, session: Session): Promise<OutputsRow[]> {
  const { network, batchSize, threads, mu, seed } = options;
  const { signal, onStatus } = session;
  const batch = syntheticBatch(batchSize);
  const names = Object.keys(LOSSES) as (keyof typeof LOSSES)[];
  const models = names.map((name) => new Model(network, { seed, threads, loss: LOSSES[name] }));
  try {
    const [builtIn] = models as [Model];
    const all = Uint32Array.from({ length: builtIn.parameterCount }, (_, i) => i);
    const contender = (i: number, coordinates: Uint32Array): Contender => ({
      name: `${network.name}, ${names[i]!} loss`,
      run: () => models[i]!.coordinatewise(batch, { mu, coordinates, signal }),
    });
    onStatus?.(`${network.name}: timing a query`);
    let coordinates = stratified(all, LEAST_QUERIES, seed);
    while (coordinates.length < all.length && (await quickest(contender(0, coordinates))) < session.seconds / ROUNDS) {
      coordinates = stratified(all, 2 * coordinates.length, seed);
    }
    const contenders = models.map((_, i) => contender(i, coordinates));
    for (const { run } of contenders) await run();
    const timings = await alternate(contenders, session);
    const best = timings.map((times) => Math.min(...times));
    return names.map((loss, i) => ({
      ...{ network: network.name, parameters: all.length, batchSize, threads, loss, queries: coordinates.length },
      queriesPerSecond: coordinates.length / best[i]!,
      ratio: best[i]! / best[0]!,
      seconds: statistics(timings[i]!),
    }));
  } finally {
    for (const model of models) model[Symbol.dispose]();
  }
}
