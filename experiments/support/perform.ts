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
import type { Publish, Report } from './report.js';
import { checkReportFiles, writeReport } from './report.js';
import type { Context } from './trial.js';

/** The options that all experiments have. */
export interface SharedOptions {
  readonly quick: boolean;
  readonly data: string;
  readonly out: string | undefined;
  readonly batchSize: number;
  readonly threads: number;
  readonly memory?: number | undefined;
  readonly samplesPerClass?: number;
}

/** Runs an experiment and returns the object that `--json` prints. */
export async function perform<O extends SharedOptions>(
  name: string,
  run: (options: O, context: Context, publish: Publish) => Promise<Report>,
  options: O,
  { output, signal }: { output: Output; signal: AbortSignal },
): Promise<object> {
  const { quick, threads, memory, batchSize, samplesPerClass } = options;
  const { out = join('results', quick ? `${name}-quick` : name) } = options;
  const data = options.data === 'synthetic' ? synthetic() : await cifar10(options.data);
  checkImages(data.train, batchSize, samplesPerClass);
  // Locks the folder until the end.
  await using _ = await RunFolder.open(out);
  await checkReportFiles(name, out);
  const onStatus = (status: string): void => {
    output.status(status);
  };
  const onNote = (note: string): void => {
    output.line(note);
  };
  const context: Context = { data, out, batchSize, threads, memory, signal, onStatus, onNote };
  const { missing = [] } = data;
  const incomplete = missing.length === 0 ? '' : ` (${missing.join(', ')} missing)`;
  const images = `${counted(data.train.count, 'image')} of ${data.train.name}${incomplete}`;
  output.line(`${images}, ${grouped(data.test.count)} to test on; results in ${out}`);
  const warning = notComparable(data, quick);
  if (warning !== undefined) output.line(warning);
  signal.addEventListener('abort', () => {
    output.line('Stopping: finished steps are saved, and the same command continues from there.');
  });
  let reported = 0;
  const report = await run(options, context, async (state) => {
    await writeReport(name, state, context);
    if (state.rows.length > reported) output.line(`${counted(state.rows.length, 'row')} in ${join(out, name)}.csv`);
    reported = state.rows.length;
  });
  const files = await writeReport(name, report, context);
  output.line(`\n${report.title}\n\n${reportTable(report)}\n`);
  output.line(`Measured: ${images} in batches of ${batchSize}.\nPublished: ${report.published}.`);
  if (warning !== undefined) output.line(warning);
  output.line(`written to ${files.json}, .csv and .svg`);
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
