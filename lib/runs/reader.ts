/**
 * What an observer knows of a run from its folder, kept up to date at little cost.
 *
 * @module
 */
import { FileError } from '../support/errors.js';
import { parseEntry, secondsUpTo } from './entries.js';
import { testOf } from './log-end.js';
import { LogTail } from './log-tail.js';
import { MaskFile } from './mask.js';
import { RunFiles } from './run-files.js';
import { brokenLog, isUnderWay, summarise } from './summary.js';
import { Table } from './table.js';
import type { MaskPicture, RunSummary, TestResult } from './types.js';

/** Buckets of a series: more than a screen has pixels across a plot. Layers have small plots. */
const CAPACITY = 2048;
const LAYER_CAPACITY = 256;
const MOST_LAYERS = 128;
/** What is plotted of each step, in which one may matter among many. */
const PLOTTED = [
  ...['loss', 'accuracy', 'testLoss', 'testAccuracy', 'lr'],
  ...['queriesPerSecond', 'failed', 'gradientNorm', 'updateNorm'],
];
/** Starts that are told from steps, the last ones. */
const MOST_STARTS = 1000;

/** How often each part has changed. */
export interface Versions {
  log: number;
  /** How often the log was read from its start. */
  generation: number;
  about: number;
  summary: number;
  mask: number;
}

/** A run's log, thinned, and its other files. */
export class RunReader {
  readonly name: string;
  readonly files: RunFiles;
  readonly versions: Versions = { log: 0, generation: 0, about: 0, summary: 0, mask: 0 };
  /** What is plotted, and along what: `totalQueries`, and `time`, the seconds of all steps so far with what lay between them. */
  series!: Table;
  /** By parameter tensor: `gradientNorms` and `density` of the layers. */
  gradientNorms!: Table;
  density!: Table;
  /** Undefined before the first update. */
  summary: RunSummary | undefined;
  mask: readonly MaskPicture[] | undefined;
  /** Lines of the log that are no entries. */
  ignoredLines!: number;
  /** Queries without an answer. */
  failed!: number;
  #step!: number;
  /** When it ended. */
  #ended: string | undefined;
  /** When the run was started, in milliseconds since 1970. */
  #starts: readonly number[] = [];
  #queries!: number;
  #seconds!: number;
  #test: TestResult | undefined;
  #bestAccuracy: number | undefined;
  readonly #log: LogTail;
  readonly #mask: MaskFile;
  #maskProblem: string | undefined;

  constructor(folder: string, name: string) {
    this.name = name;
    this.files = new RunFiles(folder);
    this.#log = new LogTail(this.files.folder.log);
    this.#mask = new MaskFile(this.files.folder.mask);
    this.#reset();
  }

  /**
   * Reads what has changed, at most some MB of the log at a time. What cannot be read is among the summary's problems.
   *
   * @returns whether there is more to read at once.
   */
  async update(): Promise<boolean> {
    const before = this.versions.log;
    // First, since a start is written before the steps after it.
    const { about, position } = await this.files.update();
    if (about) this.#takeStarts();
    const more = await this.#updateLog();
    const isChanged = [
      await this.#updateMask(),
      about,
      position,
      more === undefined,
      this.versions.log !== before,
    ].includes(true);
    const { summary } = this;
    // The lines that are left of a long log change nothing: its end is read.
    if (!summary || ((isChanged || isUnderWay(summary.state)) && more !== true)) await this.#summarise();
    return more ?? false;
  }

  #takeStarts(): void {
    const starts = this.files.about?.starts.slice(-MOST_STARTS) ?? [];
    this.#starts = starts.map(({ time }) => Date.parse(time));
    this.versions.about++;
  }

  /** Undefined if the log cannot be read, which the summary tells. */
  async #updateLog(): Promise<boolean | undefined> {
    try {
      return await this.#log.read({
        line: (text) => {
          this.#add(text);
        },
        restart: () => {
          this.#reset();
        },
      });
    } catch (error) {
      if (error instanceof FileError) return undefined;
      throw error;
    }
  }

  /** Returns whether the mask or its problem has changed. */
  async #updateMask(): Promise<boolean> {
    const [version, problem] = [this.versions.mask, this.#maskProblem];
    try {
      await this.#mask.read((pictures) => {
        this.mask = pictures;
        this.versions.mask++;
        this.#maskProblem = undefined;
      });
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      this.#maskProblem = error.message;
    }
    return this.versions.mask !== version || this.#maskProblem !== problem;
  }

  async #summarise(): Promise<void> {
    const summary = await summarise(this.files, this.name, () => this.#test);
    const more = [this.#maskProblem, this.ignoredLines > 0 ? brokenLog(this.files.folder) : undefined];
    const problems = [...new Set([...summary.problems, ...more.filter((problem) => problem !== undefined)])];
    const whole = { ...summary, problems };
    if (JSON.stringify(whole) !== JSON.stringify(this.summary)) this.versions.summary++;
    this.summary = whole;
  }

  /** The best accuracy of all tests; null without one. */
  get bestTest(): number | null {
    return this.#bestAccuracy ?? null;
  }

  #reset(): void {
    const layers = { capacity: LAYER_CAPACITY, columns: MOST_LAYERS };
    this.series = new Table({ capacity: CAPACITY, columns: PLOTTED.length + 2, extremes: PLOTTED });
    this.gradientNorms = new Table({ ...layers, extremes: 'all' });
    this.density = new Table(layers);
    this.#step = -1;
    this.ignoredLines = this.failed = this.#queries = this.#seconds = 0;
    this.#ended = this.#test = this.#bestAccuracy = undefined;
    for (const part of ['generation', 'log'] as const) this.versions[part]++;
  }

  #add(line: string): void {
    const entry = parseEntry(line);
    this.versions.log++;
    if (!entry || entry.step <= this.#step) {
      if (line !== '') this.ignoredLines++;
      return;
    }
    const { step, values, gradientNorms, density } = entry;
    const { queries = 0, totalQueries, failed = 0 } = values;
    this.#step = step;
    this.#queries = totalQueries ?? this.#queries + queries;
    this.#seconds += secondsUpTo(entry, this.#ended, this.#starts);
    this.#ended = entry.time;
    this.failed += failed;
    this.#addTest(testOf(entry));
    const plotted = Object.fromEntries(PLOTTED.map((name) => [name, values[name]]));
    this.series.add(step, { ...plotted, totalQueries: this.#queries, time: this.#seconds });
    if (gradientNorms) this.gradientNorms.add(step, gradientNorms);
    if (density) this.density.add(step, density);
  }

  #addTest(test: TestResult | undefined): void {
    this.#test = test ?? this.#test;
    if (typeof test?.accuracy === 'number') this.#bestAccuracy = Math.max(test.accuracy, this.#bestAccuracy ?? 0);
  }
}
