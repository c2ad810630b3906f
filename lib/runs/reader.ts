/**
 * What an observer knows of a run from its folder, kept up to date at little cost.
 *
 * @module
 */
import { join } from 'node:path';

import { FileError } from '../support/errors.js';
import { parseJson } from '../support/json.js';
import { isObject } from '../support/schema.js';
import type { LogEntry } from './entries.js';
import { parseEntry, secondsUpTo } from './entries.js';
import { SmallFile } from './files.js';
import { LogTail } from './log-tail.js';
import type { MaskPicture } from './mask.js';
import { MaskFile } from './mask.js';
import type { RunStatus } from './status.js';
import { parseStatus, withKilled } from './status.js';
import { Table } from './table.js';

const MOST_JSON_BYTES = 2 ** 20;
/** Buckets of a series: more than a screen has pixels across a plot. Layers have small plots. */
const CAPACITY = 2048;
const LAYER_CAPACITY = 256;
const MOST_LAYERS = 128;
/** Columns in which one step may matter among many. */
const EXTREMES = [
  ...['loss', 'accuracy', 'testLoss', 'testAccuracy', 'lr'],
  ...['queriesPerSecond', 'failed', 'gradientNorm', 'updateNorm'],
];
/** Starts that are told from steps, the last ones. */
const MOST_STARTS = 1000;
/** Steps whose means are the present loss, accuracy and speed. */
const WINDOW = 10;

/** The last step, and means over the last few: those of single mini-batches vary much. */
export interface Progress {
  readonly step: number;
  readonly time?: string;
  /** Means over the last steps, by the names of the log's fields. */
  readonly means: Readonly<Record<string, number>>;
  /** Sums over all steps. */
  readonly queries: number;
  readonly seconds: number;
  readonly failed: number;
  /** Of the last test, and the best accuracy of all. */
  readonly test?: { readonly step: number; readonly loss?: number; readonly accuracy?: number };
  readonly bestTest?: { readonly step: number; readonly accuracy: number };
}

/** How often each part has changed. */
export interface Versions {
  log: number;
  /** How often the log was read from its start. */
  generation: number;
  about: number;
  status: number;
  mask: number;
}

/** A run's log, thinned, and its other files. */
export class RunReader {
  readonly folder: string;
  readonly versions: Versions = { log: 0, generation: 0, about: 0, status: 0, mask: 0 };
  /** Loss, accuracy and the like, and `time`, the seconds of all steps so far with what lay between them. */
  series!: Table;
  /** By parameter tensor: `gradientNorms` and `density` of the layers. */
  gradientNorms!: Table;
  density!: Table;
  /** `run.json` and `config.json`, as they are. */
  run: Readonly<Record<string, unknown>> | undefined;
  config: Readonly<Record<string, unknown>> | undefined;
  status: RunStatus | undefined;
  mask: readonly MaskPicture[] | undefined;
  /** Lines of the log that are no entries. */
  ignoredLines!: number;
  /** When the run was started, in milliseconds since 1970. */
  #starts: readonly number[] = [];
  #recent!: LogEntry[];
  #queries!: number;
  #seconds!: number;
  #failed!: number;
  #test: Progress['test'];
  #bestTest: Progress['bestTest'];
  #lastTime: string | undefined;
  readonly #log: LogTail;
  readonly #mask: MaskFile;
  readonly #small: readonly { readonly file: SmallFile; readonly use: (value: unknown) => void }[];
  /** The present problem of each file. */
  readonly #problems = new Map<string, string>();
  #written: RunStatus | undefined;

  constructor(folder: string) {
    this.folder = folder;
    this.#log = new LogTail(join(folder, 'log.jsonl'));
    this.#mask = new MaskFile(join(folder, 'mask.safetensors'));
    const small = (name: string, use: (value: unknown) => void) => {
      return { file: new SmallFile(join(folder, name), MOST_JSON_BYTES), use };
    };
    this.#small = [
      small('run.json', (value) => {
        this.run = isObject(value) ? value : undefined;
        this.#starts = startsIn(this.run);
        this.versions.about++;
      }),
      small('config.json', (value) => {
        this.config = isObject(value) ? value : undefined;
        this.versions.about++;
      }),
      small('status.json', (value) => (this.#written = parseStatus(value))),
    ];
    this.#reset();
  }

  /** Problems of files, one line each. */
  get problems(): string[] {
    return [...this.#problems.values()];
  }

  /**
   * Reads what has changed, at most some MB of the log at a time. A file that cannot be read is one of the `problems`.
   *
   * @returns whether there is more to read at once.
   */
  async update(): Promise<boolean> {
    // A start is written before the steps after it.
    for (const { file, use } of this.#small) {
      await this.#try(file.path, async (isWell) =>
        file.read((bytes) => {
          use(bytes && parseJson(new TextDecoder().decode(bytes), file.path));
          isWell();
        }),
      );
    }
    const more = await this.#try('log.jsonl', async (isWell) => {
      const isUnfinished = await this.#log.read({
        line: (text) => {
          this.#add(text);
        },
        restart: () => {
          this.#reset();
        },
      });
      isWell();
      return isUnfinished;
    });
    await this.#try('mask.safetensors', async (isWell) =>
      this.#mask.read((pictures) => {
        this.mask = pictures;
        this.versions.mask++;
        isWell();
      }),
    );
    await this.#updateStatus();
    return more ?? false;
  }

  /** An action on a file, whose error is the file's problem until the action calls `isWell`. */
  async #try<T>(name: string, action: (isWell: () => void) => Promise<T>): Promise<T | undefined> {
    try {
      return await action(() => {
        if (this.#problems.delete(name)) this.versions.about++;
      });
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      if (this.#problems.get(name) !== error.message) this.versions.about++;
      this.#problems.set(name, error.message);
      return undefined;
    }
  }

  async #updateStatus(): Promise<void> {
    const status = this.#written && (await withKilled(this.#written, this.folder, Date.now()));
    if (JSON.stringify(status) !== JSON.stringify(this.status)) this.versions.status++;
    this.status = status;
  }

  /** The last step; undefined before the first. */
  get progress(): Progress | undefined {
    const last = this.#recent.at(-1);
    if (!last) return undefined;
    const means = Object.keys(last.values).flatMap((name) => {
      const values = this.#recent.map(({ values }) => values[name]).filter((value) => value !== undefined);
      return values.length === 0
        ? []
        : [[name, values.reduce((sum, value) => sum + value, 0) / values.length] as const];
    });
    return {
      step: last.step,
      ...(this.#lastTime !== undefined && { time: this.#lastTime }),
      means: Object.fromEntries(means),
      ...{ queries: this.#queries, seconds: this.#seconds, failed: this.#failed },
      ...(this.#test && { test: this.#test }),
      ...(this.#bestTest && { bestTest: this.#bestTest }),
    };
  }

  #reset(): void {
    const layers = { capacity: LAYER_CAPACITY, columns: MOST_LAYERS };
    this.series = new Table({ capacity: CAPACITY, columns: 32, extremes: EXTREMES });
    this.gradientNorms = new Table({ ...layers, extremes: 'all' });
    this.density = new Table(layers);
    this.ignoredLines = 0;
    this.#recent = [];
    this.#queries = this.#seconds = this.#failed = 0;
    this.#test = this.#bestTest = this.#lastTime = undefined;
    for (const part of ['generation', 'log', 'about'] as const) this.versions[part]++;
  }

  #add(line: string): void {
    const entry = parseEntry(line);
    const last = this.#recent.at(-1);
    this.versions.log++;
    if (!entry || (last && entry.step <= last.step)) {
      if (line === '') return;
      this.ignoredLines++;
      this.versions.about++;
      return;
    }
    const { step, values, gradientNorms, density } = entry;
    const { queries = 0, totalQueries, failed = 0, testLoss, testAccuracy } = values;
    this.#queries = totalQueries ?? this.#queries + queries;
    this.#seconds += secondsUpTo(entry, last, this.#starts);
    this.#failed += failed;
    this.#lastTime = entry.time;
    this.#recent.push(entry);
    if (this.#recent.length > WINDOW) this.#recent.shift();
    if (testLoss !== undefined || testAccuracy !== undefined) this.#addTest(step, testLoss, testAccuracy);
    values['totalQueries'] = this.#queries;
    values['time'] = this.#seconds;
    this.series.add(step, values);
    if (gradientNorms) this.gradientNorms.add(step, gradientNorms);
    if (density) this.density.add(step, density);
  }

  #addTest(step: number, loss: number | undefined, accuracy: number | undefined): void {
    this.#test = { step, ...(loss !== undefined && { loss }), ...(accuracy !== undefined && { accuracy }) };
    if (accuracy === undefined || accuracy <= (this.#bestTest?.accuracy ?? -Infinity)) return;
    this.#bestTest = { step, accuracy };
  }
}

/** When a run was started; what tells no time is left out. */
function startsIn(run: Readonly<Record<string, unknown>> | undefined): number[] {
  const starts: unknown[] = Array.isArray(run?.['starts']) ? run['starts'] : [];
  const times = starts.slice(-MOST_STARTS).map((start) => Date.parse(isObject(start) ? String(start['time']) : ''));
  return times.filter((time) => !Number.isNaN(time));
}
