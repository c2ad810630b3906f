/**
 * Runs an experiment in its folder and prints its table.
 *
 * @module
 */
import { join } from 'node:path';

import type { ImageDataset, ImageDatasets } from 'deepzero';
import { cifar10, RunFolder, synthetic } from 'deepzero';

import { expected } from '../../bench/support/options.js';
import type { Output } from '../../bench/support/output.js';
import { counted, grouped, table } from '../../bench/support/output.js';
import type { Publish, Report, Subject, Surroundings } from './report.js';
import { checkReportFiles, writeReport } from './report.js';
import type { Context } from './trial.js';

/** The options that all experiments have. */
export interface SharedOptions {
  readonly quick: boolean;
  readonly out: string | undefined;
  readonly threads: number;
}

/** The options of experiments on images. */
export interface ImageOptions extends SharedOptions {
  readonly data: string;
  readonly batchSize: number;
  readonly memory?: number | undefined;
  readonly samplesPerClass?: number;
}

/** How a command speaks, and when it is to stop. */
interface Command {
  readonly output: Output;
  readonly signal: AbortSignal;
}

/** Runs an experiment on images, and returns the object that `--json` prints. */
export async function performOnImages<O extends ImageOptions>(
  name: string,
  run: (options: O, context: Context, publish: Publish) => Promise<Report>,
  options: O,
  command: Command,
): Promise<object> {
  const { quick, memory, batchSize, samplesPerClass } = options;
  const data = options.data === 'synthetic' ? synthetic() : await cifar10(options.data);
  const { train, test, missing = [] } = data;
  checkImages(train, batchSize, samplesPerClass);
  const about = { name: train.name, images: train.count, testImages: test.count };
  const incomplete = missing.length === 0 ? '' : ` (${missing.join(', ')} missing)`;
  const images = `${counted(train.count, 'image')} of ${train.name}${incomplete}`;
  const subject = { text: `${images} in batches of ${batchSize}`, config: { data: about, batchSize } };
  const warning = notComparable(data, quick);
  const introduction = `${images}, ${grouped(test.count)} to test on`;
  const make = (surroundings: Surroundings, publish: Publish): Promise<Report> =>
    run(options, { ...surroundings, data, batchSize, memory }, publish);
  return await perform(name, make, options, { ...command, subject, introduction, warning });
}

interface About extends Command {
  readonly subject: Subject;
  /** Printed first. */
  readonly introduction: string;
  /** Printed before and after. */
  readonly warning?: string | undefined;
}

/** Runs an experiment in its folder, and returns the object that `--json` prints. */
export async function perform(
  name: string,
  make: (surroundings: Surroundings, publish: Publish) => Promise<Report>,
  { quick, threads, out = join('results', quick ? `${name}-quick` : name) }: SharedOptions,
  { output, signal, subject, introduction, warning }: About,
): Promise<object> {
  // Locks the folder until the end.
  await using _ = await RunFolder.open(out);
  await checkReportFiles(name, out);
  const onStatus = (status: string): void => {
    output.status(status);
  };
  const onNote = (note: string): void => {
    output.line(note);
  };
  output.line(`${introduction}; results in ${out}`);
  if (warning !== undefined) output.line(warning);
  signal.addEventListener('abort', () => {
    output.line('Stopping: finished steps are saved, and the same command continues from there.');
  });
  let reported = 0;
  const report = await make({ out, threads, signal, onStatus, onNote }, async (state) => {
    await writeReport(name, state, subject, out);
    if (state.rows.length > reported) output.line(`${counted(state.rows.length, 'row')} in ${join(out, name)}.csv`);
    reported = state.rows.length;
  });
  const files = await writeReport(name, report, subject, out);
  output.line(`\n${report.title}\n\n${reportTable(report)}\n`);
  output.line(`Measured: ${subject.text}.\nPublished: ${report.published}.`);
  if (warning !== undefined) output.line(warning);
  const pictures = (files.pictures ?? []).map((path) => `, ${path}`).join('');
  output.line(`written to ${files.json}, .csv and .svg${pictures}`);
  return { ...files, settings: report.settings, rows: report.rows };
}

/** Refuses before the first run what a later run would refuse. */
function checkImages({ name, count, labels, classes }: ImageDataset, batchSize: number, perClass?: number): void {
  if (batchSize > count) throw expected('--batch-size', `at most ${count}, the images of ${name}`, batchSize);
  if (perClass === undefined) return;
  const counts = new Array<number>(classes).fill(0);
  for (const label of labels) counts[label]!++;
  const least = Math.min(...counts);
  if (perClass > least)
    throw expected('--samples-per-class', `at most ${least}, the images of a class of ${name}`, perClass);
}

/** Why measured and published figures cannot be compared, if they cannot. */
function notComparable({ train, missing = [] }: ImageDatasets, quick: boolean): string | undefined {
  const whole = train.name === 'cifar10 train' && missing.length === 0;
  const reasons = [
    ...(quick ? ['with --quick'] : []),
    ...(whole ? [] : ["without all of CIFAR-10's images (--data DIR)"]),
  ];
  return reasons.length === 0 ? undefined : `Made ${reasons.join(' and ')}: not comparable with the published figures.`;
}

/** `queriesPerStep` → `queries per step` */
const inSpaces = (column: string): string => column.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

function reportTable({ rows }: Report): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((column) => column !== 'machine');
  const cells = rows.map((row) => columns.map((column) => String(row[column] ?? '–')));
  return table([columns.map(inSpaces), ...cells]);
}
