/**
 * The log of a run: one line of JSON for each training step.
 *
 * @module
 */
import type { FileHandle } from 'node:fs/promises';

import type { EvaluateResult } from '../model/options.js';
import { FileError } from '../support/errors.js';
import {
  openToAppend,
  readLines,
  readStart,
  withFileErrors,
  withInputFile,
  writeFileAtomically,
} from '../support/files.js';
import { parseJson } from '../support/json.js';
import { isObject } from '../support/schema.js';

/** One training step: a line of the log. */
export interface TrainStep {
  /** The step's number in the run, from 0. */
  step: number;
  /** The epoch it is in, from 0. */
  epoch: number;
  /** Loss on its batch before the update, with batch norm in training mode. */
  loss: number;
  /** Accuracy on its batch before the update; absent without labels. */
  accuracy?: number;
  /** Learning rate of the update. */
  lr: number;
  /** Loss evaluations. */
  queries: number;
  /** Of rollouts: losses that are missing. */
  failed?: number;
  /** Seconds that the step took. */
  seconds: number;
  /** Loss evaluations per second of the step. */
  queriesPerSecond: number;
  /** When the step ended, before its test: ISO 8601. Absent in logs of earlier versions, like `totalQueries`, the norms and `density`. */
  time?: string;
  /** Loss evaluations of this step and all before it. */
  totalQueries?: number;
  /** 2-norm of the estimated gradient. */
  gradientNorm?: number;
  /** 2-norm of the change of all parameters. */
  updateNorm?: number;
  /** 2-norm of the estimated gradient of each weight tensor, by name; not of biases and of batch norm. */
  gradientNorms?: Readonly<Record<string, number>>;
  /**
   * Of each parameter tensor by name, the fraction of its coordinates that are queried; only at the first step and where the mask
   * changed, and only with a mask.
   */
  density?: Readonly<Record<string, number>>;
  /** The machine that took this and the following steps; only at the first step and the first one after a resumption. */
  machine?: string;
  /** Loss and accuracy on the test images after the update; only where a test is due. */
  test?: EvaluateResult;
}

/** A log that is being written; `append` resolves when the operating system has the line. */
export class RunLog {
  readonly #handle: FileHandle;
  readonly #file: string;

  private constructor(file: string, handle: FileHandle) {
    this.#file = file;
    this.#handle = handle;
  }

  /**
   * Opens the log for appending and drops all lines after the first `steps`: a resumed run repeats those steps.
   *
   * @throws FileError if there are fewer lines, or a line is not that of its step.
   */
  static async open(file: string, steps: number): Promise<RunLog> {
    const bytes = await scanLog(file, steps, () => undefined);
    return new RunLog(file, await openToAppend(file, bytes));
  }

  async append(entry: TrainStep): Promise<void> {
    await withFileErrors(this.#file, this.#handle.appendFile(lineOf(entry)));
  }

  /** Flushes the lines to the disk, before a checkpoint relies on them. */
  async sync(): Promise<void> {
    await withFileErrors(this.#file, this.#handle.datasync());
  }

  /** Never rejects: lines that must not be lost were flushed before. */
  async close(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
  }
}

/** Replaces the entry of a step, and drops those after it, in a log that is not open. */
export async function amendLog(file: string, entry: TrainStep): Promise<void> {
  const bytes = await scanLog(file, entry.step, () => undefined);
  await withInputFile(file, async (input) => {
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield* readStart(input, bytes);
      yield new TextEncoder().encode(lineOf(entry));
    }
    await writeFileAtomically(file, chunks());
  });
}

/**
 * The steps in a log.
 *
 * @throws FileError if a line is not that of its step.
 */
export async function readLog(file: string): Promise<TrainStep[]> {
  const entries: TrainStep[] = [];
  await scanLog(file, undefined, (entry) => void entries.push(entry));
  return entries;
}

/**
 * The entry of a step, after checking those before it.
 *
 * @throws FileError if there are fewer, or a line is not that of its step.
 */
export async function readStep(file: string, step: number): Promise<TrainStep> {
  let last: TrainStep | undefined;
  await scanLog(file, step + 1, (entry) => void (last = entry));
  return last!;
}

/**
 * Calls `use` with the first `count` entries and their lines; default: all. After its last checkpoint, a killed run may leave any
 * text: it is not read.
 *
 * @returns The bytes up to the end of the last.
 */
export async function scanLog(
  file: string,
  count: number | undefined,
  use: (entry: TrainStep, line: string) => void | Promise<void>,
): Promise<number> {
  if (count === 0) return 0;
  let [found, bytes] = [0, 0];
  await readLines(file, (line, end) => {
    const used = use(parseLine(file, line, found), line);
    bytes = end;
    found += 1;
    const more = count === undefined || found < count;
    return used ? used.then(() => more) : more;
  });
  if (count !== undefined && found < count) {
    throw new FileError(file, `has ${found} lines, expected one for each of the ${count} steps done`);
  }
  return bytes;
}

/** How many lines are those of their steps, up to the first that is not: what follows is of no use. */
export async function countSteps(file: string): Promise<number> {
  let count = 0;
  await readLines(file, (line) => {
    try {
      parseLine(file, line, count);
    } catch {
      return false;
    }
    count += 1;
    return true;
  });
  return count;
}

const lineOf = (entry: TrainStep): string => `${JSON.stringify(entry)}\n`;

function parseLine(file: string, line: string, step: number): TrainStep {
  let entry: unknown;
  try {
    entry = parseJson(line, file);
  } catch {
    // Reported below, like any other line that training did not write.
  }
  if (isObject(entry) && entry['step'] === step && typeof entry['loss'] === 'number') {
    return entry as unknown as TrainStep;
  }
  throw new FileError(file, `expected line ${step + 1} to be the log entry of step ${step}`);
}
