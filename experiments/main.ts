/**
 * The paper's figures, and more: `npm run experiment -- fig1 --quick`.
 *
 * @module
 */
import { defaultThreads, paper } from 'deepzero';

import type { Options, Values } from '../bench/support/options.js';
import { among, choice, flag, fraction, integer, list, number, positive, size, text, written } from '../bench/support/options.js'; // prettier-ignore
import type { Task, TaskContext } from '../bench/support/program.js';
import { run, task } from '../bench/support/program.js';
import { CNN_SIZES } from './cnn.js';
import { CNN_METHOD_NAMES, fig1 } from './fig1.js';
import { fig3, FIG3_METHODS } from './fig3.js';
import { fig4, FIG4_METHODS, SPARSITIES } from './fig4.js';
import { fig5 } from './fig5.js';
import { fig6 } from './fig6.js';
import { FIG6_METHODS } from './fig6/methods.js';
import { WALKERS } from '../examples/walkers.js';
import { mujoco, MUJOCO_METHODS } from './mujoco.js';
import type { ImageOptions, SharedOptions } from './support/perform.js';
import { perform, performOnImages } from './support/perform.js';
import type { Publish, Report, Surroundings } from './support/report.js';
import type { Context } from './support/trial.js';
import { table1 } from './table1.js';

const FILES = 'NAME.json, NAME.csv and NAME.svg in --out are written after each.';
const NOTES =
  'Every run has a folder under --out, with a checkpoint that the same command resumes from and a result that is not ' +
  'computed again. Ctrl-C, or a longer list of sizes or seeds, costs nothing that is done; a crash or kill -9 costs the ' +
  'steps of a minute, or the computation outside a run: ZO-GraSP, timings, cosines. Without --quick a few cores take hours to ' +
  'months, most with RGE and with ResNet-20; the status says how long a run will take. ' +
  FILES;
const TIMING_NOTES =
  'Nothing is trained: steps are timed on the first images. Sizes that are done are not timed again, except with other ' +
  `options or on another machine. ${FILES}`;

const shared = {
  out: text('DIR', 'folder of the runs and the report (default: results/NAME, with --quick results/NAME-quick)', undefined), // prettier-ignore
  quick: flag('short runs, and few, within two minutes: other defaults, named below'),
  threads: number('threads; results do not depend on it', integer(1, 1024), defaultThreads()),
};
const timing = {
  data: text('DIR|synthetic', 'a folder of CIFAR-10 binary files, or the embedded generated data set', 'synthetic'),
  batchSize: number('images of a step', integer(1), paper.BATCH_SIZE),
  ...shared,
};
const training = {
  ...timing,
  seeds: list(number('every run is made once with each', integer(0), 0), [0]),
  memory: size('the most that a computation may allocate, such as 500MB or 2GB: as many threads as fit are used (default: no bound)'), // prettier-ignore
};
const cnnSize = among(CNN_SIZES);
const sizes = list(number(`numbers of parameters: ${CNN_SIZES.join(', ')}`, cnnSize, 730), CNN_SIZES);
const epochs = number('length of a run', positive, 50);
const length = {
  epochs,
  searchEpochs: number('length of the runs that choose each learning rate', positive, 1),
};
const queryCount = integer(1, 2 ** 31 - 1);
const grasp = {
  graspQueries: number('random directions of ZO-GraSP', queryCount, paper.GRASP_QUERIES),
  samplesPerClass: number('images of each class for ZO-GraSP and GraSP', integer(1), paper.SAMPLES_PER_CLASS),
};
const redrawEvery = (standard: number) =>
  number('epochs after which other coordinates are drawn: 1 in the paper, 5 in its public code', integer(1), standard);
const seconds = number('measuring time of each size and contender', positive, 10);

const TINY = { sizes: [730, 3700], batchSize: 16 };
const TINY_GRASP = { batchSize: 16, graspQueries: 8, samplesPerClass: 2 };

interface Definition<O extends Options, S extends Surroundings> {
  readonly name: string;
  readonly summary: string;
  readonly notes: string;
  readonly options: O;
  /** Replaces defaults with --quick. */
  readonly quick: Partial<Values<O>>;
  readonly run: (values: Values<O>, surroundings: S, publish: Publish) => Promise<Report>;
}

type Command = Omit<TaskContext<Options>, 'given'>;

/** A task whose defaults `--quick` replaces. */
function quickly<const O extends Options, S extends Surroundings>(
  { name, summary, options, notes, quick }: Definition<O, S>,
  run: (values: Values<O>, command: Command) => Promise<object>,
): Task {
  return task({
    ...{ name, summary, options },
    notes: `${notes} With --quick the defaults are ${written(quick)}; other options still count.`,
    run: (values: Values<O>, { given, ...command }: TaskContext<O>) =>
      run(given['quick'] === true ? { ...values, ...quick, ...given } : values, command),
  });
}

function experiment<const O extends Options>(definition: Definition<O, Context>): Task {
  return quickly(definition, (values, command) =>
    performOnImages(definition.name, definition.run, values as Values<O> & ImageOptions, command),
  );
}

/** An experiment without images. */
function simulation<const O extends Options>(definition: Definition<O, Surroundings>, text: string): Task {
  return quickly(definition, (values, command) => {
    const make = (surroundings: Surroundings, publish: Publish): Promise<Report> =>
      definition.run(values, surroundings, publish);
    const about = { subject: { text, config: {} }, introduction: text };
    return perform(definition.name, make, values as Values<O> & SharedOptions, { ...command, ...about });
  });
}

await run({
  call: 'npm run experiment --',
  about: "The paper's figures, a solver in the loop and policies in MuJoCo, each as a table, a CSV file and a plot.",
  tasks: [
    experiment({
      name: 'fig1',
      summary: 'Test accuracy against parameters: first order, CGE and RGE on the small CNN.',
      notes: NOTES,
      options: {
        ...training,
        sizes,
        methods: list(choice('methods to train with', CNN_METHOD_NAMES, undefined), CNN_METHOD_NAMES),
        ...length,
      },
      quick: { ...TINY, epochs: 0.02, searchEpochs: 0.01 },
      run: fig1,
    }),
    experiment({
      name: 'fig3',
      summary: 'DeepZero, forward gradients and pattern search on the small CNN, with equally many loss evaluations.',
      notes: NOTES,
      options: {
        ...training,
        size: number(`parameters: ${CNN_SIZES.join(', ')}`, cnnSize, 3700),
        methods: list(choice('methods to train with', FIG3_METHODS, undefined), FIG3_METHODS),
        budget: number('loss evaluations of a run', integer(1), 500_000),
        searchBudget: number('loss evaluations of the runs that choose each rate', integer(1), 50_000),
        sparsity: number('fraction of the weights that a step of DeepZero leaves out', fraction, 0.9),
        redrawEvery: redrawEvery(1),
        ...grasp,
        queries: number('directions, or trials, of a step of the other methods', queryCount, 100),
      },
      quick: { size: 730, budget: 3000, searchBudget: 400, queries: 20, ...TINY_GRASP },
      run: fig3,
    }),
    experiment({
      name: 'fig4',
      summary: 'Test accuracy against sparsity: DeepZero, first order with sparse gradients, sparse weights and dense.',
      notes: NOTES,
      options: {
        ...training,
        depth: number('layers with weights of the residual network, 6n + 2', integer(1), 20),
        width: number('channels of its first stage', integer(1), 16),
        methods: list(choice('methods to train with', FIG4_METHODS, undefined), FIG4_METHODS),
        sparsities: list(
          number('fractions of the gradient, or of the weights, that are zero', fraction, 0),
          SPARSITIES,
        ),
        redrawEvery: redrawEvery(5),
        ...grasp,
        ...length,
      },
      quick: { depth: 8, width: 2, sparsities: [0.8, 0.99], epochs: 0.05, searchEpochs: 0.02, ...TINY_GRASP },
      run: fig4,
    }),
    experiment({
      name: 'fig5',
      summary: 'Hours of training with CGE against parameters, by what a query reuses, from measured steps.',
      notes: TIMING_NOTES,
      options: { ...timing, sizes, epochs, seconds },
      quick: { ...TINY, seconds: 0.2 },
      run: fig5,
    }),
    experiment({
      name: 'table1',
      summary:
        'CGE and RGE with equally many queries: accuracy, time of a query, cosine with the first-order gradient.',
      notes: NOTES,
      options: { ...training, sizes, ...length, seconds },
      quick: { ...TINY, epochs: 0.02, searchEpochs: 0.01, seconds: 0.2 },
      run: table1,
    }),
    simulation(
      {
        name: 'fig6',
        summary: 'A network that corrects a coarse flow solver, trained through the solver by zeroth order.',
        notes:
          'non: back-propagation on single steps, never through the solver; the others start from its weights. nog: ' +
          'back-propagation through rollouts, as if the solver were constant. zo-sol: sparse-CGE through the solver. ' +
          'zo-sol-dense: CGE of all coordinates, with as many queries and so fewer updates. guided: sparse-CGE with nog as ' +
          'control variate. drag: sparse-CGE to a loss that has the mean drag too. Draws errors to reference trajectories by ' +
          'method (fig6.svg), over time (fig6-time.svg) and against queries (fig6-queries.svg), and vorticity ' +
          '(fig6-vorticity.svg). References are made first, and kept (92 MB). Every run has a folder under --out, with a ' +
          `checkpoint that the same command resumes from. Without --quick two cores take about an hour. ${FILES}`,
        options: {
          ...shared,
          methods: list(choice('methods to train with; non always is', FIG6_METHODS, undefined), FIG6_METHODS),
          seeds: list(number('every run is made once with each', integer(0), 0), [0, 1, 2]),
          skipped: number('steps of the fine solver before the first frame', integer(0), 1000),
          frames: number('frames of each reference trajectory', integer(2), 500),
          epochs: number('length of non', positive, 40),
          steps: number('updates of nog, zo-sol and guided', integer(1), 100),
          dragSteps: number('updates of the method drag', integer(1), 40),
          unroll: number('steps of a rollout', integer(1), 16),
          trajectories: number('rollouts that are averaged to a loss', integer(1), 1),
          sparsity: number('fraction of the weights that sparse-CGE leaves out', fraction, 0.9),
          graspQueries: number('random directions of ZO-GraSP', queryCount, 32),
          graspTrajectories: number('rollouts of ZO-GraSP', integer(1), 4),
        },
        quick: {
          ...{ seeds: [0], skipped: 20, frames: 24, epochs: 1, steps: 2, dragSteps: 2, unroll: 4, sparsity: 0.99 },
          ...{ graspQueries: 2, graspTrajectories: 1 },
        },
        run: fig6,
      },
      'the wake of a cylinder (Um et al., NeurIPS 2020, karman-2d)',
    ),
    simulation(
      {
        name: 'mujoco',
        summary: 'Rewards of linear policies in MuJoCo: ARS V2, RGE and CGE at equally many episodes.',
        notes:
          'Every run has a folder under --out, with a journal of its answers: the same command plays only the episodes that ' +
          `are missing. ${FILES}`,
        options: {
          ...shared,
          robots: list(choice('robots', WALKERS, undefined), WALKERS),
          methods: list(choice('methods', MUJOCO_METHODS, undefined), MUJOCO_METHODS),
          seeds: list(number('every run is made once with each', integer(0), 0), [0, 1, 2, 3, 4]),
          rollouts: number('episodes of a run', integer(1), 210),
          searchRollouts: number('episodes of the runs that choose μ and rate', integer(1), 110),
          actions: number('length of an episode', integer(1), 1000),
        },
        quick: { robots: ['Swimmer'], seeds: [0, 1], rollouts: 80, searchRollouts: 40, actions: 100 },
        run: mujoco,
      },
      "Gymnasium's Swimmer-v5 and HalfCheetah-v5 in MuJoCo",
    ),
  ],
});
