/**
 * The ways to train a correction of the wake, and a run of one.
 *
 * @module
 */
import type { Dataset, Estimator, Model, Optimizer, RunFolder } from 'deepzero';
import { adam, cge, cosine, firstOrder, guided } from 'deepzero';

import type { Surroundings } from '../support/report.js';
import { datasetConfig } from '../support/trial.js';
import { zoGraspRatios } from '../zo-grasp-mask.js';
import { digestOf, REYNOLDS } from './references.js';
import type { Unrolled } from './surrogate.js';
import type { Measured } from './windows.js';

export const FIG6_METHODS = ['non', 'nog', 'zo-sol', 'zo-sol-dense', 'guided', 'drag'] as const;
export type Fig6Method = (typeof FIG6_METHODS)[number];

export interface Fig6Options {
  readonly methods: readonly Fig6Method[];
  readonly seeds: readonly number[];
  /** Steps of the fine solver before the first frame, and frames. */
  readonly skipped: number;
  readonly frames: number;
  /** Epochs of NON. */
  readonly epochs: number;
  /** Updates through the solver; dense CGE makes as many queries. */
  readonly steps: number;
  /** Updates to the drag. */
  readonly dragSteps: number;
  /** Solver steps of a rollout. */
  readonly unroll: number;
  /** Rollouts that are averaged to a loss. */
  readonly trajectories: number;
  readonly sparsity: number;
  readonly graspQueries: number;
  readonly graspTrajectories: number;
}

/** A run whose estimator is to be made. */
export interface Beginning {
  readonly choice: Fig6Options;
  readonly seed: number;
  /** With the weights that it starts from. */
  readonly model: Model;
  readonly data: Dataset;
  readonly folder: RunFolder;
  readonly surrogate: Unrolled;
  readonly surroundings: Surroundings;
}

export interface Method {
  readonly name: string;
  readonly colour: number;
  /** Mean absolute error in figure 6 of DeepZero. */
  readonly published: number | null;
  /** What its rollouts are measured by; NON makes none. */
  readonly measured: Measured | undefined;
  /** Peak of the rate of Adam, after a tenth of the updates; a cosine to 0 follows. */
  readonly rate: number;
  readonly length: (choice: Fig6Options, model: Model) => { epochs: number } | { steps: number };
  readonly batchSize: (choice: Fig6Options) => number;
  readonly estimator: (run: Beginning) => Promise<Estimator> | Estimator;
}

/** A query moves a parameter by so much: rollouts are in double precision, and must stay near each other. */
const MU = 1e-4;
/** NON averages the error over so many steps, or over all if there are fewer. */
const NON_BATCH = 32;

const sparseLength = ({ steps }: Fig6Options): { steps: number } => ({ steps });
const trajectories = (choice: Fig6Options): number => choice.trajectories;

/** Of methods that train through the solver. */
const RATE = 1e-3;
/** In its few updates Adam moves every parameter by about the rate, in the direction of a single rollout. */
const DENSE_RATE = 1e-4;

export const METHODS: Readonly<Record<Fig6Method, Method>> = {
  non: {
    ...{ name: 'NON', colour: 0, published: 0.153, measured: undefined, rate: 3e-3 },
    length: ({ epochs }) => ({ epochs }),
    batchSize: ({ frames }) => Math.min(NON_BATCH, REYNOLDS.training.length * (frames - 1)),
    estimator: () => firstOrder(),
  },
  nog: {
    ...{ name: 'NOG', colour: 2, published: null, measured: 'velocity', rate: RATE },
    length: sparseLength,
    batchSize: trajectories,
    estimator: ({ surrogate }) => surrogate.estimator,
  },
  'zo-sol': {
    ...{ name: 'ZO-SOL, sparse-CGE', colour: 1, published: 0.119, measured: 'velocity', rate: RATE },
    length: sparseLength,
    batchSize: trajectories,
    estimator: sparse,
  },
  'zo-sol-dense': {
    ...{ name: 'ZO-SOL, dense CGE', colour: 4, published: null, measured: 'velocity', rate: DENSE_RATE },
    length: ({ steps, sparsity }, model) => {
      const [few, all] = [sparsity, 0].map((part) => cge({ mu: MU, sparsity: part }).queriesPerStep(model));
      return { steps: Math.max(1, Math.round((steps * few!) / all!)) };
    },
    batchSize: trajectories,
    estimator: () => cge({ mu: MU }),
  },
  guided: {
    ...{ name: 'guided sparse-CGE', colour: 3, published: null, measured: 'velocity', rate: RATE },
    length: sparseLength,
    batchSize: trajectories,
    estimator: async (run) => guided({ estimator: await sparse(run), surrogate: run.surrogate }),
  },
  drag: {
    ...{ name: 'ZO-SOL to the drag', colour: 5, published: null, measured: 'flow', rate: RATE },
    length: ({ dragSteps }) => ({ steps: dragSteps }),
    batchSize: trajectories,
    estimator: sparse,
  },
};

/** Sparse-CGE to ZO-GraSP's ratios, with other coordinates in every step. */
async function sparse({ choice, seed, model, data, folder, surroundings }: Beginning): Promise<Estimator> {
  const { sparsity, graspQueries: queries, graspTrajectories: samplesPerClass } = choice;
  const options = { sparsity, mu: MU, queries, samplesPerClass, seed };
  const about = { data: datasetConfig(data), start: digestOf(model.parameters), ...options };
  return redrawn(cge({ mu: MU, ratios: await zoGraspRatios(model, data, options, about, folder, surroundings) }));
}

/** An estimator that draws other coordinates in every step instead of every epoch. */
function redrawn(estimator: Estimator): Estimator {
  return {
    config: { ...estimator.config, redrawEvery: 'step' },
    queriesPerStep: (objective) => estimator.queriesPerStep(objective),
    coordinates: (objective, position) => estimator.coordinates!(objective, { ...position, epoch: position.step }),
    sample: (queries) => redrawn(estimator.sample(queries)),
    estimate: (objective, sample, context) =>
      estimator.estimate(objective, sample, { ...context, epoch: context.step }),
  };
}

/** For a run of so many epochs. */
export const optimizerOf = ({ rate }: Method, epochs: number): Optimizer =>
  adam({ lr: cosine({ peak: rate, warmupEpochs: epochs / 10 }) });
