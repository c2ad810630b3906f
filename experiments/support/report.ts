/**
 * The report of an experiment: a table of measured and published figures, as JSON, CSV and a plot.
 *
 * @module
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { FileError, writeFileAtomically } from 'deepzero';

import type { Plot } from '../../bench/support/plot.js';
import { plotSvg } from '../../bench/support/plot.js';
import { machinesIn } from './machines.js';
import type { Context } from './trial.js';

/**
 * A row of a report: numbers and words by column; null where nothing was measured, or nothing published. Its times were measured
 * on `machine`.
 */
export type ReportRow = Readonly<Record<string, string | number | null>> & { readonly machine: string };

export interface Report {
  readonly title: string;
  /** Where the published figures come from. */
  readonly published: string;
  /** Options and learning rates, and how those were chosen. */
  readonly settings: object;
  readonly rows: readonly ReportRow[];
  readonly plot: Plot;
}

/** Called with the report after every run, so that a stopped experiment has one. */
export type Publish = (report: Report) => Promise<void>;

/** With `digits` significant digits. */
export const rounded = (value: number, digits: number): number => Number(value.toPrecision(digits));

/** `1 epoch`, `0.5 epochs` */
export const inEpochs = (epochs: number): string => `${epochs} epoch${epochs === 1 ? '' : 's'}`;

/** The files of a report. */
export type ReportFiles = Readonly<Record<'json' | 'csv' | 'svg', string>>;

/** The paths of the files of the report `name` in an experiment's folder. */
export const reportFiles = (name: string, out: string): ReportFiles => ({
  json: join(out, `${name}.json`),
  csv: join(out, `${name}.csv`),
  svg: join(out, `${name}.svg`),
});

/** Refuses folders in their place before something is computed. */
export async function checkReportFiles(name: string, out: string): Promise<void> {
  for (const file of Object.values(reportFiles(name, out))) {
    const found = await stat(file).catch(() => undefined);
    if (found?.isDirectory()) throw new FileError(file, 'is a folder, expected a file');
  }
}

/** Writes a report's files into the experiment's folder, over those of an earlier state. */
export async function writeReport(
  name: string,
  report: Report,
  { out, data, batchSize }: Context,
): Promise<ReportFiles> {
  const { title, published, settings, rows, plot } = report;
  const about = { name: data.train.name, images: data.train.count, testImages: data.test.count };
  const content = { ...{ experiment: name, title, published, data: about, batchSize, settings }, rows };
  const files = reportFiles(name, out);
  const images = `${about.images.toLocaleString('en-US')} images of ${about.name} in batches of ${batchSize}`;
  await writeFileAtomically(files.json, `${JSON.stringify(content, undefined, 2)}\n`);
  await writeFileAtomically(files.csv, csv(rows));
  await writeFileAtomically(files.svg, plotSvg(plot, [images, ...machinesIn(rows.map(({ machine }) => machine))]));
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
