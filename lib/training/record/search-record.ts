/**
 * The record of a run over a black box, which goes on from its journal: it repeats its steps, and those in the log stay as they are.
 *
 * @module
 */
import { basename } from 'node:path';

import type { EvaluationCounts } from '../../objectives/exchange.js';
import type { ParameterTensor } from '../../objectives/objective.js';
import { FileError } from '../../support/errors.js';
import { exists } from '../../support/files.js';
import type { RunFolder } from '../folder.js';
import type { Norms } from '../descent.js';
import { countSteps } from '../log.js';
import { densities, MaskChanges } from './mask.js';
import type { RunEnd } from './record.js';
import { RunRecord } from './record.js';

/** A run over a black box where it starts. */
export interface SearchRun {
  readonly config: object;
  /** Updates of the whole run; Infinity if nothing bounds them. */
  readonly totalSteps: number;
  readonly queriesPerStep: number;
  readonly tensors: readonly ParameterTensor[];
  /** The answers so far. */
  readonly counts: Readonly<EvaluationCounts>;
  /** The coordinates of a step. */
  maskAt(step: number): Uint32Array | undefined;
}

/** An update. */
export interface SearchStep {
  readonly loss: number;
  readonly lr: number;
  readonly failed: number;
  readonly norms: Norms;
}

/** Answers, of which those of the step in progress are counted. */
class StepCount {
  readonly #counts: Readonly<EvaluationCounts>;
  #before = 0;

  constructor(counts: Readonly<EvaluationCounts>) {
    this.#counts = counts;
  }

  begin(): void {
    this.#before = this.#counts.evaluations;
  }

  get done(): number {
    return this.#counts.evaluations - this.#before;
  }
}

export class SearchRecord {
  readonly #record: RunRecord;
  readonly #run: SearchRun;
  /** Updates in the log. */
  readonly #known: number;
  readonly #count: StepCount;
  readonly #masks = new MaskChanges();
  #updates = 0;
  #began = 0;
  #mask: Uint32Array | undefined;

  private constructor(record: RunRecord, run: SearchRun, known: number, count: StepCount) {
    this.#record = record;
    this.#run = run;
    this.#known = known;
    this.#count = count;
  }

  /**
   * How many updates the log has that the journal repeats; call it before the journal is opened.
   *
   * @throws FileError if the folder is that of a run which goes on from something else.
   */
  static async knownIn(folder: RunFolder): Promise<number> {
    if (await exists(folder.journal)) return (await exists(folder.log)) ? countSteps(folder.log) : 0;
    for (const file of [folder.checkpoint, folder.log, folder.about]) {
      if (!(await exists(file))) continue;
      const why = `holds ${basename(file)} without the journal of a run of minimize: choose another folder`;
      throw new FileError(folder.path, why);
    }
    return 0;
  }

  /** @throws FileError if a file cannot be written. */
  static async open(folder: RunFolder, run: SearchRun, known: number): Promise<SearchRecord> {
    const { config, totalSteps, queriesPerStep, tensors } = run;
    const count = new StepCount(run.counts);
    const record = await RunRecord.open(folder, {
      // A smaller budget than before repeats fewer steps than the log has.
      totalSteps: Math.max(totalSteps, known),
      ...{ config, step: known, threads: 1, tensors, mask: run.maskAt(0), tensorboard: undefined },
      shareOf: (queries) => queries,
      progress: () => [Math.min(count.done, queriesPerStep), queriesPerStep],
    });
    return new SearchRecord(record, run, known, count);
  }

  /** Takes note of a step that begins. */
  async begin(step: number): Promise<void> {
    this.#began = performance.now();
    this.#count.begin();
    this.#mask = this.#masks.next(this.#run.maskAt(step));
    if (this.#mask) await this.#record.mask(this.#mask);
  }

  /** Adds an update, unless the log has it. */
  async add({ loss, lr, failed, norms }: SearchStep): Promise<void> {
    const step = this.#updates++;
    if (step < this.#known) return;
    const { evaluations } = this.#run.counts;
    const queries = this.#count.done;
    const seconds = (performance.now() - this.#began) / 1000;
    await this.#record.append({
      ...{ step, epoch: step, loss, lr, queries, failed, seconds, queriesPerSecond: queries / seconds },
      ...{ time: new Date().toISOString(), totalQueries: evaluations, ...norms },
      ...(this.#mask && { density: densities(this.#run.tensors, this.#mask) }),
    });
    this.#count.begin();
  }

  /** Never rejects. */
  async close(end: RunEnd): Promise<void> {
    await this.#record.close(end);
  }
}
