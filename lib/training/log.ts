/**
 * The log of a run: one line of JSON for each training step.
 *
 * @module
 */
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

import type { EvaluateResult } from '../model/options.js';
import { FileError } from '../support/errors.js';
import { exists, readFileBytes, writeFileAtomically } from '../support/files.js';
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
  /** Seconds that the step took. */
  seconds: number;
  queriesPerSecond: number;
  /** The machine that took this and the following steps; only at the first step and the first one after a resumption. */
  machine?: string;
  /** Loss and accuracy on the test images after the update; only where `testEvery` asks for them. */
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
    const lines = steps === 0 && !(await exists(file)) ? [] : (await linesOf(file)).slice(0, steps);
    if (lines.length < steps) {
      throw new FileError(file, `has ${lines.length} lines, expected one for each of the ${steps} steps done`);
    }
    lines.forEach((line, step) => parseLine(file, line, step));
    await writeFileAtomically(file, lines.map((line) => `${line}\n`).join(''));
    return new RunLog(file, await named(file, open(file, 'a')));
  }

  async append(entry: TrainStep): Promise<void> {
    await named(this.#file, this.#handle.appendFile(`${JSON.stringify(entry)}\n`));
  }

  /** Flushes the lines to the disk, before a checkpoint relies on them. */
  async sync(): Promise<void> {
    await named(this.#file, this.#handle.datasync());
  }

  /** Never rejects: lines that must not be lost were flushed before. */
  async close(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
  }
}

/** Replaces the last entry of a log that is not open. */
export async function amendLog(file: string, entry: TrainStep): Promise<void> {
  const lines = [...(await linesOf(file)).slice(0, entry.step), JSON.stringify(entry)];
  await writeFileAtomically(file, lines.map((line) => `${line}\n`).join(''));
}

/**
 * The steps in a log, or the first `count`: after its last checkpoint, a killed run may leave any text.
 *
 * @throws FileError if a line is not that of its step.
 */
export async function readLog(file: string, count?: number): Promise<TrainStep[]> {
  return (await linesOf(file)).slice(0, count).map((line, step) => parseLine(file, line, step));
}

async function linesOf(file: string): Promise<string[]> {
  const text = new TextDecoder().decode(await readFileBytes(file));
  return text.split('\n').slice(0, -1);
}

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

/** Makes the failure of an action on a file a `FileError`. */
export async function named<T>(file: string, action: Promise<T>): Promise<T> {
  try {
    return await action;
  } catch (cause) {
    throw new FileError(file, (cause as Error).message, { cause });
  }
}
