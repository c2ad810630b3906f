/**
 * The runs of one experiment, made one after another: those of a group differ in their seeds alone.
 *
 * @module
 */
import { mean } from '../../bench/support/statistics.js';
import type { Point } from '../../bench/support/plot.js';
import { joinMachines } from './machines.js';
import type { ReportRow } from './report.js';
import { rounded } from './report.js';
import type { Context, Divergence, Trial, TrialResult } from './trial.js';
import { isDone, runTrial } from './trial.js';

/** The results of a group's runs, in the order given; runs whose loss was not finite have none. */
export interface Group {
  readonly results: readonly TrialResult[];
  readonly diverged: number;
  /** Where their times were measured. */
  readonly machine: string;
}

/** A run, after the name of its group. */
export type InGroup = readonly [group: string, trial: Trial];

/** Makes and counts an experiment's runs, and collects their results by group. */
export class Runs {
  readonly #total: number;
  readonly #context: Context;
  readonly #onResult: () => Promise<void>;
  /** The keys of the runs of each group. */
  readonly #groups = new Map<string, Set<string>>();
  readonly #outcomes = new Map<string, TrialResult | Divergence>();
  #number = 0;

  /** @param total The number of runs, searches included. @param onResult Called when a group has a new result. */
  constructor(total: number, context: Context, onResult: () => Promise<void>) {
    this.#total = total;
    this.#context = context;
    this.#onResult = onResult;
  }

  /** The next run. */
  readonly make = async (trial: Trial): Promise<TrialResult | Divergence> => {
    const prefix = `run ${++this.#number} of ${this.#total}`;
    const onStatus = (text: string): void => {
      this.#context.onStatus(`${prefix}: ${text}`);
    };
    const before = (await isDone(trial, this.#context)) ? ', done before' : '';
    const result = await runTrial(trial, { ...this.#context, onStatus });
    const end = 'diverged' in result ? result.diverged : `test accuracy ${(100 * result.testAccuracy).toFixed(2)} %`;
    this.#context.onNote(`${prefix}${before}: ${trial.key}, ${end}`);
    return result;
  };

  /** Reads the runs that are done, so that a report has all of them before more are made. */
  async readDone(trials: readonly InGroup[]): Promise<void> {
    let added = false;
    for (const [group, trial] of trials) {
      this.#groups.set(group, (this.#groups.get(group) ?? new Set()).add(trial.key));
      if (await isDone(trial, this.#context)) added = (await this.#add(trial)) || added;
    }
    if (added) await this.#onResult();
  }

  /** Makes runs, after reading those that are done. One that diverges is counted and the others go on. */
  async makeGroups(trials: readonly InGroup[]): Promise<void> {
    await this.readDone(trials);
    for (const [, trial] of trials) if (await this.#add(trial)) await this.#onResult();
  }

  /** Makes or reads a run, unless that was done before; returns whether there is a new result. */
  async #add(trial: Trial): Promise<boolean> {
    if (this.#outcomes.has(trial.key)) return false;
    this.#outcomes.set(trial.key, await this.make(trial));
    return true;
  }

  /** Undefined before its first run. */
  group(name: string): Group | undefined {
    const outcomes = [...(this.#groups.get(name) ?? [])].flatMap((key) => this.#outcomes.get(key) ?? []);
    if (outcomes.length === 0) return undefined;
    const results = outcomes.flatMap((outcome) => ('diverged' in outcome ? [] : outcome));
    const machine = joinMachines(outcomes.map((outcome) => outcome.machine));
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
