import { mean } from '../support/statistics.js';
import type { TrainStep } from '../training/log.js';
import { grouped, percent } from './output.js';
import { duration } from '../support/words.js';

/** Steps that the shown loss, accuracy and speed are means over: single mini-batches jump. */
export const WINDOW = 10;

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

  /** After `done` steps and the fraction `within` of the next; what matters least comes last, where a terminal cuts it. */
  line(done: number, within = 0): string {
    const total = this.#totalSteps;
    const next = within > 0 ? ` + ${Math.floor(100 * within)} %` : '';
    const position = `${String(done).padStart(String(total).length)}/${total} steps${next}`;
    const last = this.#recent.at(-1);
    if (!last) return position;
    const left = this.#mean(({ seconds }) => seconds) * (total - done - within);
    return [
      position,
      done < total ? `ETA ${duration(left)}` : 'done',
      `loss ${this.#mean(({ loss }) => loss).toFixed(3)}`,
      `accuracy ${percent(this.#mean(({ accuracy }) => accuracy ?? NaN))}`,
      `lr ${last.lr.toPrecision(2)}`,
      `epoch ${last.epoch + 1}`,
      `${grouped(this.#mean(({ queriesPerSecond }) => queriesPerSecond))} queries/s`,
    ].join('  ');
  }

  #mean(of: (step: TrainStep) => number): number {
    return mean(this.#recent.map(of));
  }
}
