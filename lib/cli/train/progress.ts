/**
 * The progress of a run of `deepzero train`: its line, and the time left.
 *
 * @module
 */
import { WINDOW } from '../../runs/summary.js';
import { formatDuration } from '../../support/duration.js';
import { mean } from '../../support/statistics.js';
import type { TrainStep } from '../../training/log.js';
import type { TrainRun } from '../../training/train.js';
import type { Output } from '../output.js';
import { grouped, percent } from '../output.js';

/** Steps and seconds whose mean tells the time of a step, whichever are more: a busy machine is slow for seconds. */
const PACE = { steps: 10, seconds: 60 };
/** Seconds, and the fraction of a step's time, from which the first step's progress alone predicts its time. */
const RELIABLE = { seconds: 60, share: 0.1 };

export interface MeterOptions {
  /** Of a step, predicted before the first; default: unknown. */
  readonly secondsPerStep?: number;
  /** The fraction of a step's time, given that of its queries; default: the same. */
  readonly shareOf?: (queries: number) => number;
  /** The time in seconds. */
  readonly now?: () => number;
}

/** The progress line of a training run: its position, its loss and accuracy, and the time left. */
export class ProgressMeter {
  readonly #totalSteps: number;
  readonly #predicted: number | undefined;
  readonly #shareOf: (queries: number) => number;
  readonly #now: () => number;
  readonly #recent: TrainStep[] = [];
  /** When the first step began, and the one in progress. */
  readonly #firstBegan: number;
  #began: number;
  /** Steps since the first began, and their seconds; the rest of the time went into tests and checkpoints. */
  #made = { steps: 0, seconds: 0 };
  /** The same, in which a step counts the less the longer ago it was. */
  #pace = { steps: 0, seconds: 0 };

  constructor(totalSteps: number, options: MeterOptions = {}) {
    this.#totalSteps = totalSteps;
    this.#predicted = options.secondsPerStep;
    this.#shareOf = options.shareOf ?? ((queries) => queries);
    this.#now = options.now ?? (() => performance.now() / 1000);
    this.#firstBegan = this.#began = this.#now();
  }

  add(step: TrainStep): void {
    this.#recent.push(step);
    if (this.#recent.length > WINDOW) this.#recent.shift();
    this.#made.steps += 1;
    this.#made.seconds += step.seconds;
    const kept = Math.max(Math.exp(-step.seconds / PACE.seconds), 1 - 1 / PACE.steps);
    this.#pace = { steps: kept * this.#pace.steps + 1, seconds: kept * this.#pace.seconds + step.seconds };
    this.#began = this.#now();
  }

  /** After `done` steps and the fraction `within` of the next one's queries, the fraction of the run's time that is over. */
  fraction(done: number, within = 0): number {
    return (done + this.#shareOf(within)) / this.#totalSteps;
  }

  /** The same as a line; the least important parts come last: a terminal cuts them. */
  line(done: number, within = 0): string {
    const total = this.#totalSteps;
    const next = within > 0 ? ` + ${Math.floor(100 * within)} %` : '';
    const position = `${String(done).padStart(String(total).length)}/${total} steps${next}`;
    const left = this.#secondsPerStep(within) * (total - done - this.#shareOf(within));
    const eta = done < total ? `ETA ${formatDuration(left)}` : 'done';
    const last = this.#recent.at(-1);
    if (!last) return Number.isFinite(left) ? `${position}  ${eta}` : position;
    return [
      position,
      eta,
      `loss ${this.#mean(({ loss }) => loss).toFixed(3)}`,
      `accuracy ${percent(this.#mean(({ accuracy }) => accuracy ?? NaN))}`,
      `lr ${last.lr.toPrecision(2)}`,
      `epoch ${last.epoch + 1}`,
      `${grouped(this.#mean(({ queriesPerSecond }) => queriesPerSecond))} queries/s`,
    ].join('  ');
  }

  /** Of the steps left, with their tests and checkpoints. */
  #secondsPerStep(within: number): number {
    const { steps, seconds } = this.#made;
    if (steps > 0) {
      const others = Math.max(0, this.#began - this.#firstBegan - seconds) / steps;
      return this.#pace.seconds / this.#pace.steps + others;
    }
    const elapsed = this.#now() - this.#began;
    const share = this.#shareOf(within);
    if (this.#predicted === undefined) return elapsed / share;
    if (share === 0) return this.#predicted;
    const trust = Math.min(1, elapsed / RELIABLE.seconds, share / RELIABLE.share);
    return trust * (elapsed / share) + (1 - trust) * this.#predicted;
  }

  #mean(of: (step: TrainStep) => number): number {
    return mean(this.#recent.map(of));
  }
}

/** Makes the steps of a run: a line that stays after every epoch and every tenth of the run, a status line after the others. */
export async function showSteps(run: TrainRun, meter: ProgressMeter, output: Output): Promise<void> {
  const milestone = Math.max(1, Math.round(run.totalSteps / 10));
  if (run.step < run.totalSteps) output.line(`Loss, accuracy and speed are means over the last ${WINDOW} steps.`);
  for await (const step of run) {
    meter.add(step);
    const test = step.test ? `  test accuracy ${percent(step.test.accuracy ?? NaN)}` : '';
    const line = meter.line(run.step) + test;
    if (run.step % run.stepsPerEpoch === 0 || run.step % milestone === 0) output.line(line);
    else output.status(line, { fraction: meter.fraction(run.step) });
  }
}
