/**
 * The folder of a training run: its options, layer-wise ratios, checkpoint, log and trained weights.
 *
 * @module
 */
import { rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { basename, dirname, join } from 'node:path';

import { FileError } from '../support/errors.js';
import { exists, makeFolder, makeNewFolder, removeEmptyFolders, withFileErrors } from '../support/files.js';
import { checked, string } from '../support/schema.js';
import type { TrainStep } from './log.js';
import { readLog } from './log.js';

/**
 * The folder of one run. `train` with the option `folder` writes its log and checkpoints there and goes on from them when it is
 * started again. An open folder is locked: no other process can open it. `new RunFolder(path)` only names the files.
 *
 * @example
 * await using folder = await RunFolder.open('runs/resnet20');
 * const run = train(model, trainSet, { estimator, optimizer, epochs: 50, folder, test: testSet });
 * for await (const { step, loss, test } of run) if (test) console.log(step, loss, test.accuracy);
 * await model.save(folder.weights);
 */
export class RunFolder implements AsyncDisposable {
  readonly path: string;
  /** `config.json`, the options of `deepzero train`, which it writes first: a folder that has them can be resumed. */
  readonly config: string;
  /** `ratios.json`, layer-wise ratios, where the run has them. */
  readonly ratios: string;
  /** `run.safetensors`. */
  readonly checkpoint: string;
  /** `log.jsonl`, one line for each step. */
  readonly log: string;
  /** `model.safetensors`, for the weights at the end. */
  readonly weights: string;
  #lock: Server | undefined;
  /** The outermost folder that was made for this one. */
  #made: string | undefined;

  constructor(path: string) {
    this.path = checked(string, path, 'path');
    this.config = join(path, 'config.json');
    this.ratios = join(path, 'ratios.json');
    this.checkpoint = join(path, 'run.safetensors');
    this.log = join(path, 'log.jsonl');
    this.weights = join(path, 'model.safetensors');
  }

  /**
   * Opens the folder of a run, which is made if it does not exist.
   *
   * @throws FileError if it cannot be made, or another process is using it.
   */
  static async open(path: string): Promise<RunFolder> {
    const folder = new RunFolder(path);
    folder.#made = await makeFolder(path);
    await folder.#acquire();
    return folder;
  }

  /**
   * Makes and opens the folder `runs/<name>-1`, or the one with the next free number.
   *
   * @throws FileError if it cannot be made.
   */
  static async createNumbered(name: string): Promise<RunFolder> {
    const stem = join('runs', name);
    const made = await makeFolder(dirname(stem));
    for (let i = 1; ; i++) {
      const folder = new RunFolder(`${stem}-${i}`);
      if (!(await exists(folder.path)) && (await makeNewFolder(folder.path))) {
        folder.#made = made ?? folder.path;
        await folder.#acquire();
        return folder;
      }
    }
  }

  /** Whether this object holds the folder's lock. */
  get isOpen(): boolean {
    return this.#lock !== undefined;
  }

  /**
   * The steps in the log.
   *
   * @throws FileError if there is no log, or a line is not that of its step.
   */
  async steps(): Promise<TrainStep[]> {
    return readLog(this.log);
  }

  /** The names of the run's files that exist. */
  async contents(): Promise<string[]> {
    const names: string[] = [];
    for (const file of this.#files()) if (await exists(file)) names.push(basename(file));
    return names;
  }

  /** Removes options and ratios of a run that never began, and the folders that were made for it if they are empty. */
  async discard(): Promise<void> {
    for (const file of [this.config, this.ratios]) await rm(file, { force: true });
    await removeEmptyFolders(this.path, this.#made);
  }

  /** Lets other processes open the folder. The end of the process does the same, however it ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    const lock = this.#lock;
    this.#lock = undefined;
    if (lock) await new Promise((resolve) => lock.close(resolve));
  }

  /**
   * The lock is a socket in Linux's abstract namespace, named after the folder's inode, which the kernel closes with the process.
   * Processes in other network namespaces, such as containers, do not see it.
   */
  async #acquire(): Promise<void> {
    const { dev, ino } = await withFileErrors(this.path, stat(this.path, { bigint: true }));
    const server = createServer((socket) => socket.destroy());
    const listening = new Promise<void>((resolve, reject) => {
      server.on('error', (error: NodeJS.ErrnoException) => {
        const used = error.code === 'EADDRINUSE';
        reject(used ? new FileError(this.path, 'another process is using it', { cause: error }) : error);
      });
      server.listen(`\0deepzero-run-${dev}-${ino}`, resolve).unref();
    });
    await withFileErrors(this.path, listening);
    this.#lock = server;
  }

  #files(): string[] {
    return [this.config, this.ratios, this.checkpoint, this.log, this.weights];
  }
}
