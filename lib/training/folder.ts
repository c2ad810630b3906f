/**
 * The folder of a training run: its checkpoint, log and trained weights.
 *
 * @module
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { lock, makeFolder, removeEmptyFolders, withFileErrors } from '../support/files.js';
import { checked, string } from '../support/schema.js';
import type { TrainStep } from './log.js';
import { readLog } from './log.js';

/**
 * The folder of one run. `train` with the option `folder` writes its log and checkpoints there and goes on from them when it is
 * started again. An open folder is locked: no other process can open it. `new RunFolder(path)` neither makes nor locks a folder:
 * it is for reading the files of a run.
 *
 * @example
 * await using folder = await RunFolder.open('runs/resnet20');
 * const run = train(model, trainSet, { estimator, optimizer, epochs: 50, folder, test: testSet });
 * for await (const { step, loss, test } of run) if (test) console.log(step, loss, test.accuracy);
 * await model.save(folder.weights);
 */
export class RunFolder implements AsyncDisposable {
  /** The folder. */
  readonly path: string;
  /** `run.safetensors`. */
  readonly checkpoint: string;
  /** `log.jsonl`, one line for each step. */
  readonly log: string;
  /** `run.json`: deepzero's version, the run's options, and every start and resumption with its machine. */
  readonly about: string;
  /** `mask.safetensors`, of estimators with a mask: for each parameter tensor the coordinates that are queried, as booleans. */
  readonly mask: string;
  /** `status.json`: whether the run is under way, and how far its step is; replaced every second. */
  readonly status: string;
  /** `journal.jsonl`, of a run of `minimize`: all answers, from which it goes on. */
  readonly journal: string;
  /** `model.safetensors`, where the caller saves the final weights. */
  readonly weights: string;
  readonly #closing = new Set<() => Promise<void>>();
  #unlock: (() => Promise<void>) | undefined;
  /** The outermost folder that `open` made. */
  #made: string | undefined;

  constructor(path: string) {
    this.path = checked(string, path, 'path');
    this.checkpoint = join(path, 'run.safetensors');
    this.log = join(path, 'log.jsonl');
    this.about = join(path, 'run.json');
    this.mask = join(path, 'mask.safetensors');
    this.status = join(path, 'status.json');
    this.journal = join(path, 'journal.jsonl');
    this.weights = join(path, 'model.safetensors');
  }

  /**
   * Opens the folder of a run, and makes it if it does not exist.
   *
   * @throws FileError if it cannot be made, or is in use by another run.
   */
  static async open(path: string): Promise<RunFolder> {
    const folder = new RunFolder(path);
    folder.#made = await makeFolder(path);
    folder.#unlock = await lock(path, await withFileErrors(path, stat(path, { bigint: true })));
    return folder;
  }

  /** Whether this object holds the folder's lock. */
  get isOpen(): boolean {
    return this.#unlock !== undefined;
  }

  /**
   * The steps in the log.
   *
   * @throws FileError if there is no log, or a line is not that of its step.
   */
  async steps(): Promise<TrainStep[]> {
    return readLog(this.log);
  }

  /**
   * Calls `close` when the folder is disposed of, before it is unlocked.
   *
   * @param close Never rejects, and may have been called before.
   * @internal
   */
  beforeUnlock(close: () => Promise<void>): void {
    this.#closing.add(close);
  }

  /**
   * Unlocks the folder, and removes it if `open` made it and it is still empty. The end of the process unlocks it too, however
   * it ends.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    const [unlock, made] = [this.#unlock, this.#made];
    this.#unlock = this.#made = undefined;
    await Promise.all(Array.from(this.#closing, (close) => close()));
    await removeEmptyFolders(this.path, made);
    await unlock?.();
  }
}
