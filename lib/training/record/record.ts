/**
 * What a run leaves in its folder beside its checkpoint.
 *
 * @module
 */
import type { ParameterTensor } from '../../objectives/objective.js';
import type { RunFolder } from '../folder.js';
import type { TrainStep } from '../log.js';
import { RunLog } from '../log.js';
import { recordStart } from './about.js';
import { EventFile, eventFilesOf } from './events.js';
import { writeMask } from './mask.js';
import type { RunStatus } from './status.js';
import { StatusFile } from './status.js';

/** A run where it starts or goes on. */
export interface RecordedRun {
  readonly config: object;
  /** Steps done. */
  readonly step: number;
  readonly totalSteps: number;
  readonly threads: number;
  readonly tensors: readonly ParameterTensor[];
  /** The coordinates of the next step. */
  readonly mask: Uint32Array | undefined;
  /** The fraction of a step's time, given that of its queries. */
  readonly shareOf: (queries: number) => number;
  /** The queries done of the step in progress, and all of it, where `progress` is not called. */
  readonly progress?: () => readonly [done: number, of: number];
  /** Whether to write TensorBoard's event file; undefined: if there is one. */
  readonly tensorboard: boolean | undefined;
}

/** How a run saves itself. */
export interface Saving {
  readonly signal: AbortSignal | undefined;
  /** Writes the checkpoint. */
  save(): Promise<void>;
  /** Whether a checkpoint is due, this many milliseconds after the last one, which was written so long after the start. */
  isDue(age: number, savedAfter: number): boolean;
}

/** How a run ended. */
export type RunEnd = Pick<RunStatus, 'message'> & { readonly state: Exclude<RunStatus['state'], 'running'> };

/** The files of a run that is under way. */
export class RunRecord {
  readonly #folder: RunFolder;
  readonly #tensors: readonly ParameterTensor[];
  readonly #log: RunLog;
  readonly #status: StatusFile;
  #events: EventFile | undefined;
  #closed: Promise<void> | undefined;

  private constructor(
    folder: RunFolder,
    tensors: readonly ParameterTensor[],
    files: { readonly log: RunLog; readonly events: EventFile | undefined; readonly status: StatusFile },
  ) {
    this.#folder = folder;
    this.#tensors = tensors;
    this.#log = files.log;
    this.#events = files.events;
    this.#status = files.status;
  }

  /**
   * Opens the files, each repaired where a killed run left it: the log has the steps done and no others.
   *
   * @throws FileError if the log lacks a step, or a file cannot be written.
   */
  static async open(folder: RunFolder, run: RecordedRun): Promise<RunRecord> {
    const log = await RunLog.open(folder.log, run.step);
    try {
      await recordStart(folder.about, run);
      await writeMask(folder.mask, run.tensors, run.mask).catch(warn);
      const wanted = run.tensorboard ?? (await eventFilesOf(folder.path)).length > 0;
      const events = wanted ? await EventFile.open(folder, run.step) : undefined;
      const status = await StatusFile.open(folder.status, run);
      const record = new RunRecord(folder, run.tensors, { log, events, status });
      folder.beforeUnlock(() => record.close({ state: 'stopped' }));
      return record;
    } catch (error) {
      await log.close();
      throw error;
    }
  }

  /** Writes another mask. Never rejects: no run goes on from it. */
  async mask(coordinates: Uint32Array): Promise<void> {
    await writeMask(this.#folder.mask, this.#tensors, coordinates).catch(warn);
  }

  /** Takes note of the queries done of a step. */
  progress(done: number, of: number): void {
    this.#status.progress(done, of);
  }

  /** The steps, each in the files, and in a checkpoint where one is due, before it is yielded. */
  async *keep(steps: AsyncIterable<TrainStep>, saving: Saving): AsyncGenerator<TrainStep, void, void> {
    const begun = performance.now();
    let savedAt = begun;
    let isSaved = false;
    const saved = async (): Promise<void> => {
      if (isSaved) return;
      // The checkpoint relies on the lines before it.
      await this.#log.sync();
      await saving.save();
      savedAt = performance.now();
      isSaved = true;
    };
    let left = false;
    let end: RunEnd = { state: 'stopped' };
    const failed = (error: unknown): never => {
      end = { state: 'failed', message: error instanceof Error ? error.message : String(error) };
      throw error;
    };
    try {
      for await (const step of steps) {
        await this.append(step);
        isSaved = false;
        if (saving.isDue(performance.now() - savedAt, savedAt - begun)) await saved();
        left = true;
        yield step;
        left = false;
      }
      await saved();
      end = { state: 'finished' };
    } catch (error) {
      if (!saving.signal?.aborted || error !== saving.signal.reason) return failed(error);
      await saved().catch(failed);
      throw error;
    } finally {
      try {
        if (left) await saved().catch(failed);
      } finally {
        await this.close(end);
      }
    }
  }

  /** Resolves when the operating system has the step. */
  async append(step: TrainStep): Promise<void> {
    await this.#log.append(step);
    await this.#events?.append(step).catch(async (error: unknown) => {
      warn(error);
      await this.#events?.close();
      this.#events = undefined;
    });
    this.#status.reached(step.step + 1);
  }

  /** Never rejects; only the first call has an effect. */
  close(end: RunEnd): Promise<void> {
    return (this.#closed ??= this.#close(end));
  }

  async #close({ state, message }: RunEnd): Promise<void> {
    await this.#status.end(state, message);
    await this.#log.close();
    await this.#events?.close();
  }
}

/** Says that a file for viewing could not be written, which is no reason to end a run. */
function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error.message : String(error), 'RunFolderWarning');
}
