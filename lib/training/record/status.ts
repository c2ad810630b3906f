/**
 * `status.json` in a run's folder: whether the run is under way, and how far its step is.
 *
 * @module
 */
import * as v from 'valibot';

import { replaceFile } from '../../support/files.js';
import { readJson } from '../../support/json.js';
import { finite, integer, oneOf, parseContent, string, text } from '../../support/schema.js';
import { WRITER } from '../../support/writers.js';

export const runStatus = v.object({
  /** When it was written, ISO 8601. */
  time: string,
  /** Steps done, >= 0. */
  step: integer(),
  /** Steps of the whole run, >= 1; null where nothing bounds them. */
  totalSteps: v.nullable(integer(1)),
  /** Fraction of the time of the step in progress, from 0 to 1: expensive queries come first. */
  within: finite,
  /** Queries of that step that are done, >= 0. */
  done: integer(),
  /** Queries of that step, >= 0. */
  of: integer(),
  /** `running`, `stopped` (it can be resumed), `finished` or `failed`. */
  state: oneOf(['running', 'stopped', 'finished', 'failed']),
  /** Why it failed. */
  message: v.optional(text),
  /** The process that wrote it, by which others of its machine know whether it has ended. */
  writer: v.optional(string),
});
export interface RunStatus extends v.InferOutput<typeof runStatus> {}

/** What a status tells a run by. */
interface StatusRun {
  /** Steps done. */
  readonly step: number;
  readonly totalSteps: number;
  /** The fraction of a step's time, given that of its queries. */
  readonly shareOf: (queries: number) => number;
  /** The queries done of the step in progress, and all of it, where nothing tells them. */
  readonly progress?: () => readonly [done: number, of: number];
}

/** Milliseconds between two versions of the file. */
const EVERY_MS = 1000;

/**
 * Writes the file once a second, also where nothing is reported: a status that is old is that of a killed run. The run does not depend
 * on the file, so that it may fail to be written.
 */
export class StatusFile {
  readonly #file: string;
  readonly #timer: NodeJS.Timeout;
  readonly #run: StatusRun;
  #step: number;
  #progress = { within: 0, done: 0, of: 0 };
  #writing: Promise<void> | undefined;

  private constructor(file: string, run: StatusRun) {
    this.#file = file;
    this.#run = run;
    this.#step = run.step;
    this.#timer = setInterval(() => {
      this.#write('running');
    }, EVERY_MS).unref();
  }

  /** Writes the first version. */
  static async open(file: string, run: StatusRun): Promise<StatusFile> {
    const status = new StatusFile(file, run);
    status.#write('running');
    await status.#writing;
    return status;
  }

  /** Takes note of the queries done of a step. */
  progress(done: number, of: number): void {
    this.#progress = { within: of > 0 ? this.#run.shareOf(done / of) : 0, done, of };
  }

  /** Takes note of the steps done. */
  reached(step: number): void {
    this.#step = step;
    this.#progress = { within: 0, done: 0, of: 0 };
  }

  /** Writes the last version. */
  async end(state: Exclude<RunStatus['state'], 'running'>, message?: string): Promise<void> {
    clearInterval(this.#timer);
    await this.#writing;
    this.#write(state, message);
    await this.#writing;
  }

  #write(state: RunStatus['state'], message?: string): void {
    if (this.#writing) return;
    const counted = this.#run.progress?.();
    if (counted) this.progress(...counted);
    const status: RunStatus = {
      ...{
        time: new Date().toISOString(),
        step: this.#step,
        totalSteps: bounded(this.#run.totalSteps),
        ...this.#progress,
        state,
        writer: WRITER,
      },
      ...(message !== undefined && { message }),
    };
    this.#writing = replaceFile(this.#file, `${JSON.stringify(status)}\n`)
      .catch(() => undefined)
      .finally(() => (this.#writing = undefined));
  }
}

const bounded = (steps: number): number | null => (Number.isFinite(steps) ? steps : null);

/** @throws FileError if it cannot be read, or its content is another. */
export async function readStatus(file: string): Promise<RunStatus> {
  return parseContent(runStatus, await readJson(file), file);
}
