/**
 * What is told of a run: by `deepzero runs`, on the page and in a report. Browsers read this file too.
 *
 * @module
 */

/**
 * `starting`: its first step has not begun. `killed`: it was under way, and is gone without having said how it ended. `stopped`: it
 * can go on; so can one that was killed.
 */
export type RunState = 'starting' | 'running' | 'stopped' | 'finished' | 'failed' | 'killed';

/** Loss and accuracy on the test images after a step; null where the log does not say. */
export interface TestResult {
  readonly step: number;
  readonly loss: number | null;
  readonly accuracy: number | null;
}

/** A run; what its folder does not say is null. */
export interface RunSummary {
  readonly name: string;
  readonly path: string;
  readonly state: RunState;
  /** Why it failed. */
  readonly message: string | null;
  readonly network: string | null;
  readonly estimator: string | null;
  /** Steps done, and of the whole run. */
  readonly steps: number;
  readonly totalSteps: number | null;
  /** Of the step in progress: the fraction of its time, and its queries that are done, of all. */
  readonly inProgress: { readonly within: number; readonly done: number; readonly of: number } | null;
  /** Means over the last steps. */
  readonly loss: number | null;
  readonly accuracy: number | null;
  readonly queriesPerSecond: number | null;
  /** Lately, with a step's part of tests and checkpoints, without pauses. */
  readonly secondsPerStep: number | null;
  /** The last test. */
  readonly test: TestResult | null;
  readonly queries: number | null;
  /** Of all its starts, without the pauses between them. */
  readonly seconds: number | null;
  readonly processor: string | null;
  readonly threads: number | null;
  /** When it was started last, ISO 8601; of a folder of an earlier version, when something was written to it last. */
  readonly started: string;
  /** What is wrong with the folder, a line each. */
  readonly problems: readonly string[];
}

/** A tensor's mask, thinned to a picture. */
export interface MaskPicture {
  readonly name: string;
  readonly shape: readonly number[];
  /** Coordinates that are queried. */
  readonly kept: number;
  /** Of the picture; a cell covers one or more coordinates. */
  readonly rows: number;
  readonly columns: number;
  /** Fraction of each cell's coordinates that are queried, row by row, 255 for all of them: base64. */
  readonly cells: string;
}
