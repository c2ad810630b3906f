/**
 * The runs of one experiment, made one after another: those of a group differ in their seeds alone.
 *
 * @module
 */
import { mean } from '../statistics.js';
import { machineInWords } from '../words.js';
import type { Point } from './plot.js';
import type { ReportRow } from './report.js';
import { rounded } from './report.js';
import type { Divergence, Laboratory, Trial, TrialResult } from './training.js';
import { isDone, runTrial } from './training.js';

/** What a group's runs came to; those whose loss was not finite have no result. */
export interface Group {
  readonly results: readonly TrialResult[];
  readonly diverged: number;
  /** What the last one's times are of. */
  readonly machine: string;
}

/** A run, after the name of its group. */
export type InGroup = readonly [group: string, trial: Trial];

/** Makes an experiment's runs, which are counted, and keeps what groups of them came to. */
export class Runs {
  readonly #total: number;
  readonly #laboratory: Laboratory;
  readonly #onResult: () => Promise<void>;
  readonly #groups = new Map<string, Group>();
  #number = 0;

  /** As many as there will be, searches included; `onResult` is told of each that a group gains. */
  constructor(total: number, laboratory: Laboratory, onResult: () => Promise<void>) {
    this.#total = total;
    this.#laboratory = laboratory;
    this.#onResult = onResult;
  }

  /** The next run. */
  readonly make = async (trial: Trial): Promise<TrialResult | Divergence> => {
    const prefix = `run ${++this.#number} of ${this.#total}`;
    const onStatus = (text: string): void => {
      this.#laboratory.onStatus(`${prefix}: ${text}`);
    };
    return await runTrial(trial, { ...this.#laboratory, onStatus });
  };

  /**
   * The next runs: those that are done before those that are to be made, so that a report tells at once of all there is. One
   * that diverges is counted and the others go on.
   */
  async makeGroups(trials: readonly InGroup[]): Promise<void> {
    const waiting: InGroup[] = [];
    for (const [group, trial] of trials) {
      if (await isDone(trial, this.#laboratory)) await this.#makeIn(group, trial);
      else waiting.push([group, trial]);
    }
    for (const [group, trial] of waiting) await this.#makeIn(group, trial);
  }

  async #makeIn(name: string, trial: Trial): Promise<void> {
    const { results, diverged } = this.group(name) ?? { results: [], diverged: 0 };
    const result = await this.make(trial);
    if ('diverged' in result) {
      const machine = results.at(-1)?.machine ?? machineInWords(this.#laboratory.threads);
      this.#groups.set(name, { results, diverged: diverged + 1, machine });
    } else {
      this.#groups.set(name, { results: [...results, result], diverged, machine: result.machine });
    }
    await this.#onResult();
  }

  /** Undefined before its first run. */
  group(name: string): Group | undefined {
    return this.#groups.get(name);
  }
}

/** A figure of a group's results: their mean, null if all diverged. */
export function meanOf({ results }: Group, figure: (result: TrialResult) => number, digits: number): number | null {
  return results.length === 0 ? null : rounded(mean(results.map(figure)), digits);
}

/** Test accuracy in percent over the runs that ended, null if none did. */
export type Accuracy = Readonly<Record<'accuracy' | 'lowest' | 'highest', number | null>> &
  Readonly<Record<'runs' | 'diverged', number>>;

/** A group's test accuracy. */
export function accuracyOf(group: Group): Accuracy {
  const percents = group.results.map(({ testAccuracy }) => 100 * testAccuracy);
  const extent = (of: (...values: number[]) => number): number | null =>
    percents.length === 0 ? null : rounded(of(...percents), 4);
  return {
    accuracy: meanOf(group, ({ testAccuracy }) => 100 * testAccuracy, 4),
    lowest: extent(Math.min),
    highest: extent(Math.max),
    runs: group.results.length,
    diverged: group.diverged,
  };
}

/** The accuracy that a row has, if any, as points of a plot. */
export function pointsOf(row: ReportRow, x: number): Point[] {
  const { accuracy, lowest, highest } = row as ReportRow & Accuracy;
  return accuracy === null ? [] : [{ x, y: accuracy, low: lowest!, high: highest! }];
}
