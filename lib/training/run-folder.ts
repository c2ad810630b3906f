/**
 * The folder of a training run: its options, its layer-wise ratios, its checkpoint, its log and the weights it yields.
 *
 * @module
 */
import { open, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { createServer } from 'node:net';
import { basename, dirname, join } from 'node:path';

import { FileError, isObject } from '../support/check.js';
import {
  exists,
  makeFolder,
  makeNewFolder,
  readFileBytes,
  removeEmptyFolders,
  writeFileAtomically,
} from '../support/files.js';
import type { LoggedStep } from './loop.js';

export class RunFolder {
  readonly path: string;
  /** The resolved options, written first: a folder that has them can be resumed. */
  readonly config: string;
  /** Layer-wise ratios: of `deepzero train`, as `prune --out` writes them; of an experiment, under what they are kept. */
  readonly ratios: string;
  readonly checkpoint: string;
  readonly log: string;
  readonly weights: string;
  /** The outermost folder that was made for it. */
  #made: string | undefined;

  constructor(path: string) {
    this.path = path;
    this.config = join(path, 'config.json');
    this.ratios = join(path, 'ratios.json');
    this.checkpoint = join(path, 'run.safetensors');
    this.log = join(path, 'log.jsonl');
    this.weights = join(path, 'model.safetensors');
  }

  /**
   * Keeps others out until the lock is disposed of or this process ends, however it ends: the lock is a socket in Linux's
   * abstract namespace, named after the folder's inode, which the kernel closes with the process. Processes of other containers
   * do not see it.
   *
   * @throws FileError if another process has the folder.
   */
  async lock(): Promise<AsyncDisposable> {
    const { dev, ino } = await named(this.path, stat(this.path, { bigint: true }));
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve, reject) => {
      server.on('error', (error: NodeJS.ErrnoException) => {
        const problem = error.code === 'EADDRINUSE' ? 'another process is using it' : error.message;
        reject(new FileError(this.path, problem, { cause: error }));
      });
      server.listen(`\0deepzero-run-${dev}-${ino}`, resolve).unref();
    });
    const close = () =>
      new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      });
    return { [Symbol.asyncDispose]: close };
  }

  /** Removes the options and ratios of a run that never began, and the folders that were made for it unless others use them. */
  async discard(): Promise<void> {
    for (const file of [this.config, this.ratios]) await rm(file, { force: true });
    await removeEmptyFolders(this.path, this.#made);
  }

  #files(): string[] {
    return [this.config, this.ratios, this.checkpoint, this.log, this.weights];
  }

  /** Makes the folder `path`, which must hold none of a run's files; without it, `runs/<name>-1` or the next number that is free. */
  static async create(path: string | undefined, name: string): Promise<RunFolder> {
    if (path === undefined) return RunFolder.#createNumbered(join('runs', name));
    const folder = new RunFolder(path);
    folder.#made = await makeFolder(path);
    await folder.lock();
    if (await exists(folder.config)) {
      throw new FileError(path, `already holds a run: continue it with --resume ${path}, or choose another --out`);
    }
    for (const file of folder.#files()) {
      if (await exists(file)) throw new FileError(path, `already holds ${basename(file)}: choose another --out`);
    }
    return folder;
  }

  static async #createNumbered(stem: string): Promise<RunFolder> {
    const made = await makeFolder(dirname(stem));
    for (let i = 1; ; i++) {
      const folder = new RunFolder(`${stem}-${i}`);
      if (!(await exists(folder.path)) && (await makeNewFolder(folder.path))) {
        folder.#made = made ?? folder.path;
        await folder.lock();
        return folder;
      }
    }
  }
}

/** One line of JSON a training step, in order; `append` returns when the operating system has it. */
export class RunLog {
  readonly #handle: FileHandle;
  readonly #file: string;

  private constructor(file: string, handle: FileHandle) {
    this.#file = file;
    this.#handle = handle;
  }

  /**
   * Opens the log for appending, cut to its first `steps` lines: what a resumed run repeats is not there twice.
   *
   * @throws FileError if it has fewer, or one of them is not that step's.
   */
  static async open(file: string, steps: number): Promise<RunLog> {
    const lines = steps === 0 && !(await exists(file)) ? [] : (await RunLog.#lines(file)).slice(0, steps);
    if (lines.length < steps) {
      throw new FileError(file, `has ${lines.length} lines, expected one for each of the ${steps} steps done`);
    }
    lines.forEach((line, step) => lossOf(file, line, step));
    await writeFileAtomically(file, lines.map((line) => `${line}\n`).join(''));
    return new RunLog(file, await named(file, open(file, 'a')));
  }

  /** Puts another entry in the place of a log's last, before it is opened. */
  static async amend(file: string, entry: LoggedStep): Promise<void> {
    const lines = [...(await RunLog.#lines(file)).slice(0, entry.step), JSON.stringify(entry)];
    await writeFileAtomically(file, lines.map((line) => `${line}\n`).join(''));
  }

  async append(entry: object): Promise<void> {
    await named(this.#file, this.#handle.appendFile(`${JSON.stringify(entry)}\n`));
  }

  /** Makes the lines so far safe, before a checkpoint relies on them. */
  async sync(): Promise<void> {
    await named(this.#file, this.#handle.datasync());
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  /** The loss of every step. */
  static async losses(file: string): Promise<number[]> {
    return (await RunLog.#lines(file)).map((line, step) => lossOf(file, line, step));
  }

  /** Every step, or the first `count`: what a killed run has written beyond its checkpoint may be anything. */
  static async steps(file: string, count?: number): Promise<LoggedStep[]> {
    const lines = (await RunLog.#lines(file)).slice(0, count);
    lines.forEach((line, step) => lossOf(file, line, step));
    return lines.map((line) => JSON.parse(line) as LoggedStep);
  }

  static async #lines(file: string): Promise<string[]> {
    const text = new TextDecoder().decode(await readFileBytes(file));
    return text.split('\n').slice(0, -1);
  }
}

/** The loss in the line of a step. */
function lossOf(file: string, line: string, step: number): number {
  let entry: unknown;
  try {
    entry = JSON.parse(line);
  } catch {
    // Reported below, like any other line that is none of ours.
  }
  if (isObject(entry) && entry['step'] === step && typeof entry['loss'] === 'number') return entry['loss'];
  throw new FileError(file, `line ${step + 1} is not what training wrote of step ${step}`);
}

/** An action on a file, whose failure names it. */
async function named<T>(file: string, action: Promise<T>): Promise<T> {
  try {
    return await action;
  } catch (cause) {
    throw new FileError(file, (cause as Error).message, { cause });
  }
}
