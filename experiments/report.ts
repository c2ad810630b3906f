/**
 * What an experiment reports: a table of measured and published figures, as JSON, CSV and a plot.
 *
 * @module
 */
import { join } from 'node:path';

import { writeFileAtomically } from '../lib/support/files.js';
import type { Plot } from './plot.js';
import { plotSvg } from './plot.js';
import type { Laboratory } from './training.js';
import { machinesOf } from '../lib/native/machine.js';

/**
 * A row of a report: numbers and words by column; null where nothing was measured, or nothing published. Its `machine` is what
 * its times are of.
 */
export type ReportRow = Readonly<Record<string, string | number | null>> & { readonly machine: string };

export interface Report {
  readonly title: string;
  /** What the published figures are of. */
  readonly published: string;
  /** What was chosen before the runs, and how: learning rates and the like. */
  readonly settings: object;
  readonly rows: readonly ReportRow[];
  readonly plot: Plot;
}

/** Takes the state of a report after every run, so that an experiment that is stopped has one. */
export type Publish = (report: Report) => Promise<void>;

/** With so many digits. */
export const rounded = (value: number, digits: number): number => Number(value.toPrecision(digits));

/** The files of a report. */
export type ReportFiles = Readonly<Record<'json' | 'csv' | 'svg', string>>;

/** Where the files of the report `name` are in an experiment's folder. */
export const reportFiles = (name: string, out: string): ReportFiles => ({
  json: join(out, `${name}.json`),
  csv: join(out, `${name}.csv`),
  svg: join(out, `${name}.svg`),
});

/** Writes a report's files as `name` into the experiment's folder; those of an earlier state are replaced. */
export async function writeReport(
  name: string,
  report: Report,
  { out, data, batchSize }: Laboratory,
): Promise<ReportFiles> {
  const { title, published, settings, rows, plot } = report;
  const about = { name: data.train.name, images: data.train.count, testImages: data.test.count };
  const content = { ...{ experiment: name, title, published, data: about, batchSize, settings }, rows };
  const files = reportFiles(name, out);
  const images = `${about.images.toLocaleString('en-US')} images of ${about.name} in batches of ${batchSize}`;
  await writeFileAtomically(files.json, `${JSON.stringify(content, undefined, 2)}\n`);
  await writeFileAtomically(files.csv, csv(rows));
  await writeFileAtomically(files.svg, plotSvg(plot, [images, ...machinesOf(rows.map(({ machine }) => machine))]));
  return files;
}

/** RFC 4180, a header of all columns first. */
export function csv(rows: readonly Omit<ReportRow, 'machine'>[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cell = (value: string | number | null | undefined): string => {
    const text = value === null || value === undefined ? '' : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [columns, ...rows.map((row) => columns.map((column) => row[column]))];
  return lines.map((line) => `${line.map(cell).join(',')}\n`).join('');
}
