/**
 * The `deepzero experiment` commands: the paper's figures, each as a table, a CSV file and a plot.
 *
 * @module
 */
import { join } from 'node:path';

import * as check from '../lib/support/check.js';
import { imagesByClass } from '../lib/pruning/class-samples.js';
import type { ImageDatasets } from '../lib/data/cifar10.js';
import { CIFAR10_TRAIN } from '../lib/data/cifar10.js';
import { CNN_SIZES } from './cnn.js';
import { CNN_METHOD_NAMES, fig1 } from './fig1.js';
import { fig3, FIG3_METHODS } from './fig3.js';
import { fig4, FIG4_METHODS, SPARSITIES } from './fig4.js';
import { fig5 } from './fig5.js';
import type { Publish, Report } from './report.js';
import { reportFiles, writeReport } from './report.js';
import { table1 } from './table1.js';
import type { Laboratory } from './training.js';
import { checkDestination } from '../lib/support/files.js';
import { BATCH_SIZE, GRASP_QUERIES, SAMPLES_PER_CLASS } from '../lib/paper.js';
import { checkBatchSize } from '../lib/model/problem.js';
import { RunFolder } from '../lib/training/folder.js';
import type { Command, Context } from '../lib/cli/old/command.js';
import { command } from '../lib/cli/old/command.js';
import {
  computeOptions,
  dataOption,
  fraction,
  inWords,
  loadData,
  threadsOption,
  whole,
} from '../lib/cli/old/inputs.js';
import type { OptionTable } from '../lib/cli/old/options.js';
import { choice, flag, list, number, text, written } from '../lib/cli/old/options.js';
import { counted, grouped, table } from '../lib/cli/output.js';

const FILES = 'NAME.json, NAME.csv and NAME.svg in --out are written anew after each.';
const NOTES =
  'Every run has a folder of its own under --out, with a checkpoint that the same command resumes from and a result that is ' +
  'not computed again, Ctrl-C or a longer list of sizes or seeds costing nothing that is done, a crash or kill -9 the steps of ' +
  'a minute, or what is computed before or beside them: ZO-GraSP, timings, cosines. Without --quick a few cores take hours to ' +
  'months, most with RGE and with ResNet-20: while a run goes on it says how long it still will. ' +
  FILES;
const TIMING_NOTES =
  'Nothing is trained: steps are timed on the first images. Sizes that are done are not timed again, unless with other ' +
  `options or on another machine. ${FILES}`;

/** What all experiments take. */
interface Common {
  quick: boolean;
  data: string;
  out: string | undefined;
  batchSize: number;
  threads: number;
  memory?: number | undefined;
  samplesPerClass?: number;
}

const shared = {
  data: dataOption,
  out: text('DIR', {
    help: 'folder of the runs and the report; results/NAME unless given, with --quick results/NAME-quick',
  }),
  batchSize: number(whole(1), { help: 'images of a step', default: BATCH_SIZE }),
  quick: flag(
    'short runs of few, small networks, for a look within two minutes: the defaults that are named at the end',
  ),
};

/** What all that train take. */
const common = {
  ...shared,
  seeds: list(number(whole(0), { help: '' }), { help: 'every run is made once with each', default: [0] }),
  ...computeOptions,
};

function cnnSize(value: unknown, what: string): number {
  if (CNN_SIZES.some((size) => size === value)) return value as number;
  throw check.expected(what, `one of ${CNN_SIZES.join(', ')}`, value);
}

const sizes = list(number(cnnSize, { help: '' }), {
  help: `numbers of parameters: ${CNN_SIZES.join(', ')}`,
  default: CNN_SIZES,
});

const length = {
  epochs: number(check.positive, { help: 'length of a run', default: 50 }),
  searchEpochs: number(check.positive, { help: 'length of the runs that choose each learning rate', default: 1 }),
};

const grasp = {
  graspQueries: number(check.queryCount, { help: 'random directions of ZO-GraSP', default: GRASP_QUERIES }),
  samplesPerClass: number(whole(1), {
    help: 'images of each class that ZO-GraSP and GraSP see',
    default: SAMPLES_PER_CLASS,
  }),
};

const redraw = (epochs: number) =>
  number(whole(1), {
    help: 'epochs after which other coordinates are drawn: the paper says 1, its public code 5',
    default: epochs,
  });

/** Of timings. */
const seconds = number(check.positive, { help: 'of measuring, for every size and what is compared', default: 10 });

const TINY = { sizes: [730, 3700], batchSize: 16 };

/** What --quick puts in place of the defaults. */
const QUICK = {
  fig1: { ...TINY, epochs: 0.02, searchEpochs: 0.01 },
  table1: { ...TINY, epochs: 0.02, searchEpochs: 0.01, seconds: 0.2 },
  fig5: { ...TINY, seconds: 0.2 },
  fig3: { size: 730, budget: 3000, searchBudget: 400, batchSize: 16, queries: 20, graspQueries: 8, samplesPerClass: 2 },
  fig4: {
    depth: 8,
    width: 2,
    sparsities: [0.8, 0.99],
    epochs: 0.05,
    searchEpochs: 0.02,
    batchSize: 16,
    graspQueries: 8,
    samplesPerClass: 2,
  },
};

/** Notes, and what --quick does there. */
const withQuick = (notes: string, quick: object): string =>
  `${notes} With --quick the defaults are ${written(quick)}; other options still count.`;

/** Runs an experiment in its folder and prints its table. */
async function perform<V extends Common>(
  name: string,
  run: (choice: V, laboratory: Laboratory, publish: Publish) => Promise<Report>,
  defaults: V,
  quick: Partial<V>,
  { output, signal, options: given }: Context<OptionTable>,
): Promise<object> {
  const values = defaults.quick ? { ...defaults, ...quick, ...given } : defaults;
  const { quick: short, threads, memory, batchSize, samplesPerClass } = values;
  const { out = join('results', short ? `${name}-quick` : name) } = values;
  const data = await loadData(values);
  checkBatchSize(batchSize, data.train, '--batch-size');
  if (samplesPerClass !== undefined) imagesByClass(data.train, samplesPerClass, '--samples-per-class');
  await using _ = await lockedFolder(out);
  for (const file of Object.values(reportFiles(name, out))) await checkDestination(file);
  const onStatus = (status: string): void => {
    output.status(status, 'small');
  };
  const onNote = (note: string): void => {
    output.line(note);
  };
  const laboratory: Laboratory = { data, out, batchSize, threads, memory, signal, onStatus, onNote };
  output.line(`${inWords(data)}, ${grouped(data.test.count)} to test on; results in ${out}`);
  const unlike = unlikePublished(data, short);
  if (unlike !== undefined) output.line(unlike);
  signal.addEventListener('abort', () => {
    output.line('Stopping: what is done is kept, and the same command goes on from there.');
  });
  let reported = 0;
  const report = await run(values, laboratory, async (state) => {
    await writeReport(name, state, laboratory);
    if (state.rows.length > reported) output.line(`${counted(state.rows.length, 'row')} in ${join(out, name)}.csv`);
    reported = state.rows.length;
  });
  const files = await writeReport(name, report, laboratory);
  output.line(`\n${report.title}\n\n${reportTable(report)}\n`);
  output.line(`Measured: ${inWords(data)} in batches of ${batchSize}.\nPublished: ${report.published}.`);
  if (unlike !== undefined) output.line(unlike);
  output.line(`written to ${files.json}, .csv and .svg`);
  return { ...files, settings: report.settings, rows: report.rows };
}

/** Why measured and published figures are not to be compared, if they are not. */
function unlikePublished({ train, missing = [] }: ImageDatasets, quick: boolean): string | undefined {
  const whole = train.name === CIFAR10_TRAIN && missing.length === 0;
  const made = [
    ...(quick ? ['with --quick'] : []),
    ...(whole ? [] : ["without all of CIFAR-10's images (--data DIR)"]),
  ];
  return made.length === 0 ? undefined : `Made ${made.join(' and ')}: not to be held against what is published.`;
}

/** The experiment's folder, locked; disposing of it leaves no empty one behind. */
async function lockedFolder(path: string): Promise<AsyncDisposable> {
  const folder = await RunFolder.open(path);
  return {
    async [Symbol.asyncDispose]() {
      await folder.discard();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** `queriesPerStep` → `queries per step` */
const inSpaces = (column: string): string => column.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

function reportTable({ rows }: Report): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((column) => column !== 'machine');
  const cell = (value: string | number | null | undefined): string =>
    typeof value === 'number' ? String(value) : (value ?? '–');
  return table([columns.map(inSpaces), ...rows.map((row) => columns.map((column) => cell(row[column])))]);
}

export const experimentCommands: readonly Command[] = [
  command({
    name: 'fig1',
    summary: 'Test accuracy against parameters: first order, CGE and RGE on the small CNN.',
    notes: withQuick(NOTES, QUICK.fig1),
    options: {
      ...common,
      sizes,
      methods: list(choice(CNN_METHOD_NAMES, { help: '' }), { help: 'what to train with', default: CNN_METHOD_NAMES }),
      ...length,
    },
    run: (values, context) => perform('fig1', fig1, values, QUICK.fig1, context),
  }),
  command({
    name: 'fig3',
    summary: 'DeepZero, forward gradients and pattern search on the small CNN, with equally many loss evaluations.',
    notes: withQuick(NOTES, QUICK.fig3),
    options: {
      ...common,
      size: number(cnnSize, { help: `parameters: ${CNN_SIZES.join(', ')}`, default: 3700 }),
      methods: list(choice(FIG3_METHODS, { help: '' }), { help: 'what to train with', default: FIG3_METHODS }),
      budget: number(whole(1), { help: 'loss evaluations of a run', default: 500_000 }),
      searchBudget: number(whole(1), { help: 'loss evaluations of the runs that choose each rate', default: 50_000 }),
      sparsity: number(fraction, { help: 'fraction of the weights that DeepZero leaves out of a step', default: 0.9 }),
      redrawEvery: redraw(1),
      ...grasp,
      queries: number(check.queryCount, { help: 'directions, or trials, of a step of the others', default: 100 }),
    },
    run: (values, context) => perform('fig3', fig3, values, QUICK.fig3, context),
  }),
  command({
    name: 'fig4',
    summary: 'Test accuracy against sparsity: DeepZero, first order with sparse gradients, sparse weights and dense.',
    notes: withQuick(NOTES, QUICK.fig4),
    options: {
      ...common,
      depth: number(whole(1), { help: 'layers with weights of the residual network, 6n + 2', default: 20 }),
      width: number(whole(1), { help: 'channels of its first stage', default: 16 }),
      methods: list(choice(FIG4_METHODS, { help: '' }), { help: 'what to train with', default: FIG4_METHODS }),
      sparsities: list(number(fraction, { help: '' }), {
        help: 'fractions of the gradient, or of the weights, that are zero',
        default: SPARSITIES,
      }),
      redrawEvery: redraw(5),
      ...grasp,
      ...length,
    },
    run: (values, context) => perform('fig4', fig4, values, QUICK.fig4, context),
  }),
  command({
    name: 'fig5',
    summary: 'Hours of training with CGE against parameters, by what a query reuses, from measured steps.',
    notes: withQuick(TIMING_NOTES, QUICK.fig5),
    options: { ...shared, threads: threadsOption, sizes, epochs: length.epochs, seconds },
    run: (values, context) => perform('fig5', fig5, values, QUICK.fig5, context),
  }),
  command({
    name: 'table1',
    summary: 'CGE against RGE of as many queries: accuracy, time of a query, cosine with the first-order gradient.',
    notes: withQuick(NOTES, QUICK.table1),
    options: { ...common, sizes, ...length, seconds },
    run: (values, context) => perform('table1', table1, values, QUICK.table1, context),
  }),
];
