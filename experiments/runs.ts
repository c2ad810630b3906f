/**
 * The runs of one experiment, made one after another: those of a group differ in their seeds alone.
 *
 * @module
 */
import { mean } from '../lib/support/statistics.js';
import { machinesInWords } from '../lib/native/machine.js';
import type { Point } from './plot.js';
import type { ReportRow } from './report.js';
import { rounded } from './report.js';
import type { Divergence, Laboratory, Trial, TrialResult } from './training.js';
import { isDone, runTrial } from './training.js';

/** What a group's runs have come to, in the order given; those whose loss was not finite have no result. */
export interface Group {
  readonly results: readonly TrialResult[];
  readonly diverged: number;
  /** What their times are of. */
  readonly machine: string;
}

/** A run, after the name of its group. */
export type InGroup = readonly [group: string, trial: Trial];

/** Makes an experiment's runs, which are counted, and keeps what groups of them came to. */
export class Runs {
  readonly #total: number;
  readonly #laboratory: Laboratory;
  readonly #onResult: () => Promise<void>;
  /** The keys of each one's runs. */
  readonly #groups = new Map<string, Set<string>>();
  readonly #outcomes = new Map<string, TrialResult | Divergence>();
  #number = 0;

  /** As many as there will be, searches included; `onResult` is told when groups gain some. */
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
    const before = (await isDone(trial, this.#laboratory)) ? ', done before' : '';
    const result = await runTrial(trial, { ...this.#laboratory, onStatus });
    const end = 'diverged' in result ? result.diverged : `test accuracy ${(100 * result.testAccuracy).toFixed(2)} %`;
    this.#laboratory.onNote(`${prefix}${before}: ${trial.key}, ${end}`);
    return result;
  };

  /** Reads those that are done, so that a report tells of all of them before more are made. */
  async readDone(trials: readonly InGroup[]): Promise<void> {
    let gained = false;
    for (const [group, trial] of trials) {
      this.#groups.set(group, (this.#groups.get(group) ?? new Set()).add(trial.key));
      if (await isDone(trial, this.#laboratory)) gained = (await this.#gains(trial)) || gained;
    }
    if (gained) await this.#onResult();
  }

  /** The next runs, after reading those that are done. One that diverges is counted and the others go on. */
  async makeGroups(trials: readonly InGroup[]): Promise<void> {
    await this.readDone(trials);
    for (const [, trial] of trials) if (await this.#gains(trial)) await this.#onResult();
  }

  /** Makes or reads a run, unless its group has it. */
  async #gains(trial: Trial): Promise<boolean> {
    if (this.#outcomes.has(trial.key)) return false;
    this.#outcomes.set(trial.key, await this.make(trial));
    return true;
  }

  /** Undefined before its first run. */
  group(name: string): Group | undefined {
    const outcomes = [...(this.#groups.get(name) ?? [])].flatMap((key) => this.#outcomes.get(key) ?? []);
    if (outcomes.length === 0) return undefined;
    const results = outcomes.flatMap((outcome) => ('diverged' in outcome ? [] : outcome));
    const machine = machinesInWords(outcomes.map((outcome) => outcome.machine));
    return { results, diverged: outcomes.length - results.length, machine };
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
