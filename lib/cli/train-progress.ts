import type { TrainStep } from '../train.js';
import { duration, grouped, percent } from './output.js';

/** Steps that the shown loss, accuracy and speed are means over: single mini-batches jump. */
const WINDOW = 10;

/** The progress line of a training run: where it is, how it does, and when it will be done. */
export class ProgressMeter {
  readonly #totalSteps: number;
  readonly #recent: TrainStep[] = [];

  constructor(totalSteps: number) {
    this.#totalSteps = totalSteps;
  }

  add(step: TrainStep): void {
    this.#recent.push(step);
    if (this.#recent.length > WINDOW) this.#recent.shift();
  }

  /** After `done` steps and the fraction `within` of the next. */
  line(done: number, within = 0): string {
    const total = this.#totalSteps;
    const position = `step ${String(done).padStart(String(total).length)}/${total}`;
    const next = within > 0 ? ` + ${Math.floor(100 * within)} %` : '';
    const last = this.#recent.at(-1);
    if (!last) return position + next;
    const left = this.#mean(({ seconds }) => seconds) * (total - done - within);
    return [
      position + next,
      `epoch ${last.epoch + 1}`,
      `loss ${this.#mean(({ loss }) => loss).toFixed(3)}`,
      `accuracy ${percent(this.#mean(({ accuracy }) => accuracy ?? NaN))}`,
      `lr ${last.lr.toPrecision(2)}`,
      `${grouped(this.#mean(({ queriesPerSecond }) => queriesPerSecond))} queries/s`,
      done < total ? `ETA ${duration(left)}` : 'done',
    ].join('  ');
  }

  #mean(of: (step: TrainStep) => number): number {
    return this.#recent.reduce((sum, step) => sum + of(step), 0) / this.#recent.length;
  }
}
