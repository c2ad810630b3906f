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

/** Where an experiment runs. */
export interface Surroundings {
  /** The experiment's folder. */
  readonly out: string;
  readonly threads: number;
  readonly signal: AbortSignal;
  /** Called with the state of the run in progress. */
  readonly onStatus: (text: string) => void;
  /** Called with remarks that stay. */
  readonly onNote: (text: string) => void;
}

/** What an experiment is about: images, or a simulator. */
export interface Subject {
  /** In words, for the plot. */
  readonly text: string;
  /** In the report. */
  readonly config: object;
}

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
  /** More plots, and other pictures as SVG, by what they show. */
  readonly pictures?: Readonly<Record<string, Plot | string>>;
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

/** Writes a report's files into the experiment's folder, over those of an earlier state, and returns their paths. */
export async function writeReport(
  name: string,
  report: Report,
  subject: Subject,
  out: string,
): Promise<ReportFiles & { pictures?: string[] }> {
  const { title, published, settings, rows, plot, pictures = {} } = report;
  const content = { ...{ experiment: name, title, published, ...subject.config, settings }, rows };
  const files = reportFiles(name, out);
  const machines = machinesIn(rows.map(({ machine }) => machine));
  await writeFileAtomically(files.json, `${JSON.stringify(content, undefined, 2)}\n`);
  await writeFileAtomically(files.csv, csv(rows));
  const footnotes = [subject.text, ...machines];
  await writeFileAtomically(files.svg, plotSvg(plot, footnotes));
  const paths: string[] = [];
  for (const [what, picture] of Object.entries(pictures)) {
    const path = join(out, `${name}-${what}.svg`);
    await writeFileAtomically(path, typeof picture === 'string' ? picture : plotSvg(picture, footnotes));
    paths.push(path);
  }
  return { ...files, ...(paths.length > 0 && { pictures: paths }) };
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
