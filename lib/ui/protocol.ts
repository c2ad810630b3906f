/**
 * What the page receives: by server-sent events while it is served, or as one list within a report.
 *
 * @module
 */
import type { SettingValue } from '../runs/settings.js';
import type { ColumnRows } from '../runs/table.js';
import type { MaskPicture, RunSummary } from '../runs/types.js';

/** The rows of a table from one on; those before are known. */
export interface TablePart {
  /** Steps that a row covers. A width other than the known one comes with all rows. */
  readonly width: number;
  readonly from: number;
  /** Means of the steps that the rows cover. */
  readonly step: readonly (number | null)[];
  readonly columns: Readonly<Record<string, ColumnRows>>;
  /** Columns that were left out, since there are too many. */
  readonly dropped: number;
}

/** What all of a log tells, which a summary by its end cannot. */
export interface TotalsData {
  /** Queries without an answer. */
  readonly failed: number;
  /** The best accuracy of all tests. */
  readonly bestTest: number | null;
}

/** What does not change at every step. */
export interface AboutData {
  /** Settings by their path, `estimator.mu`. */
  readonly settings: readonly (readonly [string, SettingValue])[];
  /** One row for each start of the run: its values by their names. */
  readonly starts: readonly Readonly<Record<string, string | number>>[];
}

/** The list of runs. */
export interface RunsMessage {
  readonly type: 'runs';
  readonly runs: readonly { readonly id: number; readonly name: string }[];
  /** Runs that are not followed, since there are too many. */
  readonly left: number;
  /** Where new runs appear; undefined where the runs were named. */
  readonly folder?: string;
}

/** A run's parts that have changed. */
export interface RunMessage {
  readonly type: 'run';
  readonly id: number;
  readonly summary?: RunSummary;
  readonly totals?: TotalsData;
  readonly series?: TablePart;
  readonly gradientNorms?: TablePart;
  readonly density?: TablePart;
  readonly about?: AboutData;
  readonly mask?: readonly MaskPicture[] | null;
}

/** `beat`: the server is there; `end`: it will not be any more. */
export interface SignOfLife {
  readonly type: 'beat' | 'end';
}

export type Message = RunsMessage | RunMessage;

/** What a report holds. */
export interface ReportData {
  readonly version: string;
  /** ISO 8601. */
  readonly made: string;
  readonly messages: readonly Message[];
}
