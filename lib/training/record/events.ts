/**
 * TensorBoard's event file in a run's folder: the log as scalars.
 *
 * @module
 */
import type { FileHandle } from 'node:fs/promises';
import { readdir, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

import { openToAppend, withFileErrors } from '../../support/files.js';
import type { RunFolder } from '../folder.js';
import type { TrainStep } from '../log.js';
import { scanLog } from '../log.js';
import type { TensorboardEvent } from './tensorboard.js';
import { encodeEvent } from './tensorboard.js';

/** The names that TensorBoard looks for, with an end that tells these files from those of other programs. */
const PATTERN = /^events\.out\.tfevents\.(\d{10,})\..*\.deepzero$/;

/** Bytes after which a conversion writes. */
const WRITE_BYTES = 2 ** 20;

/** The event file of a run that is under way. */
export class EventFile {
  readonly #file: string;
  readonly #handle: FileHandle;
  /** When the last step ended, in seconds since 1970. */
  #wallTime = 0;

  private constructor(file: string, handle: FileHandle) {
    this.#file = file;
    this.#handle = handle;
  }

  /**
   * Writes the steps in the log to a new event file, and removes the files of earlier starts: a reader finds every step once. A viewer
   * that has read those drops what it has, as the new file starts a session at step 0.
   *
   * @param steps How many; default: all.
   */
  static async open(folder: RunFolder, steps?: number): Promise<EventFile> {
    const old = await eventFilesOf(folder.path);
    const last = Math.max(0, ...old.map((name) => Number(PATTERN.exec(name)![1])));
    // Viewers read files in the order of their names.
    const seconds = Math.max(Math.floor(Date.now() / 1000), last + 1);
    const file = join(
      folder.path,
      `events.out.tfevents.${String(seconds).padStart(10, '0')}.${hostname()}.${process.pid}.deepzero`,
    );
    const events = new EventFile(file, await openToAppend(file, 0));
    try {
      await events.#begin(folder.log, steps);
      for (const name of old) await withFileErrors(join(folder.path, name), rm(join(folder.path, name)));
      return events;
    } catch (error) {
      await events.close();
      throw error;
    }
  }

  async #begin(log: string, steps: number | undefined): Promise<void> {
    const wallTime = Date.now() / 1000;
    await this.#write([
      { wallTime, fileVersion: 'brain.Event:2', writer: 'deepzero' },
      { wallTime, startOfSession: true, step: 0 },
    ]);
    let waiting: TrainStep[] = [];
    let length = 0;
    await scanLog(log, steps, (entry, line) => {
      waiting.push(entry);
      length += line.length;
      if (entry.step === 0 && timeOf(entry) === undefined) {
        return beginOf(log, steps).then((begin) => void (this.#wallTime = begin));
      }
      if (length < WRITE_BYTES) return undefined;
      const entries = waiting;
      [waiting, length] = [[], 0];
      return this.append(...entries);
    });
    await this.append(...waiting);
  }

  /** Adds steps; resolves when the operating system has them. */
  async append(...steps: readonly TrainStep[]): Promise<void> {
    if (steps.length === 0) return;
    await this.#write(
      steps.map((entry) => {
        this.#wallTime = timeOf(entry) ?? this.#wallTime + secondsOf(entry);
        return { wallTime: this.#wallTime, step: entry.step, scalars: scalarsOf(entry) };
      }),
    );
  }

  async #write(events: readonly TensorboardEvent[]): Promise<void> {
    await withFileErrors(this.#file, this.#handle.appendFile(Buffer.concat(events.map(encodeEvent))));
  }

  /** Never rejects. */
  async close(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
  }
}

/** The names of a folder's event files of earlier starts. */
export async function eventFilesOf(path: string): Promise<string[]> {
  return (await withFileErrors(path, readdir(path))).filter((name) => PATTERN.test(name));
}

/** When a step ended, in seconds since 1970; undefined where its line does not say, as in logs of earlier versions. */
function timeOf({ time }: TrainStep): number | undefined {
  const milliseconds = typeof time === 'string' ? Date.parse(time) : NaN;
  return Number.isNaN(milliseconds) ? undefined : milliseconds / 1000;
}

const secondsOf = ({ seconds }: TrainStep): number => (Number.isFinite(seconds) ? seconds : 0);

/**
 * When the first step began, in seconds since 1970, if steps follow each other without a pause up to the first whose time is known, or
 * else up to the last change of the log.
 */
async function beginOf(log: string, steps: number | undefined): Promise<number> {
  const { mtimeMs } = await withFileErrors(log, stat(log));
  let seconds = 0;
  let begin: number | undefined;
  await scanLog(log, steps, (entry) => {
    seconds += secondsOf(entry);
    const time = timeOf(entry);
    if (time !== undefined) begin ??= time - seconds;
  });
  return begin ?? mtimeMs / 1000 - seconds;
}

/** What a viewer shows of a step: a tag's first part is the heading of its chart. */
function scalarsOf(step: TrainStep): [string, number][] {
  const { loss, accuracy, lr, failed, seconds, queriesPerSecond, totalQueries, gradientNorm, updateNorm, test } = step;
  const found: [string, number | undefined][] = [
    ['loss/train', loss],
    ['loss/test', test?.loss],
    ['accuracy/train', accuracy],
    ['accuracy/test', test?.accuracy],
    ['lr', lr],
    ['queries/total', totalQueries],
    ['queries/per_second', queriesPerSecond],
    ['queries/failed', failed],
    ['seconds', seconds],
    ['norm/gradient', gradientNorm],
    ['norm/update', updateNorm],
    ...named('gradient', step.gradientNorms),
    ...named('density', step.density),
  ];
  return found.filter((one): one is [string, number] => typeof one[1] === 'number');
}

function named(heading: string, values: Readonly<Record<string, number>> = {}): [string, number][] {
  return Object.entries(values).map(([name, value]) => [`${heading}/${name}`, value]);
}
